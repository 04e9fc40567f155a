//! SHA-256 (FIPS 180-4, 2015), streaming, in portable safe Rust.
//!
//! Whole blocks are compressed straight from the caller's slice; only a block's rest is copied.
//! Rounds are unrolled by eight, after the message schedule is made: unrolled by sixteen, each
//! making its own word, they are three times the code. Nothing allocates, nothing panics.

use super::Digest;

const BLOCK_BYTES: usize = 64;

/// Round constants: fractional parts of the cube roots of the first 64 primes.
#[rustfmt::skip]
const K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// Initial state: fractional parts of the square roots of the first eight primes.
#[rustfmt::skip]
const START: [u32; 8] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

/// A SHA-256 in progress.
#[derive(Clone)]
pub struct Sha256 {
    state: [u32; 8],
    /// The beginning of a block that is not whole yet; `n_bytes % 64` bytes of it count.
    block: [u8; BLOCK_BYTES],
    n_bytes: u64,
}

impl Sha256 {
    /// The digest of nothing, so far.
    pub const fn new() -> Self {
        Sha256 {
            state: START,
            block: [0; BLOCK_BYTES],
            n_bytes: 0,
        }
    }

    /// Digests more bytes; how they are cut into calls does not matter.
    pub fn update(&mut self, bytes: &[u8]) -> &mut Self {
        let held = (self.n_bytes % BLOCK_BYTES as u64) as usize;
        self.n_bytes = self.n_bytes.wrapping_add(bytes.len() as u64);
        let mut bytes = bytes;
        if held > 0 {
            let (first, rest) = bytes.split_at(bytes.len().min(BLOCK_BYTES - held));
            self.block[held..held + first.len()].copy_from_slice(first);
            bytes = rest;
            if held + first.len() < BLOCK_BYTES {
                return self;
            }
            let block = self.block;
            compress(&mut self.state, &block);
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
        for block in blocks {
            compress(&mut self.state, block);
        }
        self.block[..rest.len()].copy_from_slice(rest);
        self
    }

    /// The digest of everything given so far.
    pub fn finish(mut self) -> Digest {
        let n_bits = self.n_bytes.wrapping_mul(8);
        let held = (self.n_bytes % BLOCK_BYTES as u64) as usize;
        // A one bit, then zeros up to 8 bytes before the end of a block, then the length.
        let mut padding = [0; BLOCK_BYTES];
        padding[0] = 0x80;
        let n_padding = if held < 56 { 56 - held } else { 120 - held };
        self.update(&padding[..n_padding]);
        self.update(&n_bits.to_be_bytes());
        let mut bytes = [0; 32];
        for (out, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(self.state) {
            *out = word.to_be_bytes();
        }
        Digest(bytes)
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Sha256::new()
    }
}

/// The digest of `bytes`.
pub fn sha256(bytes: &[u8]) -> Digest {
    let mut hash = Sha256::new();
    hash.update(bytes);
    hash.finish()
}

/// One round. The eight state words are passed in rotated order instead of being moved.
macro_rules! round {
    ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $k_plus_w:expr) => {
        let sum1 = $e.rotate_right(6) ^ $e.rotate_right(11) ^ $e.rotate_right(25);
        let choice = $g ^ ($e & ($f ^ $g));
        let t1 = $h
            .wrapping_add(sum1)
            .wrapping_add(choice)
            .wrapping_add($k_plus_w);
        let sum0 = $a.rotate_right(2) ^ $a.rotate_right(13) ^ $a.rotate_right(22);
        let majority = ($a & $b) ^ ($c & ($a ^ $b));
        $d = $d.wrapping_add(t1);
        $h = t1.wrapping_add(sum0).wrapping_add(majority);
    };
}

/// The message schedule of a block.
fn schedule(block: &[u8; BLOCK_BYTES]) -> [u32; 64] {
    let (words, _) = block.as_chunks::<4>();
    let mut w = [0; 64];
    for (w, bytes) in w.iter_mut().zip(words) {
        *w = u32::from_be_bytes(*bytes);
    }
    for i in 16..w.len() {
        let (early, late) = (w[i - 15], w[i - 2]);
        let sigma0 = early.rotate_right(7) ^ early.rotate_right(18) ^ (early >> 3);
        let sigma1 = late.rotate_right(17) ^ late.rotate_right(19) ^ (late >> 10);
        w[i] = w[i - 16]
            .wrapping_add(sigma0)
            .wrapping_add(w[i - 7])
            .wrapping_add(sigma1);
    }
    w
}

/// Mixes one block into the state.
fn compress(state: &mut [u32; 8], block: &[u8; BLOCK_BYTES]) {
    let w = schedule(block);
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for (w, k) in w.as_chunks::<8>().0.iter().zip(K.as_chunks::<8>().0) {
        round!(a b c d e f g h, w[0].wrapping_add(k[0]));
        round!(h a b c d e f g, w[1].wrapping_add(k[1]));
        round!(g h a b c d e f, w[2].wrapping_add(k[2]));
        round!(f g h a b c d e, w[3].wrapping_add(k[3]));
        round!(e f g h a b c d, w[4].wrapping_add(k[4]));
        round!(d e f g h a b c, w[5].wrapping_add(k[5]));
        round!(c d e f g h a b, w[6].wrapping_add(k[6]));
        round!(b c d e f g h a, w[7].wrapping_add(k[7]));
    }
    for (word, mixed) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(mixed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, vec, vec::Vec};

    fn check(message: &[u8], hex: &str) {
        assert_eq!(format!("{}", sha256(message)), hex);
    }

    #[test]
    fn nist_vectors() {
        check(
            b"",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        );
        check(
            b"abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        );
        check(
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        );
        check(
            b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno\
              ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
        );
        check(
            &vec![b'a'; 1_000_000],
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
        );
        // From the byte-oriented message tests of NIST's validation suite (SHA256ShortMsg).
        check(
            &[0xd3],
            "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1",
        );
        check(
            &[0xc9, 0x8c, 0x8e, 0x55],
            "7abc22c0ae5af26ce93dbb94433a0e0b2e119d014f8e7f65bd56c61ccccd9504",
        );
    }

    #[test]
    fn cutting_into_calls_changes_nothing() {
        let message: Vec<u8> = (0..300_u32).map(|i| (i * 7 % 251) as u8).collect();
        for n_bytes in 0..message.len() {
            let message = &message[..n_bytes];
            let whole = sha256(message);
            for cut in [0, 1, 55, 56, 63, 64, 65, 128, n_bytes] {
                let (first, rest) = message.split_at(cut.min(n_bytes));
                let mut hash = Sha256::new();
                hash.update(first).update(rest);
                assert_eq!(hash.finish(), whole, "{n_bytes} bytes cut at {cut}");
            }
        }
    }
}
