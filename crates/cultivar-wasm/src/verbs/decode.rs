//! Decoding verbs: ids to text, with the vocabulary of a package.
//!
//! They work as soon as the head is read. Text to ids is another module's work (`text.rs`).

use crate::exports::exports;
use crate::host::Host;
use crate::status::Failure;
use alloc::string::String;
use cultivar_core::tokenizer::StreamDecoder;

impl Host {
    /// Turns the ids in the buffer into text in the buffer; answers its bytes.
    pub fn detokenize(&mut self, package: i32, n: u32) -> Result<i32, Failure> {
        let tokenizer = self.packages.get(package)?.tokenizer()?;
        let text = tokenizer.decode(&self.buffer.ids(n)?)?;
        self.buffer.put(text.as_bytes())
    }

    /// Writes the text that an id stands for within a text: a leading space stays.
    pub fn token_text(&mut self, s: i32, id: u32) -> Result<i32, Failure> {
        let package = self.sessions.get(s)?.package;
        let tokenizer = self.packages.get(package)?.tokenizer()?;
        let mut text = String::new();
        let mut decoder = StreamDecoder::within();
        decoder.push(tokenizer, id, &mut text);
        decoder.finish(&mut text);
        self.buffer.put(text.as_bytes())
    }
}

exports! {
    /// Text that `id` stands for within a text, into the buffer; answers its bytes.
    fn token_text(session: i32, id: u32) -> status;
    /// Decodes `n` ids (u32 each); answers the bytes of text written.
    fn detokenize(package: i32, n: u32) -> status;
}
