//! The tokenizer section: one row per option, the same rows for reading and writing.
//!
//! Checks what the format promises (counts, ranges, lengths, one spelling); whether the pieces
//! make a working tokenizer is for `Tokenizer::new` to say. Defaults are absent, unknown options
//! are refused by name.

use super::error::{PackageError, PackageErrorKind};
use super::limits;
use super::record_writer::RecordWriter;
use super::records::Records;
use super::section_table::SectionId;
use super::value::{Strings, Value};
use crate::bytes::ShortText;
use crate::tokenizer::{
    PieceType, Pieces, TokenizerKind, TokenizerRecord, is_normalizer_step, is_pre_tokenizer_step,
};
use alloc::string::String;
use alloc::vec::Vec;

/// One option of a tokenizer.
struct TokenizerKey {
    name: &'static str,
    read: fn(&mut TokenizerRecord, &Value<'_>) -> Result<(), PackageErrorKind>,
    is_default: fn(&TokenizerRecord) -> bool,
    put: fn(&TokenizerRecord, &mut RecordWriter, &str),
}

macro_rules! bool_key {
    ($field:ident) => {
        TokenizerKey {
            name: stringify!($field),
            read: |record, value| {
                let Value::Bool(value) = value else {
                    return Err(WRONG_KIND);
                };
                record.$field = *value;
                Ok(())
            },
            is_default: |record| !record.$field,
            put: |record, out, key| {
                out.bool(key, record.$field);
            },
        }
    };
}

macro_rules! id_key {
    ($field:ident) => {
        TokenizerKey {
            name: stringify!($field),
            read: |record, value| {
                let id = value.as_u64().ok_or(WRONG_KIND)?;
                let id = u32::try_from(id).map_err(|_| PackageErrorKind::TokenId)?;
                record.$field = Some(id);
                Ok(())
            },
            is_default: |record| record.$field.is_none(),
            put: |record, out, key| {
                out.u64(key, u64::from(record.$field.unwrap_or_default()));
            },
        }
    };
}

macro_rules! ids_key {
    ($field:ident) => {
        TokenizerKey {
            name: stringify!($field),
            read: |record, value| {
                let Value::U32List(list) = value else {
                    return Err(WRONG_KIND);
                };
                record.$field = list
                    .iter()
                    .map(|bytes| u32::from_le_bytes(*bytes))
                    .collect();
                Ok(())
            },
            is_default: |record| record.$field.is_empty(),
            put: |record, out, key| {
                out.u32_list(key, record.$field.iter().copied());
            },
        }
    };
}

macro_rules! pieces_key {
    ($field:ident) => {
        TokenizerKey {
            name: stringify!($field),
            read: |record, value| {
                let Value::BytesList(list) = value else {
                    return Err(WRONG_KIND);
                };
                record.$field = read_pieces(list)?;
                Ok(())
            },
            is_default: |record| record.$field.is_empty(),
            put: |record, out, key| {
                let pieces: Vec<&[u8]> = record.$field.iter().collect();
                out.bytes_list(key, pieces.into_iter());
            },
        }
    };
}

macro_rules! steps_key {
    ($field:ident) => {
        TokenizerKey {
            name: stringify!($field),
            read: |record, value| {
                let Value::TextList(list) = value else {
                    return Err(WRONG_KIND);
                };
                if list.len() > limits::STEPS_MAX {
                    return Err(PackageErrorKind::ValueRange);
                }
                record.$field = list.texts().map(String::from).collect();
                Ok(())
            },
            is_default: |record| record.$field.is_empty(),
            put: |record, out, key| {
                out.text_list(key, record.$field.iter().map(String::as_str));
            },
        }
    };
}

const WRONG_KIND: PackageErrorKind = PackageErrorKind::WrongValueKind;

/// Every option of a tokenizer, ascending by name.
const KEYS: &[TokenizerKey] = &[
    bool_key!(add_bos),
    bool_key!(add_space_prefix),
    id_key!(bos_id),
    steps_key!(decoder),
    ids_key!(eos_ids),
    bool_key!(ignore_merges),
    TokenizerKey {
        name: "kind",
        read: |record, value| {
            let name = value.as_text().ok_or(WRONG_KIND)?;
            record.kind = TokenizerKind::from_name(name).ok_or(PackageErrorKind::UnknownChoice)?;
            Ok(())
        },
        is_default: |_| false,
        put: |record, out, key| {
            out.text(key, record.kind.name());
        },
    },
    pieces_key!(map_from),
    pieces_key!(map_to),
    TokenizerKey {
        name: "merges",
        read: read_merges,
        is_default: |record| record.merges.is_empty(),
        put: |record, out, key| {
            out.u32_list(
                key,
                record
                    .merges
                    .iter()
                    .flat_map(|(left, right)| [*left, *right]),
            );
        },
    },
    steps_key!(normalizer),
    id_key!(pad_id),
    pieces_key!(pieces),
    steps_key!(pre_tokenizer),
    bool_key!(remove_leading_space),
    TokenizerKey {
        name: "scores",
        read: |record, value| {
            let Value::F32List(list) = value else {
                return Err(WRONG_KIND);
            };
            record.scores = list
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect();
            Ok(())
        },
        is_default: |record| record.scores.is_empty(),
        put: |record, out, key| {
            out.f32_list(key, &record.scores);
        },
    },
    ids_key!(strip_left_ids),
    ids_key!(strip_right_ids),
    bool_key!(sums_f32),
    TokenizerKey {
        name: "types",
        read: |record, value| {
            let Value::Bytes(types) = value else {
                return Err(WRONG_KIND);
            };
            if types.iter().any(|byte| PieceType::from_u8(*byte).is_none()) {
                return Err(PackageErrorKind::ValueRange);
            }
            record.types = types.to_vec();
            Ok(())
        },
        is_default: |record| record.types.is_empty(),
        put: |record, out, key| {
            out.bytes(key, &record.types);
        },
    },
    id_key!(unk_id),
];

fn read_merges(record: &mut TokenizerRecord, value: &Value<'_>) -> Result<(), PackageErrorKind> {
    let Value::U32List(list) = value else {
        return Err(WRONG_KIND);
    };
    let (pairs, rest) = list.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > limits::MERGES_MAX {
        return Err(PackageErrorKind::TokenizerList);
    }
    let id = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
    record.merges = pairs
        .iter()
        .map(|[left, right]| (id(left), id(right)))
        .collect();
    Ok(())
}

fn read_pieces(list: &Strings<'_>) -> Result<Pieces, PackageErrorKind> {
    if list.len() > limits::VOCAB_MAX {
        return Err(PackageErrorKind::VocabSize);
    }
    let mut pieces = Pieces::with_capacity(list.len(), list.total_bytes());
    for piece in list.iter() {
        if piece.len() > limits::PIECE_BYTES_MAX || !pieces.push(piece) {
            return Err(PackageErrorKind::PieceTooLong);
        }
    }
    Ok(pieces)
}

/// The tokenizer that a tokenizer section at byte `offset` stores, for a model of `vocab_size` ids.
pub fn read_tokenizer(
    bytes: &[u8],
    offset: u64,
    vocab_size: usize,
) -> Result<TokenizerRecord, PackageError> {
    let records = Records::parse(SectionId::TOKENIZER, bytes, offset)?;
    records.require("kind")?;
    let mut tokenizer = TokenizerRecord::empty(TokenizerKind::Bytes);
    for record in records.iter() {
        let key = KEYS.iter().find(|key| key.name == record.key);
        let key = key.ok_or_else(|| records.refuse(PackageErrorKind::UnknownKey, &record))?;
        (key.read)(&mut tokenizer, &record.value).map_err(|kind| records.refuse(kind, &record))?;
        if (key.is_default)(&tokenizer) {
            return Err(records.refuse(PackageErrorKind::RedundantDefault, &record));
        }
    }
    if let Some((key, step)) = unknown_step(&tokenizer) {
        let place = records.get(key).map_or(offset, |record| record.offset);
        let kind = PackageErrorKind::UnknownChoice;
        return Err(PackageError::within(kind, SectionId::TOKENIZER, place).named(step));
    }
    check_tokenizer(&tokenizer, vocab_size).map_err(|(kind, key)| {
        let place = records.get(key).map_or(offset, |record| record.offset);
        PackageError::within(kind, SectionId::TOKENIZER, place).named(ShortText::new(key))
    })?;
    Ok(tokenizer)
}

/// The first step that this version does not know, and its option.
fn unknown_step(tokenizer: &TokenizerRecord) -> Option<(&'static str, &str)> {
    let lists = [
        ("normalizer", &tokenizer.normalizer),
        ("pre_tokenizer", &tokenizer.pre_tokenizer),
        ("decoder", &tokenizer.decoder),
    ];
    let is_known = |key, step: &str| match key {
        "normalizer" => is_normalizer_step(step),
        "pre_tokenizer" => is_pre_tokenizer_step(step),
        _ => false,
    };
    lists.into_iter().find_map(|(key, steps)| {
        let unknown = steps.iter().find(|step| !is_known(key, step))?;
        Some((key, unknown.as_str()))
    })
}

/// The tokenizer as a section stores it.
pub fn tokenizer_records(tokenizer: &TokenizerRecord) -> RecordWriter {
    let mut out = RecordWriter::new();
    for key in KEYS {
        if !(key.is_default)(tokenizer) {
            (key.put)(tokenizer, &mut out, key.name);
        }
    }
    out
}

/// Counts and ids that must agree; an error names the option at fault.
fn check_tokenizer(
    tokenizer: &TokenizerRecord,
    vocab_size: usize,
) -> Result<(), (PackageErrorKind, &'static str)> {
    let n_pieces = tokenizer.pieces.len();
    if tokenizer.vocab_size() != vocab_size {
        return Err((PackageErrorKind::VocabSize, "pieces"));
    }
    if tokenizer.types.len() != n_pieces {
        return Err((PackageErrorKind::TokenizerList, "types"));
    }
    let n_scores = if tokenizer.kind.has_scores() {
        n_pieces
    } else {
        0
    };
    if tokenizer.map_from.len() != tokenizer.map_to.len() {
        return Err((PackageErrorKind::TokenizerList, "map_to"));
    }
    if tokenizer.scores.len() != n_scores {
        return Err((PackageErrorKind::TokenizerList, "scores"));
    }
    let is_id = |id: u32| (id as usize) < vocab_size;
    for (id, key) in [
        (tokenizer.bos_id, "bos_id"),
        (tokenizer.unk_id, "unk_id"),
        (tokenizer.pad_id, "pad_id"),
    ] {
        if !id.is_none_or(is_id) {
            return Err((PackageErrorKind::TokenId, key));
        }
    }
    for (ids, key) in [
        (&tokenizer.eos_ids, "eos_ids"),
        (&tokenizer.strip_left_ids, "strip_left_ids"),
        (&tokenizer.strip_right_ids, "strip_right_ids"),
    ] {
        let ascends = ids.array_windows().all(|[a, b]| a < b);
        if !ascends || !ids.iter().all(|id| is_id(*id)) {
            return Err((PackageErrorKind::TokenId, key));
        }
    }
    if !tokenizer
        .merges
        .iter()
        .all(|(left, right)| is_id(*left) && is_id(*right))
    {
        return Err((PackageErrorKind::TokenId, "merges"));
    }
    Ok(())
}
