//! What can be wrong with a tokenizer record or with a request to it: kind × id, no strings.
//!
//! Codes 300–349 are stable: they cross the boundary and are listed in `docs/abi.md`.

use core::fmt;

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenizerErrorKind {
    /// There are no pieces, or more than [`super::VOCAB_SIZE_MAX`].
    VocabSize,
    /// `scores` does not have one entry per piece (or has any for a kind without scores).
    ScoreCount,
    /// `types` does not have one entry per piece.
    TypeCount,
    /// A stored type is not one of 1..=6, or is not allowed for this kind.
    PieceType,
    /// A score is infinite or not a number.
    ScoreNotFinite,
    /// A piece that may not be empty is.
    PieceEmpty,
    /// A piece is longer than [`super::PIECE_BYTES_MAX`].
    PieceTooLong,
    /// A byte piece does not hold exactly one byte.
    BytePieceLen,
    /// Two pieces that text could become hold the same bytes.
    PieceRepeated,
    /// There is neither an unknown id nor this byte's piece (id = the byte).
    BytePieceMissing,
    /// A special id is outside the vocabulary.
    SpecialIdRange,
    /// A list of special ids is not strictly ascending.
    EosOrder,
    /// The begin-of-sequence id is wanted but the record has none.
    BosMissing,
    /// The record has merges, which this kind does not use.
    MergesUnused,
    /// The record names a normalizer, pre-tokenizer or decoder step this kind does not have; the
    /// id is its place, counted through all three.
    StepUnknown,
    /// The pieces could not be indexed (they were made to collide).
    PieceIndex,
    /// An id to decode is outside the vocabulary.
    IdRange,
    /// The text is longer than [`super::TEXT_BYTES_MAX`].
    TextTooLong,
    /// There was no memory for the text's ids or for the tokenizer's indexes.
    OutOfMemory,
    /// A merge joins an id that is outside the vocabulary; the id is the merge's place.
    MergePart,
    /// A merge stands in the list twice; the id is the second one's place.
    MergeRepeated,
    /// What a merge joins is not a piece that text can become; the id is the merge's place.
    MergeUnknown,
    /// The list of the step `map` is not as it must be: one text for each, ascending, and there
    /// just where the step is; the id is the place.
    MapBroken,
    /// A message has a role that the chat format does not take at its place; the id is the place.
    ChatRoles,
    /// A stored chat format is not one that this version writes.
    ChatFormat,
}

/// A broken rule and the id (piece, byte or special id) where it was met; 0 where no id applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenizerError {
    /// The rule that was broken.
    pub kind: TokenizerErrorKind,
    /// The id it concerns.
    pub id: u32,
}

impl TokenizerError {
    /// An error of that kind at that id.
    pub const fn new(kind: TokenizerErrorKind, id: u32) -> TokenizerError {
        TokenizerError { kind, id }
    }

    /// The stable positive code of the kind.
    pub const fn code(self) -> i32 {
        match self.kind {
            TokenizerErrorKind::VocabSize => 300,
            TokenizerErrorKind::ScoreCount => 301,
            TokenizerErrorKind::TypeCount => 302,
            TokenizerErrorKind::PieceType => 303,
            TokenizerErrorKind::ScoreNotFinite => 304,
            TokenizerErrorKind::PieceEmpty => 305,
            TokenizerErrorKind::PieceTooLong => 306,
            TokenizerErrorKind::BytePieceLen => 307,
            TokenizerErrorKind::PieceRepeated => 308,
            TokenizerErrorKind::BytePieceMissing => 309,
            TokenizerErrorKind::SpecialIdRange => 310,
            TokenizerErrorKind::EosOrder => 311,
            TokenizerErrorKind::BosMissing => 312,
            TokenizerErrorKind::MergesUnused => 313,
            TokenizerErrorKind::StepUnknown => 314,
            TokenizerErrorKind::PieceIndex => 315,
            TokenizerErrorKind::IdRange => 316,
            TokenizerErrorKind::TextTooLong => 317,
            TokenizerErrorKind::OutOfMemory => 318,
            TokenizerErrorKind::MergePart => 319,
            TokenizerErrorKind::MergeRepeated => 320,
            TokenizerErrorKind::MergeUnknown => 321,
            TokenizerErrorKind::ChatRoles => 322,
            TokenizerErrorKind::ChatFormat => 323,
            TokenizerErrorKind::MapBroken => 324,
        }
    }
}

impl fmt::Display for TokenizerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id;
        // Longer than a screen because there is one sentence per rule.
        match self.kind {
            TokenizerErrorKind::VocabSize => {
                write!(
                    f,
                    "tokenizer: a vocabulary has 1 to {} pieces",
                    super::VOCAB_SIZE_MAX
                )
            }
            TokenizerErrorKind::ScoreCount => {
                write!(
                    f,
                    "tokenizer: the number of scores does not fit the number of pieces"
                )
            }
            TokenizerErrorKind::TypeCount => {
                write!(
                    f,
                    "tokenizer: the number of types is not the number of pieces"
                )
            }
            TokenizerErrorKind::PieceType => {
                write!(
                    f,
                    "tokenizer: piece {id} has a type that this kind of tokenizer lacks"
                )
            }
            TokenizerErrorKind::ScoreNotFinite => {
                write!(
                    f,
                    "tokenizer: the score of piece {id} is not a finite number"
                )
            }
            TokenizerErrorKind::PieceEmpty => write!(f, "tokenizer: piece {id} is empty"),
            TokenizerErrorKind::PieceTooLong => write!(
                f,
                "tokenizer: piece {id} is longer than {} bytes",
                super::PIECE_BYTES_MAX
            ),
            TokenizerErrorKind::BytePieceLen => {
                write!(
                    f,
                    "tokenizer: byte piece {id} does not hold exactly one byte"
                )
            }
            TokenizerErrorKind::PieceRepeated => {
                write!(
                    f,
                    "tokenizer: piece {id} repeats the bytes of an earlier piece"
                )
            }
            TokenizerErrorKind::BytePieceMissing => write!(
                f,
                "tokenizer: byte 0x{id:02X} has no piece, and there is no unknown id instead"
            ),
            TokenizerErrorKind::SpecialIdRange => {
                write!(f, "tokenizer: special id {id} is outside the vocabulary")
            }
            TokenizerErrorKind::EosOrder => {
                write!(
                    f,
                    "tokenizer: special ids are not strictly ascending at {id}"
                )
            }
            TokenizerErrorKind::BosMissing => {
                write!(
                    f,
                    "tokenizer: a begin-of-sequence id is asked for but there is none"
                )
            }
            TokenizerErrorKind::MergesUnused => {
                write!(
                    f,
                    "tokenizer: this kind of tokenizer has no merges, but some are given"
                )
            }
            TokenizerErrorKind::StepUnknown => {
                write!(
                    f,
                    "tokenizer: step {id} of normalizer, pre-tokenizer and decoder is not one \
                     that this kind has"
                )
            }
            TokenizerErrorKind::PieceIndex => {
                write!(
                    f,
                    "tokenizer: the pieces cannot be indexed (too many collide)"
                )
            }
            TokenizerErrorKind::IdRange => {
                write!(f, "tokenizer: id {id} is outside the vocabulary")
            }
            TokenizerErrorKind::TextTooLong => {
                write!(
                    f,
                    "tokenizer: the text is longer than {} bytes",
                    super::TEXT_BYTES_MAX
                )
            }
            TokenizerErrorKind::OutOfMemory => write!(f, "tokenizer: out of memory"),
            TokenizerErrorKind::MergePart => {
                write!(
                    f,
                    "tokenizer: merge {id} joins an id outside the vocabulary"
                )
            }
            TokenizerErrorKind::MergeRepeated => {
                write!(f, "tokenizer: merge {id} repeats an earlier one")
            }
            TokenizerErrorKind::MergeUnknown => {
                write!(
                    f,
                    "tokenizer: what merge {id} joins is no piece of the vocabulary"
                )
            }
            TokenizerErrorKind::MapBroken => {
                write!(f, "tokenizer: the list of the step map is broken at {id}")
            }
            TokenizerErrorKind::ChatRoles => write!(
                f,
                "chat: message {id} has a role that this model's format does not take there"
            ),
            TokenizerErrorKind::ChatFormat => {
                write!(
                    f,
                    "chat: the stored format is not one that this version knows"
                )
            }
        }
    }
}

impl core::error::Error for TokenizerError {}
