//! Random numbers that are a function of where they are used: no state, no order, no threads.
//!
//! Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") turns a key
//! and a counter into four words. The key is the run's seed; the counter says what the numbers are
//! for ([`Stream`]), at which step, for which sample and unit. So a draw does not move when other
//! units are removed, when the batch is cut over threads, or when a run is resumed.

use crate::kernels::{math, simd};

/// Samples that share the counters of one group: 16 counters, 4 words each.
const GROUP: usize = 64;
/// Counters of one group, side by side in SIMD registers.
const LANES: usize = 16;

/// What random numbers are used for; streams never share a draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Noise on the outputs of the network's layer with this index.
    Layer(u16),
    /// Noise of the gate with this index.
    Gate(u16),
    /// First values of the parameters of the layer with this index.
    Init(u16),
    /// The order of the training samples.
    Shuffle,
    /// Anything else, told apart by its number: data sets that are drawn, say.
    Other(u16),
}

impl Stream {
    fn word(self) -> u32 {
        match self {
            Self::Layer(index) => u32::from(index),
            Self::Init(index) => 1 << 16 | u32::from(index),
            Self::Shuffle => 2 << 16,
            Self::Other(index) => 3 << 16 | u32::from(index),
            Self::Gate(index) => 4 << 16 | u32::from(index),
        }
    }
}

/// Where random numbers are drawn: the seed, the purpose and the step.
///
/// ```
/// use vbd_core::noise::{NoiseKey, Stream};
///
/// let key = NoiseKey { seed: 7, step: 12, stream: Stream::Layer(0) };
/// let (mut wide, mut narrow) = ([0.0; 100], [0.0; 10]);
/// key.fill_normal(3, &mut wide);
/// key.fill_normal(3, &mut narrow);
/// assert_eq!(wide[..10], narrow); // unit 3 has one draw for sample 5, whatever the batch
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoiseKey {
    /// Seed of the run.
    pub seed: u64,
    /// Step of the run, from 0.
    pub step: u32,
    /// What the numbers are for.
    pub stream: Stream,
}

impl NoiseKey {
    /// Fills `out` with standard normal draws: those of one unit for samples `0..out.len()`.
    pub fn fill_normal(self, unit: u32, out: &mut [f32]) {
        simd(
            #[inline(always)]
            || self.fill_normal_inline(unit, out),
        );
    }

    /// [`NoiseKey::fill_normal`] for callers that have dispatched already.
    #[inline(always)]
    pub(crate) fn fill_normal_inline(self, unit: u32, out: &mut [f32]) {
        self.fill::<true>(unit, out);
    }

    /// Fills `out` with draws from the uniform distribution on (0, 1].
    pub fn fill_uniform(self, unit: u32, out: &mut [f32]) {
        simd(
            #[inline(always)]
            || self.fill::<false>(unit, out),
        );
    }

    /// One word: word `index` of `unit`, evenly distributed over all of `u32`.
    pub fn word(self, unit: u32, index: u32) -> u32 {
        let words = philox4x32(
            [index / 4, unit, self.step, self.stream.word()],
            self.words(),
        );
        words[(index % 4) as usize]
    }

    /// A random order of `0..len` (Fisher-Yates).
    ///
    /// # Panics
    /// If `len` is over `u32::MAX`.
    pub fn permutation(self, len: usize) -> Vec<u32> {
        let len = u32::try_from(len).expect("samples are counted in 32 bits");
        let mut order: Vec<u32> = (0..len).collect();
        for last in (1..len).rev() {
            // The high half of word * (last + 1): the bias is under 2^-32 (last + 1).
            let chosen = (u64::from(self.word(0, last)) * u64::from(last + 1)) >> 32;
            order.swap(
                last as usize,
                usize::try_from(chosen).expect("below `last`"),
            );
        }
        order
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the two halves of the seed"
    )]
    fn words(self) -> [u32; 2] {
        [self.seed as u32, (self.seed >> 32) as u32]
    }

    /// Sample `64 g + 16 j + l` gets word `j` of counter `16 g + l`, so that SIMD lanes are samples.
    #[inline(always)]
    fn fill<const NORMAL: bool>(self, unit: u32, out: &mut [f32]) {
        // A function passed as a value would not be inlined, and so not be compiled for the dispatched
        // instruction set.
        macro_rules! make {
            ($words:expr, $out:expr) => {
                if NORMAL {
                    normals($words, $out)
                } else {
                    uniforms($words, $out)
                }
            };
        }
        let mut values = [0.0; GROUP];
        for (group, out) in out.chunks_mut(GROUP).enumerate() {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a batch has at most 2^20 samples"
            )]
            let first = (group * LANES) as u32;
            let mut counter = [
                [0; LANES],
                [unit; LANES],
                [self.step; LANES],
                [self.stream.word(); LANES],
            ];
            for (lane, word) in (first..).zip(&mut counter[0]) {
                *word = lane;
            }
            let words = philox4x32_lanes(counter, self.words());
            if let Ok(out) = <&mut [f32; GROUP]>::try_from(&mut *out) {
                make!(words, out);
            } else {
                make!(words, &mut values);
                out.copy_from_slice(&values[..out.len()]);
            }
        }
    }
}

/// Box-Muller (Box and Muller 1958): two words become two independent normal draws.
#[inline(always)]
fn normals(words: [[u32; LANES]; 4], out: &mut [f32; GROUP]) {
    for half in 0..2 {
        for lane in 0..LANES {
            let radius = (-2.0 * math::ln(unit_interval(words[2 * half][lane]))).sqrt();
            #[expect(
                clippy::cast_possible_wrap,
                reason = "a turn between -1 and 1 half turns"
            )]
            let turn = words[2 * half + 1][lane] as i32 as f32 * 2.0_f32.powi(-31);
            let (cos, sin) = math::cos_sin_pi(turn);
            out[2 * half * LANES + lane] = radius * cos;
            out[(2 * half + 1) * LANES + lane] = radius * sin;
        }
    }
}

#[inline(always)]
fn uniforms(words: [[u32; LANES]; 4], out: &mut [f32; GROUP]) {
    for (words, out) in words.iter().zip(out.chunks_exact_mut(LANES)) {
        for (&word, out) in words.iter().zip(out) {
            *out = unit_interval(word);
        }
    }
}

/// A word as a number in (0, 1].
#[inline(always)]
fn unit_interval(word: u32) -> f32 {
    #[expect(
        clippy::cast_possible_wrap,
        reason = "31 bits: SIMD converts signed words only"
    )]
    let word = (word >> 1) as i32 as f32;
    (word + 0.5) * 2.0_f32.powi(-31)
}

const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// One block of Philox4x32-10.
fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let mut counter = counter.map(|word| [word]);
    rounds(&mut counter, key);
    counter.map(|[word]| word)
}

#[inline(always)]
fn philox4x32_lanes(mut counter: [[u32; LANES]; 4], key: [u32; 2]) -> [[u32; LANES]; 4] {
    rounds(&mut counter, key);
    counter
}

#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the two halves of a product"
)]
fn rounds<const N: usize>(counter: &mut [[u32; N]; 4], mut key: [u32; 2]) {
    let [c0, c1, c2, c3] = counter;
    for _ in 0..ROUNDS {
        for lane in 0..N {
            let p0 = u64::from(c0[lane]) * u64::from(MULTIPLIER[0]);
            let p1 = u64::from(c2[lane]) * u64::from(MULTIPLIER[1]);
            c0[lane] = (p1 >> 32) as u32 ^ c1[lane] ^ key[0];
            c1[lane] = p1 as u32;
            c2[lane] = (p0 >> 32) as u32 ^ c3[lane] ^ key[1];
            c3[lane] = p0 as u32;
        }
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "a draw is the same bits")]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_random123s_known_answers() {
        // kat_vectors of Random123 1.14, `philox4x32 10`
        let known = [
            (
                [0; 4],
                [0; 2],
                [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            ),
            (
                [u32::MAX; 4],
                [u32::MAX; 2],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, words) in known {
            assert_eq!(philox4x32(counter, key), words);
            let lanes = philox4x32_lanes(counter.map(|word| [word; LANES]), key);
            assert_eq!(lanes.map(|lane| lane[LANES - 1]), words);
        }
    }

    fn key(stream: Stream) -> NoiseKey {
        NoiseKey {
            seed: 0x1234_5678_9abc,
            step: 3,
            stream,
        }
    }

    #[test]
    fn normals_have_the_moments_of_a_normal() {
        let mut draws = vec![0.0; 1 << 20];
        for (unit, row) in (0..).zip(draws.chunks_mut(1000)) {
            key(Stream::Layer(1)).fill_normal(unit, row);
        }
        let moment = |power: i32| {
            draws.iter().map(|&x| f64::from(x).powi(power)).sum::<f64>() / draws.len() as f64
        };
        // five standard errors of each moment
        assert!(moment(1).abs() < 5e-3);
        assert!((moment(2) - 1.0).abs() < 7e-3);
        assert!(moment(3).abs() < 2e-2);
        assert!((moment(4) - 3.0).abs() < 5e-2);
        let neighbours: f64 = draws
            .windows(2)
            .map(|pair| f64::from(pair[0] * pair[1]))
            .sum::<f64>()
            / draws.len() as f64;
        assert!(neighbours.abs() < 5e-3);
        assert!(draws.iter().all(|x| x.is_finite()));
    }

    #[test]
    fn a_draw_is_the_word_of_its_own_counter() {
        let key = key(Stream::Layer(0));
        let mut row = [0.0; 130];
        key.fill_uniform(9, &mut row);
        for (sample, &found) in row.iter().enumerate() {
            let (group, word, lane) = (sample / 64, sample % 64 / 16, sample % 16);
            let counter = u32::try_from(16 * group + lane).unwrap();
            let words = philox4x32([counter, 9, key.step, key.stream.word()], key.words());
            assert_eq!(found, unit_interval(words[word]));
        }
    }

    #[test]
    fn streams_steps_and_units_differ() {
        let draw = |stream, step, unit| {
            let mut row = [0.0; 4];
            NoiseKey {
                step,
                ..key(stream)
            }
            .fill_normal(unit, &mut row);
            row
        };
        let first = draw(Stream::Layer(0), 0, 0);
        assert_ne!(first, draw(Stream::Layer(1), 0, 0));
        assert_ne!(first, draw(Stream::Init(0), 0, 0));
        assert_ne!(first, draw(Stream::Gate(0), 0, 0));
        assert_ne!(first, draw(Stream::Layer(0), 1, 0));
        assert_ne!(first, draw(Stream::Layer(0), 0, 1));
    }

    #[test]
    fn a_permutation_has_every_index_once() {
        let mut order = key(Stream::Shuffle).permutation(1000);
        assert_ne!(order[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        order.sort_unstable();
        assert!(order.into_iter().eq(0..1000));
    }
}
