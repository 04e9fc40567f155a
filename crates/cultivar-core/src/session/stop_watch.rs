//! The watch for stop strings in a session's output. It never changes what a session computes.

use super::output_text::OutputText;
use super::settings::{STOP_STRING_BYTES_MAX, Settings};
use crate::memory::reserved;
use crate::tokenizer::{Detokenizer, PIECE_TEXT_BYTES_MAX};
use alloc::string::String;

/// Reads the output token by token, if there is a stop string to look for.
pub(super) struct StopWatch {
    text: OutputText,
    /// What the text hands out, which nobody reads.
    scratch: String,
    is_on: bool,
}

impl StopWatch {
    /// A watch for the strings of these settings; `None` if memory cannot be had.
    pub fn new(settings: &Settings) -> Option<Self> {
        let is_on = !settings.stop_strings.is_empty();
        // One token can free what was held before it, and its own text.
        let room = match is_on {
            true => STOP_STRING_BYTES_MAX + PIECE_TEXT_BYTES_MAX,
            false => 0,
        };
        Some(Self {
            text: OutputText::new(&settings.stop_strings)?,
            scratch: String::from_utf8(reserved(room)?).ok()?,
            is_on,
        })
    }

    /// Whether the output is at a stop string with this token.
    pub fn push(&mut self, tokenizer: &Detokenizer, token: u32) -> bool {
        if !self.is_on {
            return false;
        }
        self.scratch.clear();
        self.text.push(tokenizer, token, &mut self.scratch)
    }

    /// Begins anew: these tokens stand before the output, those are its beginning.
    pub fn begin(&mut self, tokenizer: &Detokenizer, before: &[u32], output: &[u32]) {
        if self.is_on {
            self.text.begin(tokenizer, before);
            for &id in output {
                self.push(tokenizer, id);
            }
        }
    }
}
