//! The rules a tokenizer record must keep before anything is indexed or encoded with it.
//!
//! Repeats: among pieces text can become by merging (`Normal`; with scores `User` too) and among
//! bytes, and among those found whole (`Control`, `Unknown`, `User`), no two may hold the same
//! bytes. `Unused` pieces may repeat anything. Repeats of text and special pieces are met, and
//! refused, by the indexes themselves.

use super::error::{TokenizerError, TokenizerErrorKind};
use super::normalizer::is_normalizer_step;
use super::pre_tokenizer::is_pre_tokenizer_step;
use super::record::{PieceType, TokenizerKind, TokenizerRecord};
use super::{PIECE_BYTES_MAX, VOCAB_SIZE_MAX};

/// Checks what ids stand on: counts, pieces, named ids. The first broken rule is returned.
pub(super) fn check_pieces(record: &TokenizerRecord) -> Result<(), TokenizerError> {
    let n_pieces = record.pieces.len();
    if record.vocab_size() == 0 || record.vocab_size() > VOCAB_SIZE_MAX {
        return Err(TokenizerError::new(TokenizerErrorKind::VocabSize, 0));
    }
    let n_scores = if record.kind.has_scores() {
        n_pieces
    } else {
        0
    };
    let has_sums = record.kind == TokenizerKind::Unigram || !record.sums_f32;
    if record.scores.len() != n_scores || !has_sums {
        return Err(TokenizerError::new(TokenizerErrorKind::ScoreCount, 0));
    }
    if record.types.len() != n_pieces {
        return Err(TokenizerError::new(TokenizerErrorKind::TypeCount, 0));
    }
    let has_merges = !record.merges.is_empty() || record.ignore_merges;
    if has_merges && !record.kind.has_merges() {
        return Err(TokenizerError::new(TokenizerErrorKind::MergesUnused, 0));
    }
    check_each_piece(record)?;
    check_special_ids(record)
}

/// Steps are known to this version, and there are none where the kind takes none.
pub(super) fn check_steps(record: &TokenizerRecord) -> Result<(), TokenizerError> {
    let takes_normalizer = record.kind != TokenizerKind::Bytes;
    let takes_splitters = record.kind.has_pre_tokenizer();
    let normalizer = record.normalizer.iter();
    let normalizer = normalizer.map(|name| takes_normalizer && is_normalizer_step(name));
    let splitters = record.pre_tokenizer.iter();
    let splitters = splitters.map(|name| takes_splitters && is_pre_tokenizer_step(name));
    let decoder = record.decoder.iter().map(|_| false);
    let mut steps = normalizer.chain(splitters).chain(decoder);
    let unknown = steps.position(|is_known| !is_known);
    match unknown {
        Some(idx) => {
            let kind = TokenizerErrorKind::StepUnknown;
            Err(TokenizerError::new(kind, idx as u32))
        }
        None => Ok(()),
    }
}

fn check_each_piece(record: &TokenizerRecord) -> Result<(), TokenizerError> {
    let first = record.n_implied() as u32;
    for (id, (piece, &stored)) in (first..).zip(record.pieces.iter().zip(&record.types)) {
        let kind = PieceType::from_u8(stored);
        let allowed = match (record.kind, kind) {
            (_, None) => false,
            // Byte-level pieces are bytes already, so that no piece stands for one.
            (TokenizerKind::ByteBpe, Some(kind)) => kind != PieceType::Byte,
            (TokenizerKind::Bytes, Some(kind)) => {
                matches!(
                    kind,
                    PieceType::Control | PieceType::User | PieceType::Unused
                )
            }
            (_, Some(_)) => true,
        };
        if !allowed {
            return Err(TokenizerError::new(TokenizerErrorKind::PieceType, id));
        }
        if piece.len() > PIECE_BYTES_MAX {
            return Err(TokenizerError::new(TokenizerErrorKind::PieceTooLong, id));
        }
        if piece.is_empty() && kind != Some(PieceType::Unused) {
            return Err(TokenizerError::new(TokenizerErrorKind::PieceEmpty, id));
        }
        if piece.len() != 1 && kind == Some(PieceType::Byte) {
            return Err(TokenizerError::new(TokenizerErrorKind::BytePieceLen, id));
        }
    }
    for (id, score) in (first..).zip(&record.scores) {
        if !score.is_finite() {
            return Err(TokenizerError::new(TokenizerErrorKind::ScoreNotFinite, id));
        }
    }
    Ok(())
}

fn check_special_ids(record: &TokenizerRecord) -> Result<(), TokenizerError> {
    let single = [record.bos_id, record.unk_id, record.pad_id];
    let lists = record.eos_ids.iter().chain(&record.strip_left_ids);
    let lists = lists.chain(&record.strip_right_ids);
    let ids = single.iter().flatten().chain(lists);
    for &id in ids {
        if id as usize >= record.vocab_size() {
            return Err(TokenizerError::new(TokenizerErrorKind::SpecialIdRange, id));
        }
    }
    for list in [
        &record.eos_ids,
        &record.strip_left_ids,
        &record.strip_right_ids,
    ] {
        if let Some([_, next]) = list.array_windows().find(|[id, next]| id >= next) {
            return Err(TokenizerError::new(TokenizerErrorKind::EosOrder, *next));
        }
    }
    if record.add_bos && record.bos_id.is_none() {
        return Err(TokenizerError::new(TokenizerErrorKind::BosMissing, 0));
    }
    Ok(())
}
