//! Text to ids and back: the tokenizer a package carries, checked and indexed.
//!
//! A [`Detokenizer`] knows what ids mean, which is all that a running model needs; a [`Tokenizer`]
//! has the indexes to encode as well. Once one is made it cannot fail on any text or any id of the
//! vocabulary. Markers in a text are ordinary characters unless the caller asks for them. It must
//! never look at a model or a package.

mod bytes_kind;
mod chat;
mod chat_record;
mod detokenizer;
mod error;
mod merge_bpe;
mod merge_span;
mod normalizer;
mod pair_index;
mod pre_tokenizer;
mod record;
mod record_check;
mod sentencepiece;
mod special_pieces;
mod spelling;
mod stream_decoder;
mod text_map;
mod unicode;
mod unigram;
mod vocabulary;
mod word_memory;
mod word_rules;

pub use chat::ChatRole;
pub use chat_record::{ChatFormat, ChatTurn, SystemPlace};
pub use detokenizer::Detokenizer;
pub use error::{TokenizerError, TokenizerErrorKind};
pub use normalizer::is_normalizer_step;
pub use pre_tokenizer::is_pre_tokenizer_step;
pub use record::{PieceType, Pieces, TokenizerKind, TokenizerRecord};
pub use stream_decoder::StreamDecoder;
pub use vocabulary::Vocabulary;

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::ops::{Deref, Range};
use merge_bpe::MergeBpe;
use normalizer::Normalizer;
use pre_tokenizer::PreTokenizer;
use sentencepiece::SentencePiece;
use special_pieces::{Found, Search, SpecialPieces};
use unigram::Unigram;

/// Most ids of a vocabulary: four times the largest in use (262,144).
pub const VOCAB_SIZE_MAX: usize = 1 << 20;

/// Longest piece: an order of magnitude above the longest in use, and short enough that no text
/// is searched deeply at every place.
pub const PIECE_BYTES_MAX: usize = 1024;

/// Longest text of one call: offsets are 32 bits, and so is the module's memory.
pub const TEXT_BYTES_MAX: usize = 1 << 28;

/// Most bytes of text one id can add to a decoded string: a piece of which every byte is broken,
/// after an unfinished character.
pub const PIECE_TEXT_BYTES_MAX: usize = 3 * (PIECE_BYTES_MAX + 1);

/// How SentencePiece writes a space inside pieces; in text it means a space.
const SPACE_MARK: char = '\u{2581}';

/// How to encode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Whether the ids begin with the begin-of-sequence id; nothing means as the record says.
    pub add_bos: Option<bool>,
    /// Whether markers written out in the text (`<s>`) become their ids.
    pub parse_special: bool,
}

/// A tokenizer, ready to encode; it decodes as the [`Detokenizer`] that it is too.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    decoder: Detokenizer,
    special: SpecialPieces,
    normalizer: Normalizer,
    index: Index,
}

impl Deref for Tokenizer {
    type Target = Detokenizer;

    fn deref(&self) -> &Detokenizer {
        &self.decoder
    }
}

/// What a kind of tokenizer looks pieces up in.
#[derive(Clone, Debug)]
enum Index {
    Bytes,
    SentencePiece(SentencePiece),
    MergeBpe(MergeBpe),
    Unigram(Unigram),
}

impl Tokenizer {
    /// Checks the record and builds the indexes; the first broken rule is the error.
    pub fn new(record: TokenizerRecord) -> Result<Tokenizer, TokenizerError> {
        record_check::check_steps(&record)?;
        text_map::check(&record)?;
        let decoder = Detokenizer::new(record)?;
        let record = decoder.record();
        let special = SpecialPieces::new(record)?;
        let unknown = TokenizerError::new(TokenizerErrorKind::StepUnknown, 0);
        let normalizer = Normalizer::new(record).ok_or(unknown)?;
        let index = match record.kind {
            TokenizerKind::Bytes => Index::Bytes,
            TokenizerKind::SentencePieceBpe => Index::SentencePiece(SentencePiece::new(record)?),
            TokenizerKind::ByteBpe | TokenizerKind::CharBpe => {
                let pre_tokenizer = PreTokenizer::new(&record.pre_tokenizer).ok_or(unknown)?;
                Index::MergeBpe(MergeBpe::new(record, pre_tokenizer)?)
            }
            TokenizerKind::Unigram => {
                let pre_tokenizer = PreTokenizer::new(&record.pre_tokenizer).ok_or(unknown)?;
                Index::Unigram(Unigram::new(record, pre_tokenizer)?)
            }
        };
        Ok(Tokenizer {
            decoder,
            special,
            normalizer,
            index,
        })
    }

    /// The record it was made from, without the indexes.
    pub fn into_record(self) -> TokenizerRecord {
        self.decoder.into_record()
    }

    /// Appends the ids of `text` to `out`.
    ///
    /// Special pieces are split off first; each stretch of text between them is normalised and
    /// gets the space prefix if the record asks for one. On an error `out` is as it was.
    pub fn encode(
        &self,
        text: &str,
        options: EncodeOptions,
        out: &mut Vec<u32>,
    ) -> Result<(), TokenizerError> {
        let text = self.with_plain_spaces(text);
        let everywhere = 0..text.len();
        let marked = if options.parse_special {
            core::slice::from_ref(&everywhere)
        } else {
            &[]
        };
        self.encode_marked(&text, marked, options, out)
    }

    /// The same where markers are parsed in some ranges of the text alone, ascending and apart;
    /// of the options, only the begin marker's counts.
    fn encode_marked(
        &self,
        text: &str,
        marked: &[Range<usize>],
        options: EncodeOptions,
        out: &mut Vec<u32>,
    ) -> Result<(), TokenizerError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(TokenizerError::new(TokenizerErrorKind::TextTooLong, 0));
        }
        // Every byte becomes at most one id; a begin id and a prefix may be added.
        out.try_reserve(text.len().saturating_add(2))
            .map_err(|_| TokenizerError::new(TokenizerErrorKind::OutOfMemory, 0))?;
        let n_before = out.len();
        if options.add_bos.unwrap_or(self.record().add_bos) {
            let Some(bos_id) = self.bos_id() else {
                return Err(TokenizerError::new(TokenizerErrorKind::BosMissing, 0));
            };
            out.push(bos_id);
        }
        let mut search = Search::new(&self.special, self.record(), text, marked);
        let mut at = 0;
        loop {
            let found = search.next_from(at);
            let end = found.map_or(text.len(), |found| found.start);
            let stretch = self.stripped(text.get(at..end).unwrap_or(""), found);
            if let Err(error) = self.encode_plain(stretch, at == 0, out) {
                out.truncate(n_before);
                return Err(error);
            }
            let Some(found) = found else { return Ok(()) };
            out.push(found.id);
            at = found.end;
            if self
                .record()
                .strip_right_ids
                .binary_search(&found.id)
                .is_ok()
            {
                let rest = text.get(at..).unwrap_or("");
                at += rest.len() - rest.trim_start().len();
            }
        }
    }

    /// The stretch before a special piece, without the white space that the piece takes along.
    fn stripped<'a>(&self, stretch: &'a str, next: Option<Found>) -> &'a str {
        let takes = |found: Found| {
            self.record()
                .strip_left_ids
                .binary_search(&found.id)
                .is_ok()
        };
        if next.is_some_and(takes) {
            stretch.trim_end()
        } else {
            stretch
        }
    }

    /// The ids of a text as a new list.
    pub fn ids(&self, text: &str, options: EncodeOptions) -> Result<Vec<u32>, TokenizerError> {
        let mut out = Vec::new();
        self.encode(text, options, &mut out)?;
        Ok(out)
    }

    /// The text with spaces for the mark that SentencePiece writes for them, where that is so.
    fn with_plain_spaces<'a>(&self, text: &'a str) -> Cow<'a, str> {
        // Character by character: the library's search of text is five kilobytes of the module.
        if self.record().kind.has_space_mark() && text.chars().any(|c| c == SPACE_MARK) {
            let unmarked = |c| if c == SPACE_MARK { ' ' } else { c };
            Cow::Owned(text.chars().map(unmarked).collect())
        } else {
            Cow::Borrowed(text)
        }
    }

    /// Encodes a stretch without special pieces.
    fn encode_plain(
        &self,
        text: &str,
        is_first: bool,
        out: &mut Vec<u32>,
    ) -> Result<(), TokenizerError> {
        if text.is_empty() {
            return Ok(());
        }
        let mut text = self.normalizer.normalize(self.record(), text, is_first)?;
        if self.record().add_space_prefix && !text.is_empty() {
            text.to_mut().insert(0, ' ');
        }
        // Every byte becomes at most one id.
        out.try_reserve(text.len())
            .map_err(|_| TokenizerError::new(TokenizerErrorKind::OutOfMemory, 0))?;
        match &self.index {
            Index::SentencePiece(index) => index.encode(self.record(), &text, out),
            Index::MergeBpe(index) => index.encode(self.record(), &text, out),
            Index::Unigram(index) => index.encode(self.record(), &text, out),
            Index::Bytes => {
                bytes_kind::encode(&text, out);
                Ok(())
            }
        }
    }
}
