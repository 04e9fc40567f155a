//! Random numbers from a counter: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy
//! as 1, 2, 3", 2011). No state, no order of drawing: (seed, purpose, index) names the number.

/// What random numbers are for; each purpose is a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The choice of a token.
    Sample,
    /// Values of the kernels' self test.
    SelfTest,
    /// Weights of test models.
    TestWeights,
}

impl Purpose {
    fn id(self) -> u32 {
        match self {
            Self::Sample => 1,
            Self::SelfTest => 2,
            Self::TestWeights => 3,
        }
    }
}

/// Four random words.
pub fn draw(seed: u64, purpose: Purpose, index: u64) -> [u32; 4] {
    let key = [seed as u32, (seed >> 32) as u32];
    philox([index as u32, (index >> 32) as u32, purpose.id(), 0], key)
}

/// A number in 0..1 from 24 bits of a word.
pub fn unit_f32(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

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
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}
