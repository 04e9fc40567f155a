//! Protocol buffers, as much as tokenizer.model needs: fields by number, front to back.
//!
//! Groups are refused; everything else that is not asked for is passed over. Lengths are checked
//! against the bytes that are there. Source: the encoding's public description.

use cultivar_core::bytes::Reader;

/// A field's content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'a> {
    /// An integer or a truth value.
    Number(u64),
    /// Four bytes: a float.
    Word([u8; 4]),
    /// A text, bytes or a message.
    Bytes(&'a [u8]),
    /// Eight bytes; nothing here has any.
    Long,
}

/// The fields of a message. Ends early at the first that is broken; `is_broken` tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    reader: Reader<'a>,
    pub is_broken: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Fields<'a> {
        Fields {
            reader: Reader::new(message),
            is_broken: false,
        }
    }

    /// How far it has been read.
    pub(super) fn offset(&self) -> u64 {
        self.reader.offset()
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.reader.u8().ok()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let key = self.number()?;
        let field = match key & 7 {
            0 => Field::Number(self.number()?),
            1 => {
                self.reader.array::<8>().ok()?;
                Field::Long
            }
            2 => {
                let len = self.number()?;
                Field::Bytes(self.reader.take_u64(len).ok()?)
            }
            5 => Field::Word(self.reader.array().ok()?),
            _ => return None,
        };
        Some((key >> 3, field))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Field<'a>);

    fn next(&mut self) -> Option<(u64, Field<'a>)> {
        if self.reader.is_empty() || self.is_broken {
            return None;
        }
        let field = self.field();
        self.is_broken = field.is_none();
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn fields_of_every_kind_and_broken_ones() {
        let message = b"\x08\x96\x01\x12\x02hi\x1d\0\0\x80\x3f\x21\0\0\0\0\0\0\0\0";
        let mut fields = Fields::new(message);
        let found: Vec<_> = fields.by_ref().collect();
        let word = Field::Word(1f32.to_le_bytes());
        assert_eq!(
            found,
            [
                (1, Field::Number(150)),
                (2, Field::Bytes(b"hi")),
                (3, word),
                (4, Field::Long)
            ]
        );
        assert!(!fields.is_broken);
        for broken in [&b"\x08"[..], b"\x12\x03hi", b"\x0b", b"\x1d\0", &[0xFF; 12]] {
            let mut fields = Fields::new(broken);
            assert_eq!(fields.by_ref().count(), 0);
            assert!(fields.is_broken);
        }
    }
}
