//! Text that differs from run to run of a loop and never from machine to machine.
//!
//! xorshift64 (Marsaglia, 2003): good enough to reach every branch of a tokenizer, nothing more.

/// The generator.
#[derive(Clone, Debug)]
pub struct RandomText {
    state: u64,
}

impl Default for RandomText {
    fn default() -> RandomText {
        RandomText {
            state: 0x9e37_79b9_7f4a_7c15,
        }
    }
}

impl RandomText {
    /// The next number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) % n
    }

    /// Fewer than `n_max` characters: letters, spaces, ASCII, Latin to Thai, Chinese, anything.
    pub fn text(&mut self, n_max: u64) -> String {
        let n = self.below(n_max);
        (0..n).filter_map(|_| self.character()).collect()
    }

    fn character(&mut self) -> Option<char> {
        let code = match self.below(8) {
            0 => 32,
            1 => self.below(0x11_0000),
            2 => self.below(0x80),
            3 => 0xA0 + self.below(0x3000),
            4 => 0x4E00 + self.below(0x5000),
            _ => 97 + self.below(26),
        };
        char::from_u32(code as u32)
    }
}
