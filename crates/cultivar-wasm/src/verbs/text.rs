//! Text verbs: text to token ids and back, with the tokenizer of a package.
//!
//! They work as soon as the head is read. Must never touch a session.

use crate::exports::exports;
use crate::host::Host;
use crate::status::{Failure, Status};
use alloc::vec::Vec;
use cultivar_core::tokenizer::EncodeOptions;

/// Markers such as `<s>` in the text become their tokens.
pub const FLAG_PARSE_SPECIAL: u32 = 1;
/// Begin with the begin-of-sequence token, whatever the package says.
pub const FLAG_ADD_BOS: u32 = 2;
/// Do not begin with it, whatever the package says.
pub const FLAG_NO_BOS: u32 = 4;

/// Reads the flags of a tokenizing verb; unknown and contradicting ones are refused.
pub fn encode_options(flags: u32) -> Result<EncodeOptions, Failure> {
    let parse_special = flags & FLAG_PARSE_SPECIAL != 0;
    let add_bos = match flags & !FLAG_PARSE_SPECIAL {
        0 => None,
        FLAG_ADD_BOS => Some(true),
        FLAG_NO_BOS => Some(false),
        _ => return Err(Failure::number(Status::UnknownOption, flags).named("flags")),
    };
    Ok(EncodeOptions {
        add_bos,
        parse_special,
    })
}

impl Host {
    /// Tokenizes the text in the buffer into the buffer; answers the number of ids.
    pub fn tokenize(&mut self, package: i32, len: u32, flags: u32) -> Result<i32, Failure> {
        let options = encode_options(flags)?;
        let tokenizer = self.packages.get(package)?.tokenizer()?;
        let mut ids: Vec<u32> = Vec::new();
        tokenizer.encode(self.buffer.text(len)?, options, &mut ids)?;
        self.buffer.put_words(ids.into_iter().map(u32::to_le_bytes))
    }

    /// Turns the ids in the buffer into text in the buffer; answers its bytes.
    pub fn detokenize(&mut self, package: i32, n: u32) -> Result<i32, Failure> {
        let tokenizer = self.packages.get(package)?.tokenizer()?;
        let text = tokenizer.decode(&self.buffer.ids(n)?)?;
        self.buffer.put(text.as_bytes())
    }
}

exports! {
    /// Tokenizes `len` bytes of text; answers the number of ids written (u32 each).
    fn tokenize(package: i32, len: u32, flags: u32) -> status;
    /// Decodes `n` ids (u32 each); answers the bytes of text written.
    fn detokenize(package: i32, n: u32) -> status;
}
