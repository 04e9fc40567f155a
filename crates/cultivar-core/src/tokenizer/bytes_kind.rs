//! The bytes tokenizer: every byte of the text is its own id.
//!
//! It needs no tables and cannot fail on any text; special pieces are split off before it runs.

use alloc::vec::Vec;

/// Appends one id per byte of `text`.
pub(super) fn encode(text: &str, out: &mut Vec<u32>) {
    out.extend(text.bytes().map(u32::from));
}
