//! The letters that byte-level BPE writes for bytes, and back (GPT-2, `bytes_to_unicode`).
//!
//! Bytes that are visible in Latin-1 stand for themselves; the others are U+0100 and up, in order.

use alloc::string::String;
use alloc::vec::Vec;

/// Whether a byte is written as the character of its own number.
const fn is_itself(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// Byte of each letter from U+0100 on.
const MOVED: [u8; 68] = {
    let mut table = [0; 68];
    let (mut byte, mut idx) = (0u8, 0);
    while idx < 68 {
        if !is_itself(byte) {
            table[idx] = byte;
            idx += 1;
        }
        byte = byte.wrapping_add(1);
    }
    table
};

/// The byte that a letter stands for.
fn byte_of(letter: char) -> Option<u8> {
    let code = letter as usize;
    match code.checked_sub(0x100) {
        Some(idx) => MOVED.get(idx).copied(),
        None => u8::try_from(code).ok().filter(|byte| is_itself(*byte)),
    }
}

/// The bytes that a written piece means; nothing if a character is no letter of the alphabet.
pub(super) fn bytes_of(piece: &str) -> Option<Vec<u8>> {
    piece.chars().map(byte_of).collect()
}

/// The letter that a byte is written as.
fn letter_of(byte: u8) -> char {
    let moved = MOVED.iter().position(|known| *known == byte);
    let code = moved.map_or(u32::from(byte), |idx| 0x100 + idx as u32);
    char::from_u32(code).unwrap_or_default()
}

/// Bytes as the alphabet writes them.
pub(crate) fn written(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| letter_of(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_a_bijection() {
        let letters = (0..0x200).filter_map(char::from_u32);
        let mut bytes: Vec<u8> = letters.filter_map(byte_of).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!(bytes_of(&written(&bytes)), Some(bytes));
    }

    #[test]
    fn known_pieces() {
        assert_eq!(bytes_of("Ġhello").unwrap(), b" hello");
        assert_eq!(bytes_of("Ċ").unwrap(), b"\n");
        assert_eq!(bytes_of("Ã¼").unwrap(), "ü".as_bytes());
        assert_eq!(bytes_of("a b"), None);
        assert_eq!(bytes_of("▁"), None);
    }
}
