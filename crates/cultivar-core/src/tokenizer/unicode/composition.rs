//! Canonical composition (NFC, Unicode Standard Annex 15): decompose, order the marks, compose.
//!
//! Text is taken in stretches that begin with an ASCII character: none of those combines with
//! what stands before it, so the stretches can be normalised one by one. Whatever has no byte
//! above 0xCB holds only characters below U+0300 and is its own normal form. Time is n log n in
//! the longest row of marks and linear otherwise.

use super::{Numbers, tables};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// The first byte of U+0300 in UTF-8: nothing below that character changes.
const FIRST_BYTE: u8 = 0xCC;

const HANGUL_FIRST: u32 = 0xAC00;
const LEAD_FIRST: u32 = 0x1100;
const VOWEL_FIRST: u32 = 0x1161;
/// One before the first trailing consonant: index 0 is "none".
const TRAIL_BASE: u32 = 0x11A7;
const N_LEADS: u32 = 19;
const N_VOWELS: u32 = 21;
const N_TRAILS: u32 = 28;

/// The unpacked tables.
#[derive(Clone, Debug)]
pub struct Composer {
    /// Character, first and second part (0: none), ascending.
    parts: Vec<[u32; 3]>,
    /// First and second part and what they compose to, ascending.
    wholes: Vec<[u32; 3]>,
    /// First and last code point of a run and its combining class, ascending.
    combining: Vec<[u32; 3]>,
}

impl Composer {
    /// Unpacks the tables: `COMBINING_RUNS` holds per run the code points since the end of the
    /// last one, its length less 1 and its class; `CANONICAL` per character the code points since
    /// the last one, twice, plus 1 if it is composed again, its first part, and its second part's
    /// distance from U+02FF (0: none).
    pub fn new() -> Composer {
        let mut composer = Composer {
            parts: Vec::new(),
            wholes: Vec::new(),
            combining: Vec::new(),
        };
        let mut numbers = Numbers {
            rest: tables::COMBINING_RUNS,
        };
        let mut next = 0;
        while let (Some(gap), Some(len), Some(class)) =
            (numbers.next(), numbers.next(), numbers.next())
        {
            let first = next + gap;
            composer.combining.push([first, first + len, class]);
            next = first + len + 1;
        }
        let mut numbers = Numbers {
            rest: tables::CANONICAL,
        };
        let mut next = 0;
        while let (Some(step), Some(first), Some(second)) =
            (numbers.next(), numbers.next(), numbers.next())
        {
            let code = next + step / 2;
            let second = if second == 0 { 0 } else { second + 0x2FF };
            composer.parts.push([code, first, second]);
            if step % 2 == 1 {
                composer.wholes.push([first, second, code]);
            }
            next = code + 1;
        }
        crate::sorting::sort(&mut composer.wholes);
        composer
    }

    /// The text in normal form C; `None` if there is no memory for it.
    pub fn compose<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        if text.bytes().all(|byte| byte < FIRST_BYTE) {
            return Some(Cow::Borrowed(text));
        }
        let mut out = String::new();
        out.try_reserve(text.len()).ok()?;
        let mut characters = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let tail = rest.as_bytes().get(1..).unwrap_or_default();
            let end = tail.iter().position(u8::is_ascii);
            let end = end.map_or(rest.len(), |end| end + 1);
            let (stretch, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            rest = after;
            // Composing never makes UTF-8 longer than three times its length.
            out.try_reserve(stretch.len().saturating_mul(3)).ok()?;
            if stretch.bytes().all(|byte| byte < FIRST_BYTE) {
                out.push_str(stretch);
                continue;
            }
            characters.clear();
            characters
                .try_reserve(stretch.len().saturating_mul(2))
                .ok()?;
            for character in stretch.chars() {
                self.decompose(character as u32, &mut characters);
            }
            order_marks(&mut characters);
            self.join(&mut characters);
            out.extend(
                characters
                    .iter()
                    .filter_map(|(code, _)| char::from_u32(*code)),
            );
        }
        Some(Cow::Owned(out))
    }

    /// Appends the full decomposition, each code point with its combining class.
    fn decompose(&self, code: u32, out: &mut Vec<(u32, u32)>) {
        if let Some(syllable) = code.checked_sub(HANGUL_FIRST)
            && syllable < N_LEADS * N_VOWELS * N_TRAILS
        {
            let (pair, trail) = (syllable / N_TRAILS, syllable % N_TRAILS);
            out.push((LEAD_FIRST + pair / N_VOWELS, 0));
            out.push((VOWEL_FIRST + pair % N_VOWELS, 0));
            if trail > 0 {
                out.push((TRAIL_BASE + trail, 0));
            }
            return;
        }
        let found = self.parts.binary_search_by_key(&code, |parts| parts[0]);
        match found.ok().and_then(|idx| self.parts.get(idx)) {
            // Parts are smaller problems: the table has no cycle, and chains of four at most.
            Some(&[_, first, second]) => {
                self.decompose(first, out);
                if second > 0 {
                    out.push((second, self.class(second)));
                }
            }
            None => out.push((code, self.class(code))),
        }
    }

    fn class(&self, code: u32) -> u32 {
        let idx = self.combining.partition_point(|run| run[0] <= code);
        let run = idx.checked_sub(1).and_then(|idx| self.combining.get(idx));
        run.map_or(0, |&[_, last, class]| if code <= last { class } else { 0 })
    }

    /// Composes in place: each character with the last starter, unless one of the same or a
    /// higher class stands between them.
    fn join(&self, characters: &mut Vec<(u32, u32)>) {
        let mut starter: Option<usize> = None;
        let mut n_kept = 0;
        let mut previous_class = 0;
        for idx in 0..characters.len() {
            let Some(&(code, class)) = characters.get(idx) else {
                break;
            };
            if let Some(at) = starter
                && (n_kept == at + 1 || previous_class < class)
                && let Some(slot) = characters.get_mut(at)
                && let Some(whole) = self.whole(slot.0, code)
            {
                slot.0 = whole;
                continue;
            }
            if class == 0 {
                starter = Some(n_kept);
            }
            previous_class = class;
            if let Some(slot) = characters.get_mut(n_kept) {
                *slot = (code, class);
            }
            n_kept += 1;
        }
        characters.truncate(n_kept);
    }

    fn whole(&self, first: u32, second: u32) -> Option<u32> {
        if let (Some(lead), Some(vowel)) = (
            first.checked_sub(LEAD_FIRST),
            second.checked_sub(VOWEL_FIRST),
        ) && lead < N_LEADS
            && vowel < N_VOWELS
        {
            return Some(HANGUL_FIRST + (lead * N_VOWELS + vowel) * N_TRAILS);
        }
        if let (Some(syllable), Some(trail)) = (
            first.checked_sub(HANGUL_FIRST),
            second.checked_sub(TRAIL_BASE),
        ) && syllable < N_LEADS * N_VOWELS * N_TRAILS
            && syllable % N_TRAILS == 0
            && (1..N_TRAILS).contains(&trail)
        {
            return Some(first + trail);
        }
        let key = [first, second];
        let found = self
            .wholes
            .binary_search_by(|whole| [whole[0], whole[1]].cmp(&key));
        self.wholes.get(found.ok()?).map(|whole| whole[2])
    }
}

/// Stable order by class within every row of marks.
fn order_marks(characters: &mut [(u32, u32)]) {
    for row in characters.split_mut(|(_, class)| *class == 0) {
        if row.len() > 1 {
            crate::sorting::sort_by_key(row, |(_, class)| *class);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Sha256;
    use alloc::format;

    fn nfc(text: &str) -> String {
        Composer::new().compose(text).unwrap().into_owned()
    }

    #[test]
    fn known_forms() {
        for (text, expected) in [
            ("plain", "plain"),
            ("Cafe\u{301}", "Café"),
            ("e\u{323}\u{302}", "ệ"),
            ("e\u{302}\u{323}", "ệ"),
            ("\u{1100}\u{1161}\u{11A8}x", "각x"),
            ("\u{212B}\u{2126}", "ÅΩ"),
            ("\u{958}", "\u{915}\u{93C}"),
            (
                "a\u{5AE}\u{300}\u{2E0}\u{315}b",
                "\u{e0}\u{5AE}\u{2E0}\u{315}b",
            ),
            ("\u{FA0E}\u{F900}", "\u{FA0E}\u{8C48}"),
        ] {
            assert_eq!(nfc(text), expected);
        }
    }

    /// Every character alone, and between marks of classes 220 and 230, joined by line breaks.
    /// The digest is that of `unicodedata2.normalize("NFC", …)`: see fixtures/make/nfc_digest.py.
    #[test]
    fn every_character_is_as_the_reference_has_it() {
        let composer = Composer::new();
        let mut digest = Sha256::new();
        for character in (0..0x11_0000).filter_map(char::from_u32) {
            let text = format!("a\u{323}{character}\u{301}\u{323}{character}\n");
            digest.update(composer.compose(&text).unwrap().as_bytes());
        }
        let expected = "5fba7af948efc8ed4228f83e5885bae25955946bf0b7e80b536a8c877a9cbda1";
        assert_eq!(format!("{}", digest.finish()), expected);
    }

    #[test]
    fn a_long_row_of_marks_is_ordered() {
        let marks = "\u{301}\u{323}".repeat(20_000);
        let text = nfc(&format!("q{marks}"));
        assert!(text.starts_with("q\u{323}\u{323}") && text.ends_with("\u{301}\u{301}"));
    }
}
