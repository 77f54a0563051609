//! The inverse discrete cosine transform, with the integers of libjpeg's `islow`.

use super::block::Block;

/// Samples on each side of a block.
pub(super) const SIDE: usize = 8;
/// Bits of the fraction of the constants.
const FRACTION: u32 = 13;
/// Bits of fraction kept between the passes.
const KEPT: u32 = 2;

/// Row-major places of the coefficients in zigzag order.
const NATURAL: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Computes the samples of a block.
pub(super) fn samples(block: &Block, steps: &[u16; 64]) -> [[u8; SIDE]; SIDE] {
    let mut values = [[0_i32; SIDE]; SIDE];
    for ((&value, &step), place) in block.iter().zip(steps).zip(NATURAL) {
        values[place / SIDE][place % SIDE] = i32::from(value) * i32::from(step);
    }
    for column in 0..SIDE {
        let own = transform(values.map(|row| row[column]), FRACTION - KEPT);
        for (row, value) in values.iter_mut().zip(own) {
            row[column] = value;
        }
    }
    values.map(|row| {
        let own = transform(row, FRACTION + KEPT + 3);
        own.map(|value| (value + 128).clamp(0, 255).to_le_bytes()[0])
    })
}

/// Transforms eight values and divides by 2 to the power of `shift`, rounded.
fn transform(values: [i32; SIDE], shift: u32) -> [i32; SIDE] {
    let [v0, v1, v2, v3, v4, v5, v6, v7] = values;
    let even = (v2 + v6) * 4433;
    let (low, high) = (even - v6 * 15137, even + v2 * 6270);
    let (sum, difference) = ((v0 + v4) << FRACTION, (v0 - v4) << FRACTION);
    let evens = [sum + high, difference + low, difference - low, sum - high];

    let all = (v7 + v3 + v5 + v1) * 9633;
    let (z1, z2) = ((v7 + v1) * -7373, (v5 + v3) * -20995);
    let (z3, z4) = (all - (v7 + v3) * 16069, all - (v5 + v1) * 3196);
    let odds = [
        v1 * 12299 + z1 + z4,
        v3 * 25172 + z2 + z3,
        v5 * 16819 + z2 + z4,
        v7 * 2446 + z1 + z3,
    ];
    let half = 1 << (shift - 1);
    let mut out = [0; SIDE];
    for (place, (even, odd)) in evens.into_iter().zip(odds).enumerate() {
        out[place] = (even + odd + half) >> shift;
        out[SIDE - 1 - place] = (even - odd + half) >> shift;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_the_cosine_sum_to_1() {
        let mut block: Block = [0; 64];
        (block[0], block[1], block[2], block[9], block[40]) = (30, -40, 25, 13, -9);
        let steps = [4; 64];
        let found = samples(&block, &steps);
        for (y, row) in found.iter().enumerate() {
            for (x, &sample) in row.iter().enumerate() {
                let mut sum = 128.0;
                for (&value, place) in block.iter().zip(NATURAL) {
                    let wave = |at: usize, frequency: usize| {
                        let scale = if frequency == 0 { 0.5_f64.sqrt() } else { 1.0 };
                        let angle = (2 * at + 1) as f64 * frequency as f64 / 16.0;
                        scale * (angle * std::f64::consts::PI).cos() / 2.0
                    };
                    sum += f64::from(value) * 4.0 * wave(y, place / SIDE) * wave(x, place % SIDE);
                }
                let difference = (f64::from(sample) - sum.clamp(0.0, 255.0)).abs();
                assert!(difference <= 1.0, "{x} {y}: {sample} for {sum}");
            }
        }
    }
}
