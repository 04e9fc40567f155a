//! GGUF metadata in the making: entries of a key, a type and a value, behind one another.

use alloc::vec::Vec;
use cultivar_core::bytes::{put_f32, put_u32, put_u64};

/// The metadata in the making.
pub(super) struct Metadata {
    pub bytes: Vec<u8>,
    pub n_entries: u64,
}

impl Metadata {
    fn key(&mut self, key: &str, kind: u32) -> &mut Vec<u8> {
        put_text(&mut self.bytes, key.as_bytes());
        put_u32(&mut self.bytes, kind);
        self.n_entries += 1;
        &mut self.bytes
    }

    pub fn u32(&mut self, key: &str, value: usize) {
        put_u32(self.key(key, 4), value as u32);
    }

    pub fn f32(&mut self, key: &str, value: f64) {
        put_f32(self.key(key, 6), value as f32);
    }

    pub fn bool(&mut self, key: &str, value: bool) {
        self.key(key, 7).push(u8::from(value));
    }

    pub fn text(&mut self, key: &str, value: &str) {
        put_text(self.key(key, 8), value.as_bytes());
    }

    /// Begins an array of `n` elements of a type.
    pub fn array(&mut self, key: &str, kind: u32, n: usize) -> &mut Vec<u8> {
        let bytes = self.key(key, 9);
        put_u32(bytes, kind);
        put_u64(bytes, n as u64);
        bytes
    }
}

/// A text: its length, then itself.
pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_u64(out, text.len() as u64);
    out.extend_from_slice(text);
}
