//! The one form that every grammar becomes: a table of elements, rule by rule, and its bytes.
//!
//! A rule is alternatives, an alternative a run of elements up to an end. Bytes may come from
//! anywhere: every number is checked before it is used, and whatever is accepted can be matched
//! without a panic and in bounded time. `docs/grammar.md` has the layout.

use super::error::{GrammarError, GrammarErrorKind};
use crate::bytes::{Reader, UnexpectedEnd, put_u32};
use crate::digest::Digest;
use crate::memory::{filled, reserved};
use alloc::vec::Vec;

const MAGIC: &[u8; 8] = b"CVGRAM\r\n";

/// Version of the layout.
const VERSION: u32 = 1;

/// Most elements of a table.
pub(super) const ELEMENTS_MAX: usize = 1 << 16;

/// Most rules of a grammar, those made for groups and repetitions included.
pub(super) const RULES_MAX: usize = 1 << 15;

/// One step of an alternative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// A byte of this set.
    Class(u16),
    /// What this rule says.
    Rule(u32),
    /// The alternative is over.
    End,
}

/// A grammar, ready to match. It begins with rule 0.
#[derive(Debug, PartialEq)]
pub struct Grammar {
    /// Names the text that it was compiled from.
    source: Digest,
    /// All alternatives, one after the other, each up to its end.
    pub(super) elements: Vec<Element>,
    /// Where each alternative begins, rule by rule.
    alternatives: Vec<u32>,
    /// Where each rule's alternatives begin in that list; they end where the next one's begin.
    rules: Vec<u32>,
    /// Per set and kind of byte whether it is in the set: `[n_classes][n_kinds.div_ceil(8)]` bytes.
    class_bits: Vec<u8>,
    /// The kind of each byte: bytes of one kind are in the same sets.
    pub(super) kind_of_byte: [u8; 256],
    pub(super) n_kinds: usize,
}

impl Grammar {
    /// Reads the bytes of a compiled grammar.
    pub fn read(bytes: &[u8]) -> Result<Grammar, GrammarError> {
        if !bytes.starts_with(MAGIC) {
            return Err(GrammarError::new(GrammarErrorKind::NotATable));
        }
        let mut reader = Reader::new(bytes);
        reader.take(MAGIC.len())?;
        let version = reader.u32()?;
        if version != VERSION {
            return Err(GrammarError::new(GrammarErrorKind::TableVersion(version)));
        }
        let source = Digest(reader.array()?);
        let n_rules = count(&mut reader, 1, RULES_MAX)?;
        let n_classes = count(&mut reader, 0, ELEMENTS_MAX)?;
        let n_kinds = count(&mut reader, 1, 256)?;
        let n_elements = count(&mut reader, 1, ELEMENTS_MAX)?;
        let kind_of_byte = read_kinds(&mut reader, n_kinds)?;
        let class_bits = read_classes(&mut reader, n_classes, n_kinds)?;
        // Room is had for no more than the bytes that are there.
        let counts = reader.take(n_rules * 4)?;
        let at = reader.offset();
        let words = reader.take(n_elements * 4)?;
        if !reader.is_empty() {
            return Err(damaged(reader.offset()));
        }
        let mut numbers = FirstUses {
            n_rules: 1,
            n_classes: 0,
        };
        let mut elements: Vec<Element> = reserved(n_elements).ok_or_else(memory)?;
        for (i, word) in words.as_chunks().0.iter().enumerate() {
            let word = u32::from_le_bytes(*word) as usize;
            let element = match word.checked_sub(1) {
                None => Element::End,
                Some(class) if class < n_classes => Element::Class(class as u16),
                Some(rule) => Element::Rule((rule - n_classes) as u32),
            };
            let is_known = numbers.note(element) && numbers.n_rules <= n_rules;
            elements.push(sound(is_known, at + 4 * i as u64).map(|()| element)?);
        }
        let all_used = numbers.n_rules == n_rules && numbers.n_classes == n_classes;
        sound(all_used, at)?;
        let (rules, alternatives) = split(counts, at - counts.len() as u64, &elements)?;
        Ok(Grammar {
            source,
            elements,
            alternatives,
            rules,
            class_bits,
            kind_of_byte,
            n_kinds,
        })
    }

    /// Names the text that it was compiled from: see [`super::GrammarSource::digest`].
    pub fn source(&self) -> Digest {
        self.source
    }

    /// Where a rule's alternatives begin among the elements.
    pub(super) fn alternatives(&self, rule: u32) -> &[u32] {
        let at = rule as usize;
        let range = self.rules[at] as usize..self.rules[at + 1] as usize;
        &self.alternatives[range]
    }

    /// Whether bytes of a kind are in a set.
    pub(super) fn has(&self, class: u16, kind: u8) -> bool {
        let row = usize::from(class) * self.n_kinds.div_ceil(8);
        self.class_bits[row + usize::from(kind / 8)] >> (kind % 8) & 1 == 1
    }
}

/// Rules and sets must be numbered in the order of their first use.
struct FirstUses {
    n_rules: usize,
    n_classes: usize,
}

impl FirstUses {
    fn note(&mut self, element: Element) -> bool {
        let (number, n_seen) = match element {
            Element::End => return true,
            Element::Class(class) => (usize::from(class), &mut self.n_classes),
            Element::Rule(rule) => (rule as usize, &mut self.n_rules),
        };
        let is_in_order = number <= *n_seen;
        *n_seen += usize::from(number == *n_seen);
        is_in_order
    }
}

impl From<UnexpectedEnd> for GrammarError {
    fn from(end: UnexpectedEnd) -> Self {
        damaged(end.offset)
    }
}

fn memory() -> GrammarError {
    GrammarError::new(GrammarErrorKind::OutOfMemory)
}

fn damaged(offset: u64) -> GrammarError {
    GrammarError::new(GrammarErrorKind::TableDamaged(offset as u32))
}

/// Refuses what the writer never writes.
fn sound(is_sound: bool, offset: u64) -> Result<(), GrammarError> {
    is_sound.then_some(()).ok_or_else(|| damaged(offset))
}

fn count(reader: &mut Reader<'_>, min: usize, max: usize) -> Result<usize, GrammarError> {
    let at = reader.offset();
    let n = reader.u32()? as usize;
    match (min..=max).contains(&n) {
        true => Ok(n),
        false => Err(GrammarError::new(GrammarErrorKind::TableCount(at as u32))),
    }
}

/// Kinds are numbered by the first byte of each.
fn read_kinds(reader: &mut Reader<'_>, n_kinds: usize) -> Result<[u8; 256], GrammarError> {
    let at = reader.offset();
    let kinds: [u8; 256] = reader.array()?;
    let mut n_seen = 0;
    for (i, kind) in kinds.iter().enumerate() {
        let kind = usize::from(*kind);
        sound(kind <= n_seen && kind < n_kinds, at + i as u64)?;
        n_seen += usize::from(kind == n_seen);
    }
    sound(n_seen == n_kinds, at)?;
    Ok(kinds)
}

/// Sets as rows of bits; those behind the last kind are zero.
fn read_classes(
    reader: &mut Reader<'_>,
    n_classes: usize,
    n_kinds: usize,
) -> Result<Vec<u8>, GrammarError> {
    let at = reader.offset();
    let row_bytes = n_kinds.div_ceil(8);
    let rows = reader.take(n_classes * row_bytes)?;
    let n_last = n_kinds - (row_bytes - 1) * 8;
    for (i, row) in rows.chunks_exact(row_bytes).enumerate() {
        let last = row.last().map_or(0, |last| u32::from(*last));
        sound(last >> n_last == 0, at + (i * row_bytes) as u64)?;
    }
    let mut bits = reserved(rows.len()).ok_or_else(memory)?;
    bits.extend_from_slice(rows);
    Ok(bits)
}

/// Gives each rule so many of the alternatives; all of them have an owner.
fn split(
    counts: &[u8],
    at: u64,
    elements: &[Element],
) -> Result<(Vec<u32>, Vec<u32>), GrammarError> {
    let ends = elements.iter().enumerate();
    let ends = ends.filter(|(_, element)| **element == Element::End);
    let n_alternatives = ends.clone().count();
    sound(elements.last() == Some(&Element::End), at)?;
    let mut starts: Vec<u32> = reserved(n_alternatives + 1).ok_or_else(memory)?;
    starts.push(0);
    starts.extend(ends.map(|(i, _)| i as u32 + 1));
    starts.pop();
    let mut rules: Vec<u32> = filled(0, counts.len() / 4 + 1).ok_or_else(memory)?;
    let mut n_owned = 0;
    for (i, (count, end)) in counts.as_chunks().0.iter().zip(&mut rules[1..]).enumerate() {
        let count = u32::from_le_bytes(*count) as usize;
        sound(
            count > 0 && count <= n_alternatives - n_owned,
            at + 4 * i as u64,
        )?;
        n_owned += count;
        *end = n_owned as u32;
    }
    sound(n_owned == n_alternatives, at)?;
    Ok((rules, starts))
}

/// What a table is written from; numbers are in the order of first use, beginning at rule 0.
pub(super) struct TableParts {
    /// Of each rule, how many.
    pub n_alternatives: Vec<u32>,
    /// Alternatives in the order of rules, each up to its end.
    pub elements: Vec<Element>,
    /// Per set whether each kind of byte is in it.
    pub classes: Vec<Vec<bool>>,
    pub kind_of_byte: [u8; 256],
    pub n_kinds: usize,
}

impl Default for TableParts {
    fn default() -> Self {
        Self {
            n_alternatives: Vec::new(),
            elements: Vec::new(),
            classes: Vec::new(),
            kind_of_byte: [0; 256],
            n_kinds: 0,
        }
    }
}

impl TableParts {
    /// The bytes that [`Grammar::read`] reads.
    pub fn write(&self, source: &Digest) -> Vec<u8> {
        let mut out = Vec::from(*MAGIC);
        put_u32(&mut out, VERSION);
        out.extend_from_slice(&source.0);
        let n_classes = self.classes.len();
        for n in [
            self.n_alternatives.len(),
            n_classes,
            self.n_kinds,
            self.elements.len(),
        ] {
            put_u32(&mut out, n as u32);
        }
        out.extend_from_slice(&self.kind_of_byte);
        for class in &self.classes {
            let byte = |bits: &[bool]| {
                let bits = bits.iter().rev();
                bits.fold(0, |byte, bit| byte << 1 | u8::from(*bit))
            };
            out.extend(class.chunks(8).map(byte));
        }
        self.n_alternatives
            .iter()
            .for_each(|n| put_u32(&mut out, *n));
        for element in &self.elements {
            let word = match element {
                Element::End => 0,
                Element::Class(class) => 1 + u32::from(*class),
                Element::Rule(rule) => 1 + n_classes as u32 + rule,
            };
            put_u32(&mut out, word);
        }
        out
    }
}
