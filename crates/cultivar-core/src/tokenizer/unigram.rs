//! Unigram (Kudo, 2018): of all ways to cut a word into pieces, the one with the best sum of
//! scores; on ties the one whose last piece is longest, and so on to the front.
//!
//! ```text
//! best[0] = 0
//! for every character's place s, front to back; for every piece that begins there, shorter first:
//!     best[end] = max(best[end], best[s] + score)          (Viterbi)
//! a character with no piece of its own costs the lowest score less 10, and is spelt
//! ```
//!
//! Pieces are found in a tree of bytes, so a word costs its length times the longest piece's at
//! most. Sums are f64, front to back, each rounded to f32 where the record says so: SentencePiece
//! adds in single precision, the Hugging Face library in double, and cuts of the same pieces
//! (`II I`, `I II`) are told apart by nothing but rounding.

use super::error::{TokenizerError, TokenizerErrorKind};
use super::merge_span::NONE;
use super::pair_index::PairIndex;
use super::pre_tokenizer::PreTokenizer;
use super::record::{PieceType, TokenizerRecord};
use super::spelling::Spelling;
use crate::memory;
use alloc::vec::Vec;

/// How much worse than the worst piece an unknown character is (SentencePiece, `kUnkPenalty`).
const UNKNOWN_PENALTY: f64 = 10.0;

/// The tree of pieces and what stands for others.
#[derive(Clone, Debug)]
pub(super) struct Unigram {
    /// Per node but the root: the node it hangs on and the byte between them. Node `i + 1` hangs
    /// by edge `i`.
    edges: Vec<(u32, u32)>,
    index: PairIndex,
    /// Per node the piece that ends there, or [`NONE`].
    ids: Vec<u32>,
    spelling: Spelling,
    unknown_score: f64,
    pre_tokenizer: PreTokenizer,
}

/// The best way to reach a place of a word.
#[derive(Clone, Copy)]
struct Place {
    score: f64,
    /// Where its last piece begins.
    start: u32,
    /// Its last piece, [`NONE`] for an unknown character.
    id: u32,
}

const UNREACHED: Place = Place {
    score: f64::NEG_INFINITY,
    start: NONE,
    id: NONE,
};

const NO_MEMORY: TokenizerError = TokenizerError::new(TokenizerErrorKind::OutOfMemory, 0);

/// A sum of two numbers as the record has it. (Of two f32, the f64 sum rounds as theirs would.)
fn rounded(record: &TokenizerRecord, sum: f64) -> f64 {
    match record.sums_f32 {
        true => f64::from(sum as f32),
        false => sum,
    }
}

impl Unigram {
    /// Builds the tree of all pieces that text can become. Refuses repeats, and a vocabulary that
    /// could neither spell a text's bytes nor say "unknown".
    pub(super) fn new(
        record: &TokenizerRecord,
        pre_tokenizer: PreTokenizer,
    ) -> Result<Unigram, TokenizerError> {
        let piece = |id: u32| record.pieces.get(id as usize).unwrap_or(&[]);
        let is_text = |id: &u32| {
            let kind = record.types.get(*id as usize).copied();
            kind == Some(PieceType::Normal as u8) || kind == Some(PieceType::User as u8)
        };
        let n_pieces = record.pieces.len();
        let mut order: Vec<u32> = memory::reserved(n_pieces).ok_or(NO_MEMORY)?;
        order.extend((0..n_pieces as u32).filter(is_text));
        crate::sorting::sort_by(&mut order, |a, b| piece(*a).cmp(piece(*b)));
        let n_edges_max = record.pieces.total_bytes();
        let mut edges = memory::reserved(n_edges_max).ok_or(NO_MEMORY)?;
        let mut ids = memory::reserved(n_edges_max + 1).ok_or(NO_MEMORY)?;
        ids.push(NONE);
        // The nodes of the last piece's bytes; pieces that share a beginning stand together.
        let (mut path, mut last): (Vec<u32>, &[u8]) = (Vec::new(), &[]);
        for id in order {
            let bytes = piece(id);
            let n_shared = bytes.iter().zip(last).take_while(|(a, b)| a == b).count();
            path.truncate(n_shared);
            for byte in bytes.get(n_shared..).unwrap_or_default() {
                edges.push((path.last().copied().unwrap_or(0), u32::from(*byte)));
                ids.push(NONE);
                path.push(edges.len() as u32);
            }
            let end = path.last().copied().unwrap_or(0) as usize;
            if let Some(slot) = ids.get_mut(end) {
                if *slot != NONE {
                    return Err(TokenizerError::new(TokenizerErrorKind::PieceRepeated, id));
                }
                *slot = id;
            }
            last = bytes;
        }
        let scores = record.scores.iter().copied();
        // By comparison: of `f32::min` a compiler may make a relaxed instruction.
        let smaller = |low, score| if score < low { score } else { low };
        let lowest = scores.fold(f32::INFINITY, smaller);
        Ok(Unigram {
            index: PairIndex::new(&edges, TokenizerErrorKind::PieceIndex)?,
            edges,
            ids,
            spelling: Spelling::new(record)?,
            unknown_score: rounded(record, f64::from(lowest) - UNKNOWN_PENALTY),
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
        let mut places = Vec::new();
        let mut cuts = Vec::new();
        self.pre_tokenizer.split(text, &mut |word| {
            places.clear();
            places
                .try_reserve(word.len() + 1)
                .and_then(|()| cuts.try_reserve(word.len()))
                .map_err(|_| NO_MEMORY)?;
            places.resize(word.len() + 1, UNREACHED);
            self.reach(record, word, &mut places);
            self.cut(word, &places, &mut cuts, out);
            Ok(())
        })
    }

    /// Fills in the best way to reach every place of the word.
    fn reach(&self, record: &TokenizerRecord, word: &str, places: &mut [Place]) {
        if let Some(first) = places.first_mut() {
            first.score = 0.0;
        }
        for (start, character) in word.char_indices() {
            let base = places.get(start).map_or(0.0, |place| place.score);
            let end = start + character.len_utf8();
            let mut offer = |end: usize, score: f64, id: u32| {
                if let Some(place) = places.get_mut(end)
                    && score > place.score
                {
                    *place = Place {
                        score,
                        start: start as u32,
                        id,
                    };
                }
            };
            let mut node = 0;
            let mut has_own = false;
            let bytes = word.as_bytes().get(start..).unwrap_or_default();
            for (at, byte) in (start + 1..).zip(bytes) {
                let Some(edge) = self.index.find(&self.edges, (node, u32::from(*byte))) else {
                    break;
                };
                node = edge + 1;
                let id = self.ids.get(node as usize).copied().unwrap_or(NONE);
                if let Some(score) = record.scores.get(id as usize) {
                    has_own |= at == end;
                    offer(at, rounded(record, base + f64::from(*score)), id);
                }
            }
            if !has_own {
                offer(end, rounded(record, base + self.unknown_score), NONE);
            }
        }
    }

    /// Appends the pieces of the best way to the word's end.
    fn cut(&self, word: &str, places: &[Place], cuts: &mut Vec<(u32, u32)>, out: &mut Vec<u32>) {
        cuts.clear();
        let mut end = word.len() as u32;
        while let Some(place) = places.get(end as usize).filter(|place| place.start < end) {
            cuts.push((end, place.id));
            end = place.start;
        }
        // Unknown characters next to one another are one.
        let (mut start, mut unknown_start) = (0u32, None);
        let spell = |from: Option<u32>, to: u32, out: &mut Vec<u32>| {
            if let Some(from) = from {
                let bytes = word.as_bytes().get(from as usize..to as usize);
                self.spelling
                    .spell(bytes.unwrap_or_default(), out, out.len());
            }
        };
        for (end, id) in cuts.iter().rev() {
            if *id == NONE {
                unknown_start = unknown_start.or(Some(start));
            } else {
                spell(unknown_start.take(), start, out);
                out.push(*id);
            }
            start = *end;
        }
        spell(unknown_start, start, out);
    }
}
