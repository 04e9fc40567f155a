//! The fold: a cheap integer summary of all bits of a row of logits, taken after every step.
//!
//! Four independent lanes, so that a vector unit does four logits at once; integers only, so that
//! every build agrees. It is no cryptographic hash: SHA-256 chains its results into a run digest.

/// Starting values of the four lanes: the first four words of SHA-256's initial state.
pub const FOLD_START: [u32; 4] = [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A];

/// Added after each logit, so that runs of equal logits still move the lanes (2^32 / golden ratio).
pub const FOLD_STEP: u32 = 0x9E37_79B9;

/// The one bit pattern that stands for every NaN.
pub const CANONICAL_NAN_BITS: u32 = 0x7FC0_0000;

/// The bits of `value`, every NaN as [`CANONICAL_NAN_BITS`]; +0 and -0 stay apart.
pub const fn canonical_bits(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits & 0x7FFF_FFFF > 0x7F80_0000 {
        CANONICAL_NAN_BITS
    } else {
        bits
    }
}

/// `h[l] = (rotl(h[l], 9) ^ canonical_bits(logits[i])) + 0x9E3779B9` with `l = i mod 4`, wrapping.
///
/// `logits: [vocab_size]`; indices ascend; no logits give the starting values.
pub fn fold_logits(logits: &[f32]) -> [u32; 4] {
    let mut lanes = FOLD_START;
    let step = |lane: &mut u32, logit: &f32| {
        *lane = (lane.rotate_left(9) ^ canonical_bits(*logit)).wrapping_add(FOLD_STEP);
    };
    // Whole groups apart from the rest, so that a compiler keeps the lanes in one vector.
    let (groups, rest) = logits.as_chunks::<4>();
    for group in groups {
        lanes
            .iter_mut()
            .zip(group)
            .for_each(|(lane, logit)| step(lane, logit));
    }
    lanes
        .iter_mut()
        .zip(rest)
        .for_each(|(lane, logit)| step(lane, logit));
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formula again, one logit at a time, as it is written in the specification.
    fn fold_by_index(logits: &[f32]) -> [u32; 4] {
        let mut h = FOLD_START;
        for (i, logit) in logits.iter().enumerate() {
            let bits = if logit.is_nan() {
                0x7FC0_0000
            } else {
                logit.to_bits()
            };
            h[i % 4] = (h[i % 4].rotate_left(9) ^ bits).wrapping_add(FOLD_STEP);
        }
        h
    }

    #[test]
    fn equals_the_formula_at_every_length() {
        let logits: [f32; 33] = core::array::from_fn(|i| i as f32 * -0.37 + 3.0);
        for n in 0..=logits.len() {
            assert_eq!(fold_logits(&logits[..n]), fold_by_index(&logits[..n]));
        }
    }

    #[test]
    fn every_nan_is_the_same_and_zeros_differ() {
        let quiet = f32::from_bits(0x7FC0_0001);
        let negative = f32::from_bits(0xFFC0_0000);
        assert_eq!(fold_logits(&[quiet, 1.0]), fold_logits(&[negative, 1.0]));
        assert_ne!(fold_logits(&[0.0]), fold_logits(&[-0.0]));
        assert_ne!(fold_logits(&[f32::INFINITY]), fold_logits(&[quiet]));
    }

    #[test]
    fn a_known_value() {
        assert_eq!(fold_logits(&[]), FOLD_START);
        let lane = (0x6A09_E667_u32.rotate_left(9) ^ 0x3F80_0000).wrapping_add(0x9E37_79B9);
        assert_eq!(fold_logits(&[1.0])[0], lane);
    }
}
