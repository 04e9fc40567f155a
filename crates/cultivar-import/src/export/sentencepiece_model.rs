//! `tokenizer.model`: SentencePiece's model as a protocol buffer, from a record of that kind.
//!
//! Source: sentencepiece `sentencepiece_model.proto`; the numbers of fields are its.

use super::written_pieces::written_piece;
use alloc::vec::Vec;
use cultivar_core::tokenizer::{PieceType, TokenizerKind, TokenizerRecord};

/// Whether a record is what such a file can say: BPE by scores or Unigram, without other rules
/// than those about spaces.
pub(super) fn can_say(record: &TokenizerRecord) -> bool {
    record.kind.has_scores()
        && record.pre_tokenizer.is_empty()
        && (record.normalizer.is_empty() || record.normalizer == SPACE_STEPS)
}

const SPACE_STEPS: [&str; 2] = ["collapse_spaces", "strip_spaces"];

/// The file's bytes.
pub(super) fn model_file(record: &TokenizerRecord) -> Vec<u8> {
    let mut out = Vec::new();
    for id in 0..record.pieces.len() {
        let mut message = Vec::new();
        put_bytes(&mut message, 1, written_piece(record, id).as_bytes());
        put_tag(&mut message, 2, 5);
        let score = record.scores.get(id).copied().unwrap_or_default();
        message.extend_from_slice(&score.to_le_bytes());
        let kind = record.types.get(id).copied().unwrap_or(1);
        put_number(&mut message, 3, i64::from(kind));
        put_bytes(&mut out, 1, &message);
    }
    let mut trainer = Vec::new();
    let is_bpe = record.kind == TokenizerKind::SentencePieceBpe;
    put_number(&mut trainer, 3, if is_bpe { 2 } else { 1 });
    put_number(&mut trainer, 4, record.pieces.len() as i64);
    // sentencepiece refuses a fallback to bytes unless there is a piece for each.
    let is_byte = |kind: &&u8| **kind == PieceType::Byte as u8;
    let n_bytes = record.types.iter().filter(is_byte).count();
    put_number(&mut trainer, 35, i64::from(n_bytes == 256));
    let id = |id: Option<u32>| id.map_or(-1, i64::from);
    put_number(&mut trainer, 40, id(record.unk_id));
    put_number(&mut trainer, 41, id(record.bos_id));
    put_number(&mut trainer, 42, id(record.eos_ids.last().copied()));
    put_number(&mut trainer, 43, id(record.pad_id));
    put_bytes(&mut out, 2, &trainer);
    let mut normalizer = Vec::new();
    put_bytes(&mut normalizer, 1, b"identity");
    put_number(&mut normalizer, 3, i64::from(record.add_space_prefix));
    put_number(&mut normalizer, 4, i64::from(!record.normalizer.is_empty()));
    put_number(&mut normalizer, 5, 1);
    put_bytes(&mut out, 3, &normalizer);
    out
}

fn put_tag(out: &mut Vec<u8>, field: u64, wire_type: u64) {
    put_varint(out, field << 3 | wire_type);
}

fn put_number(out: &mut Vec<u8>, field: u64, value: i64) {
    put_tag(out, field, 0);
    put_varint(out, value.cast_unsigned());
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_tag(out, field, 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
