//! Sets of bytes, and sets of characters as sequences of them (UTF-8).

use super::expression::Expression;
use alloc::vec;
use alloc::vec::Vec;

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ByteSet([u64; 4]);

impl ByteSet {
    /// The bytes from `first` to `last`.
    pub fn range(first: u8, last: u8) -> Self {
        let mut set = Self::default();
        for byte in first..=last {
            set.0[usize::from(byte / 64)] |= 1 << (byte % 64);
        }
        set
    }

    /// Whether the byte is in it.
    pub fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte / 64)] >> (byte % 64) & 1 == 1
    }
}

/// The last character.
const CHAR_MAX: u32 = 0x10_FFFF;

/// A set of characters: ranges, ascending and apart.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CharSet {
    ranges: Vec<(u32, u32)>,
}

impl CharSet {
    /// Every character.
    pub fn all() -> Self {
        Self::of(&[(0, CHAR_MAX)])
    }

    /// The characters of these ranges, in any order.
    pub fn of(ranges: &[(u32, u32)]) -> Self {
        let mut sorted = ranges.to_vec();
        crate::sorting::sort_by_key(&mut sorted, |(first, _)| *first);
        let mut joined: Vec<(u32, u32)> = Vec::new();
        for (first, last) in sorted {
            match joined.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => joined.push((first, last)),
            }
        }
        Self { ranges: joined }
    }

    /// Both sets together.
    pub fn with(&self, other: &Self) -> Self {
        let mut ranges = self.ranges.clone();
        ranges.extend_from_slice(&other.ranges);
        Self::of(&ranges)
    }

    /// Every other character.
    pub fn complement(&self) -> Self {
        let mut ranges = Vec::new();
        let mut next = 0;
        for &(first, last) in &self.ranges {
            if first > next {
                ranges.push((next, first - 1));
            }
            next = last + 1;
        }
        if next <= CHAR_MAX {
            ranges.push((next, CHAR_MAX));
        }
        Self { ranges }
    }

    /// The characters that are in this set and not in the other.
    pub fn without(&self, other: &Self) -> Self {
        self.complement().with(other).complement()
    }

    /// Whether the character is in it.
    pub fn contains(&self, c: u32) -> bool {
        self.ranges
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&c))
    }

    /// The only character of the set.
    pub fn single(&self) -> Option<u32> {
        match self.ranges.as_slice() {
            [(first, last)] if first == last => Some(*first),
            _ => None,
        }
    }

    /// One character of the set, in UTF-8. An empty set matches nothing.
    pub fn expression(&self) -> Expression {
        let mut alternatives = Vec::new();
        // Surrogates are no characters.
        for &(first, last) in &self.ranges {
            for (low, high) in [(first, last.min(0xD7FF)), (first.max(0xE000), last)] {
                if low <= high {
                    utf8(low, high, &mut alternatives);
                }
            }
        }
        Expression::any_of(alternatives)
    }
}

/// Sequences of byte ranges that together are the characters from `first` to `last`.
fn utf8(first: u32, last: u32, out: &mut Vec<Expression>) {
    // Apart by length of their encoding.
    for (low, high, n) in [
        (0, 0x7F, 1),
        (0x80, 0x7FF, 2),
        (0x800, 0xFFFF, 3),
        (0x1_0000, CHAR_MAX, 4),
    ] {
        let (low, high) = (first.max(low), last.min(high));
        if low <= high {
            same_length(low, high, n, out);
        }
    }
}

/// The same, all characters having `n` bytes.
fn same_length(first: u32, last: u32, n: u32, out: &mut Vec<Expression>) {
    // Apart until all trailing bytes are free, or first and last differ in the last one only.
    for trailing in 1..n {
        let mask = (1 << (6 * trailing)) - 1;
        if first & !mask != last & !mask {
            if first & mask != 0 {
                same_length(first, first | mask, n, out);
                return same_length((first | mask) + 1, last, n, out);
            }
            if last & mask != mask {
                same_length(first, (last & !mask) - 1, n, out);
                return same_length(last & !mask, last, n, out);
            }
        }
    }
    let (first, last) = (encoded(first, n), encoded(last, n));
    let bytes = first.iter().zip(&last).take(n as usize);
    let sets = bytes.map(|(a, b)| Expression::Bytes(ByteSet::range(*a, *b)));
    out.push(Expression::Sequence(sets.collect()));
}

/// The `n` bytes of a character.
fn encoded(c: u32, n: u32) -> [u8; 4] {
    let trailing = |shift: u32| 0x80 | (c >> shift & 0x3F) as u8;
    match n {
        1 => [c as u8, 0, 0, 0],
        2 => [0xC0 | (c >> 6) as u8, trailing(0), 0, 0],
        3 => [0xE0 | (c >> 12) as u8, trailing(6), trailing(0), 0],
        _ => [
            0xF0 | (c >> 18) as u8,
            trailing(12),
            trailing(6),
            trailing(0),
        ],
    }
}

/// These bytes, one after the other.
pub(super) fn literal(bytes: &[u8]) -> Expression {
    let mut sequence = vec![];
    for &byte in bytes {
        sequence.push(Expression::Bytes(ByteSet::range(byte, byte)));
    }
    Expression::Sequence(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(expression: &Expression, text: &[u8]) -> bool {
        let Expression::OneOf(alternatives) = expression else {
            return sequence_matches(expression, text);
        };
        alternatives.iter().any(|one| sequence_matches(one, text))
    }

    fn sequence_matches(expression: &Expression, text: &[u8]) -> bool {
        let Expression::Sequence(parts) = expression else {
            return false;
        };
        let is_in = |(part, byte): (&Expression, &u8)| match part {
            Expression::Bytes(set) => set.contains(*byte),
            _ => false,
        };
        parts.len() == text.len() && parts.iter().zip(text).all(is_in)
    }

    #[test]
    fn utf8_of_a_set_is_that_of_its_characters() {
        let set = CharSet::of(&[
            (0x20, 0x21),
            (0x23, 0x5B),
            (0x5D, 0xD123),
            (0xE100, 0x1_0123),
        ]);
        for set in [
            set.clone(),
            set.complement(),
            CharSet::all(),
            CharSet::of(&[(0x7F, 0x801)]),
        ] {
            let expression = set.expression();
            for c in (0..0x11_0000u32).filter(|c| c % 13 == 0 || *c < 0x900 || c % 256 < 3) {
                let Some(text) = char::from_u32(c) else {
                    continue;
                };
                let is_in = matches(&expression, text.encode_utf8(&mut [0; 4]).as_bytes());
                assert_eq!(is_in, set.contains(c), "{c:x}");
            }
        }
    }
}
