//! Random numbers from a counter: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy
//! as 1, 2, 3", 2011). No state, no order of drawing: (seed, purpose, index) names the number.
//!
//! Nothing that reaches a digest may take random numbers from anywhere else.

/// What random numbers are for; each purpose is a stream of its own. Ids never change, because
/// replays depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The choice of a token; index: the place of that token in the session, prompt included.
    Sample,
    /// Values of the kernels' self test.
    SelfTest,
    /// Weights and texts of test models.
    TestWeights,
    /// Directions of a sketch for singular values; index: place in the matrix of directions.
    Sketch,
    /// Noise of a blend of adapters; index: tensor * 2^40 + place.
    BlendNoise,
}

impl Purpose {
    /// The third word of the counter.
    pub const fn id(self) -> u32 {
        match self {
            Self::Sample => 1,
            Self::SelfTest => 2,
            Self::TestWeights => 3,
            Self::Sketch => 4,
            Self::BlendNoise => 5,
        }
    }
}

/// Four random words: key = seed, counter = (index, purpose, 0), low words first.
pub fn draw(seed: u64, purpose: Purpose, index: u64) -> [u32; 4] {
    philox(
        [index as u32, (index >> 32) as u32, purpose.id(), 0],
        [seed as u32, (seed >> 32) as u32],
    )
}

/// A number in `0.0..1.0`: the upper 24 bits of a word, times 2^-24.
pub fn unit_f32(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// A number in `0.0..1.0`: the upper 53 bits of `high * 2^32 + low`, times 2^-53.
pub fn unit_f64(high: u32, low: u32) -> f64 {
    let bits = (u64::from(high) << 32 | u64::from(low)) >> 11;
    bits as f64 * (1.0 / 9_007_199_254_740_992.0)
}

/// A whole number in `0..n`: `floor((high * 2^32 + low) * n / 2^64)`; 0 for `n` = 0. No value is
/// more likely than another by more than 2^-32 of its chance, since `n` is below 2^32.
pub fn bounded(high: u32, low: u32, n: u32) -> u32 {
    // (high * 2^32 + low) * n / 2^64, without 128-bit arithmetic.
    let low = (u64::from(low) * u64::from(n)) >> 32;
    ((u64::from(high) * u64::from(n) + low) >> 32) as u32
}

/// Ten rounds of Philox 4x32.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(counter[0]) * 0xd251_1f53;
        let b = u64::from(counter[2]) * 0xcd9e_8d57;
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [
            key[0].wrapping_add(0x9e37_79b9),
            key[1].wrapping_add(0xbb67_ae85),
        ];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(counter: [u32; 4], key: [u32; 2], expected: [u32; 4]) {
        assert_eq!(philox(counter, key), expected);
    }

    /// The known answers that the authors' library, Random123, ships for philox4x32 10.
    #[test]
    fn known_answers() {
        let ones = u32::MAX;
        check(
            [0; 4],
            [0; 2],
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
        );
        check(
            [ones; 4],
            [ones; 2],
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
        );
        check(
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0],
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
        );
    }

    #[test]
    fn draw_places_its_arguments() {
        let expected = philox([0x5555_6666, 0x3333_4444, 1, 0], [0xbbbb_cccc, 0x9999_aaaa]);
        let drawn = draw(
            0x9999_aaaa_bbbb_cccc,
            Purpose::Sample,
            0x3333_4444_5555_6666,
        );
        assert_eq!(drawn, expected);
        assert_ne!(
            draw(0, Purpose::SelfTest, 0),
            draw(0, Purpose::TestWeights, 0)
        );
    }

    #[test]
    fn unit_numbers_stay_below_one() {
        assert_eq!(unit_f32(0), 0.0);
        assert_eq!(unit_f32(u32::MAX), 1.0 - f32::EPSILON / 2.0);
        assert_eq!(unit_f64(0, 0), 0.0);
        assert_eq!(unit_f64(u32::MAX, u32::MAX), 1.0 - f64::EPSILON / 2.0);
        assert_eq!(unit_f64(1 << 31, 0), 0.5);
    }

    #[test]
    fn bounded_numbers_are_the_scaled_fraction() {
        for n in [0, 1, 2, 3, 10, 1 << 16, u32::MAX] {
            for index in 0..200 {
                let [high, low, ..] = draw(7, Purpose::SelfTest, index);
                let word = u64::from(high) << 32 | u64::from(low);
                let wide = (u128::from(word) * u128::from(n)) >> 64;
                assert_eq!(u128::from(bounded(high, low, n)), wide);
            }
            assert_eq!(bounded(u32::MAX, u32::MAX, n), n.saturating_sub(1));
        }
    }
}
