//! What splitting and normalising need to know about characters, of one version of Unicode.
//!
//! Tables are generated (`cargo xtask unicode`) and unpacked when a tokenizer that needs them is
//! opened. A table's version is part of what a tokenizer means: it never follows the toolchain's.

mod classes;
mod composition;
mod tables;

pub(super) use classes::{CharKind, Classes};
pub(super) use composition::Composer;

/// Reads a table's base-128 numbers, front to back.
struct Numbers {
    rest: &'static [u8],
}

impl Numbers {
    fn next(&mut self) -> Option<u32> {
        let mut number = 0u32;
        let mut shift = 0;
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u32::from(byte & 0x7F).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(number);
            }
            shift += 7;
        }
    }
}
