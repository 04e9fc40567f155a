//! SentencePiece's normalization table: a double array of texts (Darts) and what each becomes.
//!
//! ```text
//! u32 length of the array in bytes · units of the array, u32 each · texts, each ended by a zero
//! unit: label in the low 8 bits · bit 8: a value follows · bits 10 on: offset, times 256 if bit 9
//! ```
//! From a unit at place `p` the byte `c` leads to place `p ^ offset ^ c`, if the unit there has
//! that label; the value of a unit stands at `p ^ offset`. Texts that end alike share their units
//! (nmt_nfkc: 44,800 units for 225,276 texts), so that how often units are visited is limited
//! instead. Source: SentencePiece `normalizer.cc`, darts-clone `darts.h`.

use super::json_fields::bad;
use crate::error::ImportError;
use alloc::vec::Vec;
use cultivar_core::memory;
use cultivar_core::sorting::sort;

/// Longest text of a table; real ones have 12 bytes.
const KEY_BYTES_MAX: usize = 32;

/// How many units are visited at most; nmt_nfkc's table takes 233,154 visits.
const VISITS_MAX: usize = 1 << 19;

/// A table's texts and what each becomes, in ascending order of the texts.
pub(super) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Reads a table; `field` is what errors call it.
pub(super) fn pairs(table: &[u8], field: &str) -> Result<Pairs, ImportError> {
    let broken = || bad(field);
    let (len, rest) = table.split_first_chunk::<4>().ok_or_else(broken)?;
    let len = u32::from_le_bytes(*len) as usize;
    let (array, texts) = rest.split_at_checked(len).ok_or_else(broken)?;
    let (words, odd) = array.as_chunks::<4>();
    if !odd.is_empty() {
        return Err(broken());
    }
    let unit = |place: usize| words.get(place).map(|word| u32::from_le_bytes(*word));
    let mut n_visits = 0;
    let mut pairs = Pairs::new();
    let root = unit(0).ok_or_else(broken)?;
    // Where the children of a unit are counted from, and the bytes that led there.
    let mut waiting = Vec::from([(offset(root), Vec::new())]);
    while let Some((base, key)) = waiting.pop() {
        for byte in 1..=u8::MAX {
            let place = base ^ usize::from(byte);
            let Some(found) = unit(place).filter(|unit| is_labelled(*unit, byte)) else {
                continue;
            };
            n_visits += 1;
            if n_visits > VISITS_MAX || key.len() >= KEY_BYTES_MAX {
                return Err(broken());
            }
            let mut longer: Vec<u8> = key.clone();
            longer.push(byte);
            let next = place ^ offset(found);
            if found >> 8 & 1 == 1 {
                let value = unit(next).ok_or_else(broken)? & 0x7FFF_FFFF;
                let text = texts.get(value as usize..).unwrap_or_default();
                let end = text.iter().position(|byte| *byte == 0).ok_or_else(broken)?;
                let text = text.get(..end).unwrap_or_default();
                if core::str::from_utf8(&longer).is_err() || core::str::from_utf8(text).is_err() {
                    return Err(broken());
                }
                pairs.push((longer.clone(), text.to_vec()));
            }
            waiting.push((next, longer));
        }
    }
    sort(&mut pairs);
    Ok(pairs)
}

fn is_labelled(unit: u32, byte: u8) -> bool {
    unit & 0x8000_00FF == u32::from(byte)
}

fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & 1 << 9) >> 6)) as usize
}

/// The bytes that a text of base 64 stands for.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut out = memory::reserved(text.len() / 4 * 3 + 3)?;
    let (mut bits, mut n_bits) = (0u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        bits = bits << 6 | u32::from(digit(byte)?);
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            out.push((bits >> n_bits) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table that maps `a` to `x` and `ab` to nothing.
    fn table() -> Vec<u8> {
        let mut units = [0u32; 512];
        // The root's children are counted from 256.
        units[0] = 256 << 10;
        let (a, b) = (256 ^ 0x61, 300 ^ 0x62);
        units[a] = (a as u32 ^ 300) << 10 | 1 << 8 | 0x61;
        units[300] = 1 << 31;
        units[b] = (b as u32 ^ 400) << 10 | 1 << 8 | 0x62;
        units[400] = 1 << 31 | 2;
        let mut table = 2048u32.to_le_bytes().to_vec();
        units
            .iter()
            .for_each(|unit| table.extend(unit.to_le_bytes()));
        table.extend(b"x\0\0");
        table
    }

    #[test]
    fn a_table_is_read_and_every_damage_is_met() {
        let good = table();
        let found = pairs(&good, "t").unwrap();
        assert_eq!(
            found,
            [(b"a".to_vec(), b"x".to_vec()), (b"ab".to_vec(), Vec::new())]
        );
        for end in 0..good.len() {
            assert!(pairs(&good[..end], "t").is_err() || end == good.len());
        }
        let with = |place: usize, unit: u32| {
            let mut bytes = good.clone();
            bytes[4 + place * 4..8 + place * 4].copy_from_slice(&unit.to_le_bytes());
            bytes
        };
        // A unit that leads back to itself, a value behind the texts, a byte that is no text.
        let a = 256 ^ 0x61;
        let circle = with(a, (a as u32 ^ 256) << 10 | 0x61);
        assert_eq!(pairs(&circle, "t").unwrap_err().field.as_str(), "t");
        assert!(pairs(&with(300, 99), "t").is_err());
        let lone = 256 ^ 0xE3;
        assert!(pairs(&with(lone, (lone as u32 ^ 300) << 10 | 1 << 8 | 0xE3), "t").is_err());
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                let _: Result<_, _> = pairs(&bytes, "t");
            }
        }
    }

    #[test]
    fn base_64_is_read() {
        assert_eq!(base64("").unwrap(), b"");
        assert_eq!(base64("aGVsbG8+/w==").unwrap(), b"hello>\xFF");
        assert_eq!(base64("a-"), None);
    }
}
