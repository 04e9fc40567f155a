//! BPE by a list of merges (Sennrich, Haddow and Birch, 2016): among all adjacent pairs that the
//! list names, join the one that stands first, the leftmost of equals, until no pair is left.
//!
//! Symbols are bytes (GPT-2's byte-level BPE, whose pieces are stored as the bytes they mean) or
//! characters with byte pieces as fallback. Words come from the pre-tokenizer and are merged one
//! by one; a word of n symbols takes n log n steps. A byte without a piece becomes the unknown
//! piece, or nothing where there is none, as in the Hugging Face library.

use super::error::{TokenizerError, TokenizerErrorKind};
use super::merge_span::{NONE, Pairs, Span, Symbol};
use super::pair_index::PairIndex;
use super::pre_tokenizer::PreTokenizer;
use super::record::{PieceType, TokenizerKind, TokenizerRecord};
use super::spelling::Spelling;
use super::vocabulary::Vocabulary;
use super::word_memory::WordMemory;
use alloc::collections::TryReserveError;
use alloc::vec;
use alloc::vec::Vec;

/// The indexes of one vocabulary with merges.
#[derive(Clone, Debug)]
pub(super) struct MergeBpe {
    vocabulary: Vocabulary,
    merges: PairIndex,
    /// Per merge the piece it makes.
    joined_ids: Vec<u32>,
    symbols: Symbols,
    pre_tokenizer: PreTokenizer,
}

/// What merging begins with.
#[derive(Clone, Debug)]
enum Symbols {
    /// Per byte its piece, [`NONE`] where there is none.
    Bytes(Vec<u32>),
    /// Characters; those that are no piece are spelt.
    Characters(Spelling),
}

impl MergeBpe {
    /// Indexes pieces and merges. Refuses repeats, and merges whose parts or outcome are no piece.
    pub(super) fn new(
        record: &TokenizerRecord,
        pre_tokenizer: PreTokenizer,
    ) -> Result<MergeBpe, TokenizerError> {
        let refuse = |kind, place| TokenizerError::new(kind, place);
        let mut ids = Vec::new();
        ids.try_reserve_exact(record.pieces.len())
            .map_err(no_memory)?;
        let typed = (0u32..).zip(&record.types);
        let normal = typed.filter(|(_, kind)| **kind == PieceType::Normal as u8);
        ids.extend(normal.map(|(id, _)| id));
        let vocabulary = Vocabulary::new(&record.pieces, &ids)?;
        let merges = PairIndex::new(&record.merges, TokenizerErrorKind::MergeRepeated)?;
        let mut joined_ids = ids;
        joined_ids.clear();
        joined_ids
            .try_reserve_exact(record.merges.len())
            .map_err(no_memory)?;
        let mut whole = Vec::new();
        for (place, &(left, right)) in (0u32..).zip(&record.merges) {
            let part = |id: u32| {
                let piece = record.pieces.get(id as usize);
                piece.ok_or_else(|| refuse(TokenizerErrorKind::MergePart, place))
            };
            whole.clear();
            whole.extend_from_slice(part(left)?);
            whole.extend_from_slice(part(right)?);
            let id = vocabulary.find(&record.pieces, &whole);
            joined_ids.push(id.ok_or_else(|| refuse(TokenizerErrorKind::MergeUnknown, place))?);
        }
        let symbols = if record.kind == TokenizerKind::CharBpe {
            Symbols::Characters(Spelling::new(record)?)
        } else {
            let mut byte_ids = vec![NONE; 256];
            for (byte, slot) in (0..=u8::MAX).zip(byte_ids.iter_mut()) {
                let id = vocabulary.find(&record.pieces, &[byte]);
                *slot = id.or(record.unk_id).unwrap_or(NONE);
            }
            Symbols::Bytes(byte_ids)
        };
        Ok(MergeBpe {
            vocabulary,
            merges,
            joined_ids,
            symbols,
            pre_tokenizer,
        })
    }

    /// Appends the ids of `text`, normalised and without special pieces. The only error is a lack
    /// of memory.
    pub(super) fn encode(
        &self,
        record: &TokenizerRecord,
        text: &str,
        out: &mut Vec<u32>,
    ) -> Result<(), TokenizerError> {
        let mut span = Span::default();
        let mut memory = WordMemory::new(text, record.unk_id);
        let mut start = 0;
        self.pre_tokenizer.split(text, &mut |word| {
            let (word_start, ids_start) = (start, out.len());
            start += word.len();
            let Some(slot_idx) = memory.recall(word.as_bytes(), out) else {
                return Ok(());
            };
            let whole = || self.vocabulary.find(&record.pieces, word.as_bytes());
            match record.ignore_merges.then(whole).flatten() {
                Some(id) => out.push(id),
                None => {
                    self.begin(record, word, &mut span).map_err(no_memory)?;
                    span.merge(&(self, record), word.as_bytes(), false)
                        .map_err(no_memory)?;
                    self.emit(word.as_bytes(), &span, out);
                }
            }
            memory.keep(slot_idx, word_start, word.as_bytes(), out, ids_start);
            Ok(())
        })
    }

    /// Cuts a word into the symbols that merging begins with.
    fn begin(
        &self,
        record: &TokenizerRecord,
        word: &str,
        span: &mut Span,
    ) -> Result<(), TryReserveError> {
        span.begin(word.len())?;
        match &self.symbols {
            Symbols::Bytes(_) => {
                let bytes = word.as_bytes().as_chunks::<1>().0.iter();
                bytes.for_each(|byte| span.push(1, self.first_id(record, byte)));
            }
            Symbols::Characters(_) => {
                let mut bytes = [0; 4];
                for character in word.chars() {
                    let bytes = character.encode_utf8(&mut bytes).as_bytes();
                    span.push(bytes.len(), self.first_id(record, bytes));
                }
            }
        }
        Ok(())
    }

    /// The piece of one byte or character.
    fn first_id(&self, record: &TokenizerRecord, bytes: &[u8]) -> u32 {
        let id = match (&self.symbols, bytes) {
            (Symbols::Bytes(byte_ids), [byte]) => byte_ids.get(usize::from(*byte)).copied(),
            _ => self.vocabulary.find(&record.pieces, bytes),
        };
        id.unwrap_or(NONE)
    }

    /// Appends the ids of a merged word.
    fn emit(&self, word: &[u8], span: &Span, out: &mut Vec<u32>) {
        let word_start = out.len();
        let mut symbol_idx = 0u32;
        while let Some(symbol) = span.symbols.get(symbol_idx as usize) {
            match &self.symbols {
                _ if symbol.id != NONE => out.push(symbol.id),
                Symbols::Bytes(_) => {}
                Symbols::Characters(spelling) => {
                    spelling.spell(symbol.bytes(word), out, word_start);
                }
            }
            symbol_idx = symbol.next;
        }
    }
}

/// A pair is joined if the list has it, the first in the list first.
impl Pairs for (&MergeBpe, &TokenizerRecord) {
    fn joined(&self, _: &[u8], left: &Symbol, right: &Symbol) -> Option<(u32, u32)> {
        let (index, record) = self;
        let place = index.merges.find(&record.merges, (left.id, right.id))?;
        Some((!place, *index.joined_ids.get(place as usize)?))
    }

    fn first_id(&self, bytes: &[u8]) -> u32 {
        self.0.first_id(self.1, bytes)
    }
}

fn no_memory(_: TryReserveError) -> TokenizerError {
    TokenizerError::new(TokenizerErrorKind::OutOfMemory, 0)
}
