//! What stands for text that no piece covers: its bytes' pieces, or the unknown piece.
//!
//! It must never drop text where there is either.

use super::error::{TokenizerError, TokenizerErrorKind};
use super::merge_span::NONE;
use super::record::{PieceType, TokenizerRecord};
use alloc::vec;
use alloc::vec::Vec;

/// The fallback of one vocabulary.
#[derive(Clone, Debug)]
pub(super) struct Spelling {
    /// Per byte its piece, or nothing if the vocabulary has no byte pieces.
    byte_ids: Option<Vec<u32>>,
    unk_id: Option<u32>,
}

impl Spelling {
    /// Refuses a vocabulary that can neither spell a text's bytes nor say "unknown".
    pub(super) fn new(record: &TokenizerRecord) -> Result<Spelling, TokenizerError> {
        Ok(Spelling {
            byte_ids: byte_ids(record)?,
            unk_id: record.unk_id,
        })
    }

    /// Appends byte pieces, or one unknown id for a run of such characters: none behind another
    /// that stands at `word_start` or later.
    pub(super) fn spell(&self, bytes: &[u8], out: &mut Vec<u32>, word_start: usize) {
        if let Some(byte_ids) = &self.byte_ids {
            out.extend(
                bytes
                    .iter()
                    .filter_map(|byte| byte_ids.get(usize::from(*byte))),
            );
        } else if let Some(unk_id) = self.unk_id
            && (out.len() == word_start || out.last() != Some(&unk_id))
        {
            out.push(unk_id);
        }
    }
}

/// All 256 byte pieces' ids; nothing if there are none and an unknown id stands in for them.
fn byte_ids(record: &TokenizerRecord) -> Result<Option<Vec<u32>>, TokenizerError> {
    let mut ids = vec![NONE; 256];
    let mut n_found = 0;
    for (id, (piece, &kind)) in (0u32..).zip(record.pieces.iter().zip(&record.types)) {
        if kind == PieceType::Byte as u8
            && let Some(slot) = piece
                .first()
                .and_then(|byte| ids.get_mut(usize::from(*byte)))
        {
            if *slot != NONE {
                return Err(TokenizerError::new(TokenizerErrorKind::PieceRepeated, id));
            }
            *slot = id;
            n_found += 1;
        }
    }
    if n_found == 0 && record.unk_id.is_some() {
        return Ok(None);
    }
    match ids.iter().position(|id| *id == NONE) {
        None => Ok(Some(ids)),
        Some(byte) => Err(TokenizerError::new(
            TokenizerErrorKind::BytePieceMissing,
            byte as u32,
        )),
    }
}
