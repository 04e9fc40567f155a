//! Ids to text, one at a time: emits only whole characters, whatever ids the bytes are split over.
//!
//! It must never emit half a character and never allocate beyond what the caller's string needs.
//! Bytes that cannot become UTF-8 become U+FFFD, one per maximal invalid part (Unicode 15,
//! section 3.9), so that pushing ids one by one equals decoding all of them at once.

use super::Detokenizer;
use alloc::string::String;

/// The state between two ids: at most three bytes of an unfinished character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamDecoder {
    pending: [u8; 4],
    n_pending: u8,
    drop_space: bool,
}

impl StreamDecoder {
    /// A decoder at the start of a sequence.
    pub const fn new() -> StreamDecoder {
        StreamDecoder {
            pending: [0; 4],
            n_pending: 0,
            drop_space: true,
        }
    }

    /// A decoder within a text: a leading space stays.
    pub const fn within() -> StreamDecoder {
        StreamDecoder {
            drop_space: false,
            ..StreamDecoder::new()
        }
    }

    /// Appends to `out` the text that `id` completes. Markers give no text; a begin marker lets
    /// the next leading space be dropped where the tokenizer asks for that; an id outside the
    /// vocabulary and the unknown piece give U+FFFD. One id gives at most
    /// [`super::PIECE_TEXT_BYTES_MAX`] bytes.
    pub fn push(&mut self, tokenizer: &Detokenizer, id: u32, out: &mut String) {
        if tokenizer.bos_id() == Some(id) {
            self.finish(out);
            self.drop_space = true;
            return;
        }
        let Some(mut bytes) = tokenizer.text_bytes(id) else {
            self.finish(out);
            out.push('\u{FFFD}');
            self.drop_space = false;
            return;
        };
        if bytes.is_empty() {
            return;
        }
        if self.drop_space {
            self.drop_space = false;
            if tokenizer.removes_leading_space() {
                bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
            }
        }
        self.push_bytes(bytes, out);
    }

    /// Ends the text: an unfinished character becomes U+FFFD.
    pub fn finish(&mut self, out: &mut String) {
        if self.n_pending > 0 {
            self.n_pending = 0;
            out.push('\u{FFFD}');
        }
    }

    fn push_bytes(&mut self, bytes: &[u8], out: &mut String) {
        if self.n_pending == 0
            && let Ok(text) = core::str::from_utf8(bytes)
        {
            out.push_str(text);
            return;
        }
        for &byte in bytes {
            if let Some(slot) = self.pending.get_mut(usize::from(self.n_pending)) {
                *slot = byte;
                self.n_pending += 1;
            }
            self.settle(out);
        }
    }

    /// Emits what the pending bytes already decide: a character, or U+FFFD for a broken start.
    fn settle(&mut self, out: &mut String) {
        while self.n_pending > 0 {
            let (pending, _) = self.pending.split_at(usize::from(self.n_pending).min(4));
            match core::str::from_utf8(pending) {
                Ok(text) => {
                    out.push_str(text);
                    self.n_pending = 0;
                }
                Err(error) => {
                    let Some(n_broken) = error.error_len() else {
                        return;
                    };
                    out.push('\u{FFFD}');
                    self.pending.rotate_left(n_broken);
                    self.n_pending = self.n_pending.saturating_sub(n_broken as u8);
                }
            }
        }
    }
}

impl Default for StreamDecoder {
    fn default() -> Self {
        StreamDecoder::new()
    }
}
