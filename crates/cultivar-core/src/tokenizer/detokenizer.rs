//! What ids mean: the part of a tokenizer that a running model needs.
//!
//! Checks what decoding stands on, and holds no index: those are for text, which may be encoded in
//! another module of the page than the one that runs the model. Must never fail on an id.

use super::Tokenizer;
use super::error::{TokenizerError, TokenizerErrorKind};
use super::record::{PieceType, TokenizerRecord};
use super::record_check;
use super::stream_decoder::StreamDecoder;
use alloc::string::String;

/// A tokenizer's record, checked as far as ids go.
#[derive(Clone, Debug)]
pub struct Detokenizer {
    record: TokenizerRecord,
}

impl Detokenizer {
    /// Checks pieces and named ids; the first broken rule is the error. Steps, merges and repeats
    /// are for [`super::Tokenizer::new`] to check.
    pub fn new(record: TokenizerRecord) -> Result<Detokenizer, TokenizerError> {
        record_check::check_pieces(&record)?;
        Ok(Detokenizer { record })
    }

    /// The same with the indexes that encoding needs: all of the record is checked now.
    pub fn to_tokenizer(&self) -> Result<Tokenizer, TokenizerError> {
        Tokenizer::new(self.record.clone())
    }

    /// The record it was made from.
    pub fn record(&self) -> &TokenizerRecord {
        &self.record
    }

    /// The record it was made from, given back.
    pub fn into_record(self) -> TokenizerRecord {
        self.record
    }

    /// How many ids there are.
    pub fn vocab_size(&self) -> u32 {
        self.record.vocab_size() as u32
    }

    /// The id that begins a sequence, if there is one.
    pub fn bos_id(&self) -> Option<u32> {
        self.record.bos_id
    }

    /// Whether the id ends a sequence.
    pub fn is_stop(&self, id: u32) -> bool {
        self.record.eos_ids.binary_search(&id).is_ok()
    }

    /// The stored bytes of a piece (a marker's name, a byte piece's byte), or nothing outside the
    /// vocabulary.
    pub fn piece(&self, id: u32) -> Option<&[u8]> {
        self.record.piece(id).map(|(bytes, _)| bytes)
    }

    /// The whole text of some ids, as a [`StreamDecoder`] at the start of a sequence gives it.
    /// An id outside the vocabulary is refused.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TokenizerError> {
        let mut text = String::new();
        let mut decoder = StreamDecoder::new();
        for &id in ids {
            if id >= self.vocab_size() {
                return Err(TokenizerError::new(TokenizerErrorKind::IdRange, id));
            }
            decoder.push(self, id, &mut text);
        }
        decoder.finish(&mut text);
        Ok(text)
    }

    /// The bytes an id adds to decoded text: none for markers and unused pieces; nothing at all
    /// for the unknown piece and ids outside the vocabulary.
    pub(crate) fn text_bytes(&self, id: u32) -> Option<&[u8]> {
        let (bytes, kind) = self.record.piece(id)?;
        match PieceType::from_u8(kind)? {
            PieceType::Normal | PieceType::User | PieceType::Byte => Some(bytes),
            PieceType::Control | PieceType::Unused => Some(&[]),
            PieceType::Unknown => None,
        }
    }

    pub(super) fn removes_leading_space(&self) -> bool {
        self.record.remove_leading_space
    }
}
