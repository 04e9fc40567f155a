//! The text of an output as it comes, up to a stop string: whole characters only, and nothing that
//! may still turn out to be the beginning of a stop string.
//!
//! Stop strings are found across the borders of tokens and of split characters, because the search
//! is over decoded text. Nothing is allocated per token beyond what the caller's string needs.

use crate::memory::reserved;
use crate::tokenizer::{Detokenizer, PIECE_TEXT_BYTES_MAX, StreamDecoder};
use alloc::string::String;
use alloc::vec::Vec;

/// Decodes the tokens of a session one by one and watches for stop strings.
#[derive(Clone)]
pub struct OutputText {
    decoder: StreamDecoder,
    stops: Vec<String>,
    /// Decoded and not yet handed out: the beginning of a stop string, or, for a moment, more.
    held: String,
    is_stopped: bool,
}

impl OutputText {
    /// Nothing decoded yet; `None` if memory cannot be had.
    pub fn new(stops: &[String]) -> Option<Self> {
        let longest = stops.iter().map(String::len).max().unwrap_or(0);
        let held = reserved(longest + PIECE_TEXT_BYTES_MAX)?;
        Some(Self {
            decoder: StreamDecoder::new(),
            stops: stops.to_vec(),
            held: String::from_utf8(held).unwrap_or_default(),
            is_stopped: false,
        })
    }

    /// Begins anew after these tokens, all of which stand before the output. They pass through
    /// the decoder, because a space after them is not a leading one, and a character may straddle
    /// the border.
    pub fn begin(&mut self, tokenizer: &Detokenizer, before: &[u32]) {
        self.decoder = StreamDecoder::new();
        self.is_stopped = false;
        for &id in before {
            self.held.clear();
            self.decoder.push(tokenizer, id, &mut self.held);
        }
        self.held.clear();
    }

    /// Appends to `out` what the next token makes certain; true once a stop string stands
    /// complete, after which nothing more comes.
    pub fn push(&mut self, tokenizer: &Detokenizer, id: u32, out: &mut String) -> bool {
        if self.is_stopped {
            return true;
        }
        self.decoder.push(tokenizer, id, &mut self.held);
        self.release(out);
        self.is_stopped
    }

    /// Ends the text: what was held back comes out, unless a stop string ended it.
    pub fn finish(&mut self, out: &mut String) {
        if !self.is_stopped {
            self.decoder.finish(&mut self.held);
            self.release(out);
            out.push_str(&self.held);
        }
        self.held.clear();
    }

    fn release(&mut self, out: &mut String) {
        // What is complete first ends the text, as if it had come character by character.
        let find = |stop: &String| {
            // Windows of bytes: the library's search of text is five kilobytes of the module.
            let mut windows = self.held.as_bytes().windows(stop.len());
            let start = windows.position(|window| window == stop.as_bytes())?;
            Some((start + stop.len(), start))
        };
        if let Some((_, start)) = self.stops.iter().filter_map(find).min() {
            out.push_str(self.held.get(..start).unwrap_or(""));
            self.held.clear();
            self.is_stopped = true;
            return;
        }
        let n_free = self.held.len() - self.n_open();
        out.push_str(self.held.get(..n_free).unwrap_or(""));
        self.held.drain(..n_free);
    }

    /// Bytes at the end of what is held that begin a stop string without completing it.
    fn n_open(&self) -> usize {
        let held = self.held.as_bytes();
        let open = |stop: &String| {
            let most = held.len().min(stop.len() - 1);
            let fits = |n: &usize| held.ends_with(&stop.as_bytes()[..*n]);
            (1..=most).rev().find(fits).unwrap_or(0)
        };
        self.stops.iter().map(open).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::TokenizerRecord;

    /// 256 ids that are their bytes.
    fn bytes_tokenizer() -> Detokenizer {
        Detokenizer::new(TokenizerRecord::plain_bytes()).unwrap()
    }

    fn check(stops: &[&str], output: &[u8], expected: &str, stopped: bool) {
        let tokenizer = bytes_tokenizer();
        let stops: Vec<String> = stops.iter().map(|stop| String::from(*stop)).collect();
        let mut text = OutputText::new(&stops).unwrap();
        text.begin(&tokenizer, &[98, 101, 102]);
        let mut out = String::new();
        let found = output
            .iter()
            .any(|byte| text.push(&tokenizer, u32::from(*byte), &mut out));
        text.finish(&mut out);
        assert_eq!((out.as_str(), found), (expected, stopped));
    }

    #[test]
    fn stop_strings_end_the_text_and_are_no_part_of_it() {
        check(&[], b"all of it", "all of it", false);
        check(&["END"], b"some ENDING", "some ", true);
        check(&["END"], b"some EN", "some EN", false);
        check(&["xx", "END"], b"aEENDxx", "aE", true);
        check(&["END"], b"END", "", true);
        // What is complete first wins, whatever began first.
        check(&["abcd", "bc"], b"xabcd", "xa", true);
        check(&["aab"], b"aaab", "a", true);
    }

    #[test]
    fn split_characters_are_searched_whole() {
        check(
            &["\u{e9}t\u{e9}"],
            "un \u{e9}t\u{e9}.".as_bytes(),
            "un ",
            true,
        );
        check(&["\u{1F331}"], "a\u{1F331}b".as_bytes(), "a", true);
        check(
            &["\u{1F331}"],
            &"a\u{1F331}".as_bytes()[..3],
            "a\u{FFFD}",
            false,
        );
        check(&["\u{FFFD}!"], b"a\xFF!b", "a", true);
    }

    #[test]
    fn only_what_may_begin_a_stop_string_is_held_back() {
        let tokenizer = bytes_tokenizer();
        let mut text = OutputText::new(&["stop".into()]).unwrap();
        let mut out = String::new();
        let seen: Vec<usize> = b"a sto st"
            .iter()
            .map(|byte| {
                text.push(&tokenizer, u32::from(*byte), &mut out);
                out.len()
            })
            .collect();
        assert_eq!(seen, [1, 2, 2, 2, 2, 6, 6, 6]);
        text.finish(&mut out);
        assert_eq!(out, "a sto st");
    }
}
