//! Philox4x32-10: random numbers that are a pure function of (seed, step, stream, element).
//!
//! Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". Nothing is carried from one draw to the next, so
//! resuming, lanes and launch geometry never change a number, and a checkpoint needs only the step.
//! `shaders/shared/random.wgsl` is the same arithmetic: integers are identical on every engine.

use crate::engine::Real;

/// The ten-round Philox bijection of a counter under a key.
#[inline(always)]
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(counter[0]) * 0xD251_1F53;
        let b = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [(b >> 32) as u32 ^ counter[1] ^ key[0], b as u32, (a >> 32) as u32 ^ counter[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

/// The counter of element `element` of stream `stream` at update `step`.
#[inline(always)]
pub const fn counter(step: u32, stream: u32, element: u32) -> [u32; 4] {
    [step, stream, element, 0]
}

/// A 64-bit seed as a key.
pub const fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

/// A number in [0, 1) with 24 bits: exact at f32.
#[inline(always)]
pub fn uniform<R: Real>(bits: u32) -> R {
    R::of(f64::from(bits >> 8)) * R::of(1.0 / 16_777_216.0)
}

/// Two standard normals from two words (Box and Muller 1958). The radius is at most 5.77.
#[inline(always)]
pub fn normal_pair<R: Real>(radius_bits: u32, angle_bits: u32) -> (R, R) {
    let u = R::of(f64::from((radius_bits >> 8) + 1)) * R::of(1.0 / 16_777_216.0); // in (0, 1]
    let radius = (R::of(-2.0) * u.ln()).at_least(R::ZERO).sqrt();
    let (sin, cos) = uniform::<R>(angle_bits).sin_cos_turns();
    (radius * cos, radius * sin)
}

/// An index below `count`, from one word: the high half of a product, so that no division is needed. Its bias is below
/// `count` / 2^32.
#[inline(always)]
pub fn below(bits: u32, count: u32) -> u32 {
    ((u64::from(bits) * u64::from(count)) >> 32) as u32
}

/// Streams of random numbers: every use has its own, so that no two draws share a number.
pub mod stream {
    /// Rows of the batch.
    pub const BATCH: u32 = 0;
    /// Noise of the actions in the TD target.
    pub const Z_NEXT: u32 = 1;
    /// Noise of the distilled and guiding actions.
    pub const Z: u32 = 2;
    /// Starting points of the flow-matching paths.
    pub const X0: u32 = 3;
    /// Times of the flow-matching paths.
    pub const T: u32 = 4;
    /// Noise of acting policies.
    pub const ACT: u32 = 5;
    /// Initial weights: this plus the number of the tensor.
    pub const WEIGHTS: u32 = 1 << 16;
    /// Added to every stream of a validation pass.
    pub const VALIDATION: u32 = 1 << 8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_published_answers() {
        // Known-answer vectors of the Random123 distribution (kat_vectors, philox4x32 10).
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([!0; 4], [!0; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn normals_have_the_moments_of_a_normal_and_agree_between_precisions() {
        let (mut sum, mut square, mut fourth, n) = (0.0, 0.0, 0.0, 200_000);
        for i in 0..n / 4 {
            let bits = philox(counter(7, stream::Z, i), key(3));
            for (a, b) in [(bits[0], bits[1]), (bits[2], bits[3])] {
                let (x, y) = normal_pair::<f64>(a, b);
                let (x32, y32) = normal_pair::<f32>(a, b);
                assert!((x - f64::from(x32)).abs() < 2e-6 && (y - f64::from(y32)).abs() < 2e-6);
                for v in [x, y] {
                    sum += v;
                    square += v * v;
                    fourth += v.powi(4);
                }
            }
        }
        let n = f64::from(n);
        assert!((sum / n).abs() < 0.01 && (square / n - 1.0).abs() < 0.01 && (fourth / n - 3.0).abs() < 0.06);
    }

    #[test]
    fn indices_are_uniform() {
        let mut counts = [0u32; 10];
        for i in 0..100_000 {
            counts[below(philox(counter(0, stream::BATCH, i), key(1))[0], 10) as usize] += 1;
        }
        assert!(counts.iter().all(|&c| c.abs_diff(10_000) < 400), "{counts:?}");
    }
}
