//! Counter-based random numbers: each is a function of its use, without state or order.
//!
//! Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") maps a key and
//! a counter to four words. The key is the run's seed; the counter encodes purpose ([`Stream`]),
//! step, sample and unit. A draw therefore does not change when other units are removed, the batch
//! is divided over threads, or a run is resumed.

use pulp::Simd;

use crate::kernels::math::{self, CosSin};
use crate::kernels::vector::{F32s, U32s, kernel};

/// Samples per group of counters: 16 counters of 4 words each.
const GROUP: usize = WORDS * COUNTERS;
const WORDS: usize = 4;
/// Number of counters per group, in SIMD registers.
const COUNTERS: usize = 16;
const COUNTER_LANES: [u32; COUNTERS] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Purpose of random numbers. Streams never share a draw.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Noise on the outputs of the layer with this index.
    Layer(u16),
    /// Noise of the gate with this index.
    Gate(u16),
    /// Initial parameters of the layer with this index.
    Init(u16),
    /// Order of the training samples.
    Shuffle,
    /// Augmentation of a training sample; the step is the epoch, the unit is the sample.
    Augment,
    /// Other uses, identified by number, such as generated data sets.
    Other(u16),
    /// A layer of a caller's own model, told apart by its name; see [`Stream::named`].
    Named(u32),
}

impl Stream {
    /// The stream of a name, as a layer's prefix in a `VarBuilder`. Two names share a stream with a probability of
    /// 2^-31.
    pub fn named(name: &str) -> Self {
        // FNV-1a, folded to 31 bits that no other stream uses.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self::Named(((hash ^ (hash >> 32)) & 0x7fff_ffff) as u32)
    }

    /// Returns the stream of the weight with this number.
    pub(crate) fn layer(number: usize) -> Self {
        Self::Layer(stream_number(number))
    }

    /// Returns the stream of the gate with this number.
    pub(crate) fn gate(number: usize) -> Self {
        Self::Gate(stream_number(number))
    }

    fn word(self) -> u32 {
        match self {
            Self::Layer(index) => u32::from(index),
            Self::Init(index) => 1 << 16 | u32::from(index),
            Self::Shuffle => 2 << 16,
            Self::Other(index) => 3 << 16 | u32::from(index),
            Self::Gate(index) => 4 << 16 | u32::from(index),
            Self::Augment => 5 << 16,
            Self::Named(hash) => 1 << 31 | hash,
        }
    }
}

fn stream_number(number: usize) -> u16 {
    u16::try_from(number).expect("a network has up to 4096 layers")
}

/// Key of a draw: seed, purpose and step.
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
    /// Purpose of the numbers.
    pub stream: Stream,
}

impl NoiseKey {
    /// Fills `out` with standard normal draws of one unit, for samples `0..out.len()`.
    pub fn fill_normal(self, unit: u32, out: &mut [f32]) {
        fill_normal(self, unit, out);
    }

    /// [`NoiseKey::fill_normal`] for use in kernels.
    #[inline(always)]
    pub(crate) fn fill_normal_on<S: Simd>(self, simd: S, unit: u32, out: &mut [f32]) {
        fill(simd, self, unit, out, Distribution::Normal);
    }

    /// Fills `out` with draws from the uniform distribution on (0, 1].
    pub fn fill_uniform(self, unit: u32, out: &mut [f32]) {
        fill_uniform(self, unit, out);
    }

    /// Returns word `index` of `unit`, uniform over all of `u32`.
    pub fn word(self, unit: u32, index: u32) -> u32 {
        let words = philox4x32(
            [index / 4, unit, self.step, self.stream.word()],
            self.words(),
        );
        words[(index % 4) as usize]
    }

    /// Returns a random permutation of `0..len` (Fisher-Yates).
    ///
    /// # Panics
    /// If `len` exceeds `u32::MAX`.
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Distribution {
    Normal,
    Uniform,
}

// limit fill_normal: avx2 19, scalar 240 instructions a draw
kernel! {
    fn fill_normal<S>(simd, key: NoiseKey, unit: u32, out: &mut [f32]) {
        key.fill_normal_on(simd, unit, out);
    }
}

kernel! {
    fn fill_uniform<S>(simd, key: NoiseKey, unit: u32, out: &mut [f32]) {
        fill(simd, key, unit, out, Distribution::Uniform);
    }
}

/// Fills `out`. Sample `64 g + 16 j + l` gets word `j` of counter `16 g + l`, so that SIMD lanes
/// are samples.
#[inline(always)]
fn fill<S: Simd>(simd: S, key: NoiseKey, unit: u32, out: &mut [f32], distribution: Distribution) {
    let mut values = [0.0; GROUP];
    for (group, out) in out.chunks_mut(GROUP).enumerate() {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a batch has at most 2^20 samples"
        )]
        let first = (group * COUNTERS) as u32;
        if let Ok(out) = <&mut [f32; GROUP]>::try_from(&mut *out) {
            fill_group(simd, key, [first, unit], out, distribution);
        } else {
            fill_group(simd, key, [first, unit], &mut values, distribution);
            out.copy_from_slice(&values[..out.len()]);
        }
    }
}

/// Fills a group; `at` is its first counter and the unit.
#[inline(always)]
fn fill_group<S: Simd>(
    simd: S,
    key: NoiseKey,
    [first, unit]: [u32; 2],
    out: &mut [f32; GROUP],
    distribution: Distribution,
) {
    let (out, _) = S::as_mut_simd_f32s(out);
    let (lanes, _) = S::as_simd_u32s(&COUNTER_LANES);
    let parts = COUNTERS / S::F32_LANES;
    let same = |word: u32| U32s::splat(simd, word);
    let mut counters = [[
        same(unit),
        same(unit),
        same(key.step),
        same(key.stream.word()),
    ]; COUNTERS];
    for part in 0..parts {
        counters[part][0] = U32s::new(simd, lanes[part]) + same(first);
    }
    for counters in counters[..parts].chunks_mut(side_by_side::<S>()) {
        philox4x32_lanes(counters, key.words());
    }
    for part in 0..parts {
        for pair in 0..WORDS / 2 {
            let words = [counters[part][2 * pair], counters[part][2 * pair + 1]];
            let values = match distribution {
                Distribution::Normal => normals(words),
                Distribution::Uniform => [unit_interval(words[0]), unit_interval(words[1])],
            };
            out[2 * pair * parts + part] = values[0].lanes();
            out[(2 * pair + 1) * parts + part] = values[1].lanes();
        }
    }
}

/// Box-Muller (Box and Muller 1958): converts two words to two independent normal draws.
#[inline(always)]
fn normals<S: Simd>(words: [U32s<S>; 2]) -> [F32s<S>; 2] {
    let uniform = unit_interval(words[0]);
    let radius = (uniform.like(-2.0) * math::ln(uniform)).sqrt();
    // A turn between -1 and 1 half turns.
    let turn = math::signed_to_float(words[1]) * uniform.like(2.0_f32.powi(-31));
    let CosSin { cos, sin } = math::cos_sin_pi(turn);
    [radius * cos, radius * sin]
}

/// Converts a word's upper 31 bits to a number in (0, 1].
#[inline(always)]
fn unit_interval<S: Simd>(word: U32s<S>) -> F32s<S> {
    let word = math::to_float(word.shr(1));
    (word + word.like(0.5)) * word.like(2.0_f32.powi(-31))
}

const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// Computes a block of Philox4x32-10.
fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let mut counters = [counter.map(|word| U32s::new(pulp::Scalar, word))];
    philox4x32_lanes(&mut counters, key);
    counters[0].map(U32s::lanes)
}

/// Number of counters processed together, to fill the pipelines. Scalar code processes one: with
/// more, LLVM 22 (rustc 1.95) generates wrong SSE2 code, which this file's tests detect.
const fn side_by_side<S: Simd>() -> usize {
    if S::IS_SCALAR { 1 } else { 2 }
}

/// Computes a block in each lane of each counter, with long chains of products interleaved.
#[inline(always)]
fn philox4x32_lanes<S: Simd>(counters: &mut [[U32s<S>; 4]], mut key: [u32; 2]) {
    for _ in 0..ROUNDS {
        for counter in &mut *counters {
            let [c0, c1, c2, c3] = *counter;
            let (low0, high0) = c0.widening_mul(MULTIPLIER[0]);
            let (low1, high1) = c2.widening_mul(MULTIPLIER[1]);
            *counter = [
                high1.xor(c1).xor(c1.like(key[0])),
                low1,
                high0.xor(c3).xor(c3.like(key[1])),
                low0,
            ];
        }
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "a draw is the same bits")]
mod tests {
    use super::*;
    use crate::kernels::dispatch::width::same_bits;

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
        let row = same_bits(|| {
            let mut row = [0.0; 130];
            key.fill_uniform(9, &mut row);
            row
        });
        for (sample, &found) in row.iter().enumerate() {
            let (group, word, lane) = (sample / 64, sample % 64 / 16, sample % 16);
            let counter = u32::try_from(16 * group + lane).unwrap();
            let words = philox4x32([counter, 9, key.step, key.stream.word()], key.words());
            let word = U32s::new(pulp::Scalar, words[word]);
            assert_eq!(found, unit_interval(word).lanes());
        }
    }

    #[test]
    fn normal_draws_are_the_same_bits_on_every_width() {
        for len in [1, 16, 64, 100, 104, 130] {
            same_bits(|| {
                let mut row = vec![0.0; len];
                key(Stream::Layer(4)).fill_normal(5, &mut row);
                row
            });
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
