//! The plain description of a tokenizer, as a package's tokenizer section stores it.
//!
//! Nothing here is an index and nothing here is validated against anything else: package code
//! decodes into this struct and encodes from it, importers fill it, and `Tokenizer::new` checks it
//! as a whole. Option names and defaults are those of `docs/package-format.md`.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// How text becomes ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenizerKind {
    /// Ids 0..=255 are the bytes themselves; ids from 256 on are control pieces.
    Bytes,
    /// SentencePiece BPE: the best-scored adjacent pair is merged first, bytes are the fallback.
    SentencePieceBpe,
    /// Byte-level BPE by a list of merges; pieces are the bytes they mean.
    ByteBpe,
    /// BPE over characters by a list of merges, bytes being the fallback.
    CharBpe,
    /// The cut with the best sum of scores, bytes being the fallback.
    Unigram,
}

impl TokenizerKind {
    /// Every kind, in a fixed order.
    pub const ALL: [TokenizerKind; 5] = [
        TokenizerKind::Bytes,
        TokenizerKind::SentencePieceBpe,
        TokenizerKind::ByteBpe,
        TokenizerKind::CharBpe,
        TokenizerKind::Unigram,
    ];

    /// The name stored under the key `kind`.
    pub const fn name(self) -> &'static str {
        match self {
            TokenizerKind::Bytes => "bytes",
            TokenizerKind::SentencePieceBpe => "sentencepiece_bpe",
            TokenizerKind::ByteBpe => "byte_bpe",
            TokenizerKind::CharBpe => "char_bpe",
            TokenizerKind::Unigram => "unigram",
        }
    }

    /// Whether every piece has a score.
    pub const fn has_scores(self) -> bool {
        matches!(
            self,
            TokenizerKind::SentencePieceBpe | TokenizerKind::Unigram
        )
    }

    /// Whether merges are listed.
    pub const fn has_merges(self) -> bool {
        matches!(self, TokenizerKind::ByteBpe | TokenizerKind::CharBpe)
    }

    /// Whether words are split off by named steps first.
    pub const fn has_pre_tokenizer(self) -> bool {
        self.has_merges() || matches!(self, TokenizerKind::Unigram)
    }

    /// Whether pieces hold plain spaces where SentencePiece shows U+2581, which in text means a
    /// space then.
    pub const fn has_space_mark(self) -> bool {
        !matches!(self, TokenizerKind::Bytes | TokenizerKind::ByteBpe)
    }

    /// The kind of that stored name, or nothing for a name this version does not know.
    pub fn from_name(name: &str) -> Option<TokenizerKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What a piece is, as one byte in the record's `types`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PieceType {
    /// Ordinary text; takes part in merges.
    Normal = 1,
    /// Stands for text the vocabulary cannot express.
    Unknown = 2,
    /// A marker such as begin-of-sequence: never made from text unless asked, decodes to nothing.
    Control = 3,
    /// Text added whole by the model's author: always found in text, decodes to itself.
    User = 4,
    /// Holds a place in the table; never made from text.
    Unused = 5,
    /// One raw byte, named `<0x00>` to `<0xFF>`.
    Byte = 6,
}

impl PieceType {
    /// The type of a stored byte, or nothing outside 1..=6.
    pub const fn from_u8(value: u8) -> Option<PieceType> {
        Some(match value {
            1 => PieceType::Normal,
            2 => PieceType::Unknown,
            3 => PieceType::Control,
            4 => PieceType::User,
            5 => PieceType::Unused,
            6 => PieceType::Byte,
            _ => return None,
        })
    }
}

/// A list of byte strings in one arena: two allocations whatever the vocabulary's size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pieces {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Pieces {
    /// An empty list.
    pub const fn new() -> Pieces {
        Pieces {
            bytes: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// An empty list with room for exactly `n_pieces` pieces of `n_bytes` bytes in all.
    pub fn with_capacity(n_pieces: usize, n_bytes: usize) -> Pieces {
        let mut pieces = Pieces::new();
        pieces.bytes.reserve_exact(n_bytes);
        pieces.ends.reserve_exact(n_pieces);
        pieces
    }

    /// Adds a piece at the end. Returns false, adding nothing, if all pieces together would
    /// reach 4 GiB.
    #[must_use]
    pub fn push(&mut self, piece: &[u8]) -> bool {
        let Some(end) = self.bytes.len().checked_add(piece.len()) else {
            return false;
        };
        let Ok(end) = u32::try_from(end) else {
            return false;
        };
        self.bytes.extend_from_slice(piece);
        self.ends.push(end);
        true
    }

    /// How many pieces there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no pieces.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of all pieces together.
    pub fn total_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of one piece, or nothing past the end.
    pub fn get(&self, idx: usize) -> Option<&[u8]> {
        let end = *self.ends.get(idx)? as usize;
        let start = match idx.checked_sub(1) {
            Some(previous) => *self.ends.get(previous)? as usize,
            None => 0,
        };
        self.bytes.get(start..end)
    }

    /// All pieces in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|idx| self.get(idx).unwrap_or(&[]))
    }
}

impl<'a> FromIterator<&'a [u8]> for Pieces {
    /// Collects pieces; those past 4 GiB in all are left out, which `Tokenizer::new` then refuses
    /// because the counts differ.
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(items: I) -> Pieces {
        let mut pieces = Pieces::new();
        for item in items {
            if !pieces.push(item) {
                break;
            }
        }
        pieces
    }
}

/// A tokenizer as stored: `n` pieces, and for each its score and type where the kind has them.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenizerRecord {
    /// How text becomes ids.
    pub kind: TokenizerKind,
    /// Per id its bytes. Pieces hold plain spaces, not U+2581, and plain bytes, not the letters
    /// that byte-level BPE writes for them. For `Bytes` only the
    /// pieces of ids 256.. are listed.
    pub pieces: Pieces,
    /// Per piece its score (higher merges first); empty for kinds without scores.
    pub scores: Vec<f32>,
    /// Per piece its `PieceType`.
    pub types: Vec<u8>,
    /// Pairs of ids in order of rank; empty for kinds without merges.
    pub merges: Vec<(u32, u32)>,
    /// Begins a sequence.
    pub bos_id: Option<u32>,
    /// Each ends a sequence; strictly ascending.
    pub eos_ids: Vec<u32>,
    /// Stands for what cannot be expressed.
    pub unk_id: Option<u32>,
    /// Fills batches; never produced by encoding.
    pub pad_id: Option<u32>,
    /// Whether encoding begins with `bos_id` unless the caller says otherwise.
    pub add_bos: bool,
    /// Whether encoding puts one space before a non-empty text.
    pub add_space_prefix: bool,
    /// Whether decoding drops one space at the start of the text.
    pub remove_leading_space: bool,
    /// Whether a word that is a piece is taken whole, merges or not.
    pub ignore_merges: bool,
    /// Special pieces that take white space before them along; strictly ascending.
    pub strip_left_ids: Vec<u32>,
    /// Special pieces that take white space behind them along; strictly ascending.
    pub strip_right_ids: Vec<u32>,
    /// Unigram: whether sums of scores are rounded to f32, which decides between cuts that are
    /// equally good but for rounding.
    pub sums_f32: bool,
    /// Named steps before splitting; empty for `Bytes`.
    pub normalizer: Vec<String>,
    /// Texts that the step `map` replaces, strictly ascending; empty without that step.
    pub map_from: Pieces,
    /// Per text what stands for it.
    pub map_to: Pieces,
    /// Named splitting steps; empty for kinds without.
    pub pre_tokenizer: Vec<String>,
    /// Named steps after joining; none are known.
    pub decoder: Vec<String>,
}

/// Every byte once, so that a slice of one byte can be borrowed for ids 0..=255.
static SINGLE_BYTES: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut idx = 0;
    while idx < 256 {
        table[idx] = idx as u8;
        idx += 1;
    }
    table
};

impl TokenizerRecord {
    /// The bytes tokenizer of new models: 256 `<s>` begins, 257 `</s>` ends, bos is added.
    pub fn plain_bytes() -> TokenizerRecord {
        let mut record = TokenizerRecord::empty(TokenizerKind::Bytes);
        record.pieces = [&b"<s>"[..], &b"</s>"[..]].into_iter().collect();
        record.types = vec![PieceType::Control as u8; 2];
        record.bos_id = Some(256);
        record.eos_ids = vec![257];
        record.add_bos = true;
        record
    }

    /// How many ids are implied by the kind and not listed in `pieces`: 256 for `Bytes`, else 0.
    pub const fn n_implied(&self) -> usize {
        match self.kind {
            TokenizerKind::Bytes => 256,
            _ => 0,
        }
    }

    /// How many ids there are.
    pub fn vocab_size(&self) -> usize {
        self.n_implied() + self.pieces.len()
    }

    /// The bytes and stored type of an id, implied ids included (those are `Byte`). Nothing past
    /// the end.
    pub fn piece(&self, id: u32) -> Option<(&[u8], u8)> {
        let id = id as usize;
        match id.checked_sub(self.n_implied()) {
            None => Some((SINGLE_BYTES.get(id..id + 1)?, PieceType::Byte as u8)),
            Some(idx) => Some((self.pieces.get(idx)?, *self.types.get(idx)?)),
        }
    }

    /// A record of that kind with every option at its default and no pieces.
    pub const fn empty(kind: TokenizerKind) -> TokenizerRecord {
        TokenizerRecord {
            kind,
            pieces: Pieces::new(),
            scores: Vec::new(),
            types: Vec::new(),
            merges: Vec::new(),
            bos_id: None,
            eos_ids: Vec::new(),
            unk_id: None,
            pad_id: None,
            add_bos: false,
            add_space_prefix: false,
            remove_leading_space: false,
            ignore_merges: false,
            strip_left_ids: Vec::new(),
            strip_right_ids: Vec::new(),
            sums_f32: false,
            normalizer: Vec::new(),
            map_from: Pieces::new(),
            map_to: Pieces::new(),
            pre_tokenizer: Vec::new(),
            decoder: Vec::new(),
        }
    }
}
