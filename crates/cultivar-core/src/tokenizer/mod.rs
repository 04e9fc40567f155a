//! Text to ids and back: the tokenizer a package carries, checked and indexed.
//!
//! Opening checks the whole record and builds every index; after that encoding and decoding
//! cannot fail on any text or any id of the vocabulary. Markers in a text are ordinary characters
//! unless the caller asks for them. It must never look at a model or a package.

mod bytes_kind;
mod chat;
mod chat_record;
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
pub use error::{TokenizerError, TokenizerErrorKind};
pub use normalizer::is_normalizer_step;
pub use pre_tokenizer::is_pre_tokenizer_step;
pub use record::{PieceType, Pieces, TokenizerKind, TokenizerRecord};
pub use stream_decoder::StreamDecoder;
pub use vocabulary::Vocabulary;

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
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

/// A tokenizer, ready to use.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    record: TokenizerRecord,
    special: SpecialPieces,
    normalizer: Normalizer,
    index: Index,
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
        record_check::check(&record)?;
        let special = SpecialPieces::new(&record)?;
        let unknown = TokenizerError::new(TokenizerErrorKind::StepUnknown, 0);
        let normalizer = Normalizer::new(&record).ok_or(unknown)?;
        let index = match record.kind {
            TokenizerKind::Bytes => Index::Bytes,
            TokenizerKind::SentencePieceBpe => Index::SentencePiece(SentencePiece::new(&record)?),
            TokenizerKind::ByteBpe | TokenizerKind::CharBpe => {
                let pre_tokenizer = PreTokenizer::new(&record.pre_tokenizer).ok_or(unknown)?;
                Index::MergeBpe(MergeBpe::new(&record, pre_tokenizer)?)
            }
            TokenizerKind::Unigram => {
                let pre_tokenizer = PreTokenizer::new(&record.pre_tokenizer).ok_or(unknown)?;
                Index::Unigram(Unigram::new(&record, pre_tokenizer)?)
            }
        };
        Ok(Tokenizer {
            record,
            special,
            normalizer,
            index,
        })
    }

    /// The record it was made from.
    pub fn record(&self) -> &TokenizerRecord {
        &self.record
    }

    /// The record it was made from, without the indexes.
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
        if options.add_bos.unwrap_or(self.record.add_bos) {
            let Some(bos_id) = self.record.bos_id else {
                return Err(TokenizerError::new(TokenizerErrorKind::BosMissing, 0));
            };
            out.push(bos_id);
        }
        let mut search = Search::new(&self.special, &self.record, text, marked);
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
            if self.record.strip_right_ids.binary_search(&found.id).is_ok() {
                let rest = text.get(at..).unwrap_or("");
                at += rest.len() - rest.trim_start().len();
            }
        }
    }

    /// The stretch before a special piece, without the white space that the piece takes along.
    fn stripped<'a>(&self, stretch: &'a str, next: Option<Found>) -> &'a str {
        let takes = |found: Found| self.record.strip_left_ids.binary_search(&found.id).is_ok();
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

    /// The text with spaces for the mark that SentencePiece writes for them, where that is so.
    fn with_plain_spaces<'a>(&self, text: &'a str) -> Cow<'a, str> {
        // Character by character: the library's search of text is five kilobytes of the module.
        if self.record.kind.has_space_mark() && text.chars().any(|c| c == SPACE_MARK) {
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
        let mut text = self.normalizer.normalize(&self.record, text, is_first)?;
        if self.record.add_space_prefix && !text.is_empty() {
            text.to_mut().insert(0, ' ');
        }
        // Every byte becomes at most one id.
        out.try_reserve(text.len())
            .map_err(|_| TokenizerError::new(TokenizerErrorKind::OutOfMemory, 0))?;
        match &self.index {
            Index::SentencePiece(index) => index.encode(&self.record, &text, out),
            Index::MergeBpe(index) => index.encode(&self.record, &text, out),
            Index::Unigram(index) => index.encode(&self.record, &text, out),
            Index::Bytes => {
                bytes_kind::encode(&text, out);
                Ok(())
            }
        }
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

    fn removes_leading_space(&self) -> bool {
        self.record.remove_leading_space
    }
}
