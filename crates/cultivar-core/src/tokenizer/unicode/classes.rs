//! What kind of character one is: the question that every splitter asks of every character.
//!
//! ASCII is a table of 128 bytes, the rest a binary search over runs. White space is the standard
//! library's `White_Space`, which has not changed since Unicode 6.3.

use super::{Numbers, tables};
use alloc::vec::Vec;

/// Disjoint kinds; general categories but for white space, which goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CharKind {
    /// `\s`
    Space,
    /// `\p{L}`
    Letter,
    /// `\p{N}`
    Number,
    /// `\p{P}`
    Punctuation,
    /// Symbols, marks, controls and what is not assigned.
    Other,
}

/// The unpacked table.
#[derive(Clone, Debug)]
pub struct Classes {
    /// Of each of the 128.
    ascii: Vec<CharKind>,
    /// Per run its first code point and what it holds; `Other` between them.
    runs: Vec<(u32, CharKind)>,
    #[cfg(test)]
    pub n_questions: core::cell::Cell<usize>,
}

impl Classes {
    /// Unpacks the table: `CLASS_RUNS` holds per run the code points since the end of the last
    /// one, then `(length - 1) * 3 + group`.
    pub fn new() -> Classes {
        let mut runs = Vec::new();
        let mut numbers = Numbers {
            rest: tables::CLASS_RUNS,
        };
        let mut next = 0;
        while let (Some(gap), Some(run)) = (numbers.next(), numbers.next()) {
            let kind = match run % 3 {
                0 => CharKind::Letter,
                1 => CharKind::Number,
                _ => CharKind::Punctuation,
            };
            let first = next + gap;
            if gap > 0 {
                runs.push((next, CharKind::Other));
            }
            runs.push((first, kind));
            next = first + run / 3 + 1;
        }
        runs.push((next, CharKind::Other));
        let mut classes = Classes {
            ascii: Vec::new(),
            runs,
            #[cfg(test)]
            n_questions: core::cell::Cell::new(0),
        };
        let ascii = (0..128u8).map(|code| classes.find(char::from(code)));
        classes.ascii = ascii.collect();
        classes
    }

    /// The kind of a character.
    pub fn of(&self, character: char) -> CharKind {
        #[cfg(test)]
        self.n_questions.set(self.n_questions.get() + 1);
        match self.ascii.get(character as usize) {
            Some(kind) => *kind,
            None => self.find(character),
        }
    }

    fn find(&self, character: char) -> CharKind {
        if character.is_whitespace() {
            return CharKind::Space;
        }
        let code = character as u32;
        let idx = self.runs.partition_point(|(first, _)| *first <= code);
        let run = idx.checked_sub(1).and_then(|idx| self.runs.get(idx));
        run.map_or(CharKind::Other, |(_, kind)| *kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_known_characters() {
        let classes = Classes::new();
        for (characters, kind) in [
            (" \t\n\r\u{b}\u{85}\u{a0}\u{2028}\u{3000}", CharKind::Space),
            ("azAZµßǅʰאا一龥가\u{10D4A}\u{323AF}", CharKind::Letter),
            ("09²½Ⅷ٣〇\u{1FBF9}", CharKind::Number),
            ("!\"%&'()*,-./:;?@[\\]_{}¡«‐、。！", CharKind::Punctuation),
            (
                "$+<=>^`|~\0\u{7f}\u{300}✅\u{e000}\u{10ffff}\u{378}",
                CharKind::Other,
            ),
        ] {
            for character in characters.chars() {
                assert_eq!(classes.of(character), kind, "{character:?}");
            }
        }
    }

    #[test]
    fn letters_and_numbers_are_the_standard_librarys_but_for_what_is_newer() {
        let classes = Classes::new();
        let mut n_differences = 0;
        for character in (0..0x11_0000).filter_map(char::from_u32) {
            let kind = classes.of(character);
            n_differences += usize::from(character.is_numeric() != (kind == CharKind::Number));
            assert!(
                kind != CharKind::Letter || character.is_alphabetic(),
                "{character:?}"
            );
        }
        assert!(n_differences < 100, "{n_differences}");
    }
}
