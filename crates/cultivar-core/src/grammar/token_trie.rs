//! A vocabulary as one tree of bytes: which tokens go on with which byte.
//!
//! Nodes stand in the order of a walk, each with the place where its subtree ends, so that what
//! cannot match is skipped at once.

use crate::memory::{filled, reserved};
use crate::tokenizer::Tokenizer;
use alloc::vec::Vec;

/// A node: the byte that leads to it, the end of its subtree, the token that ends there.
#[derive(Clone, Copy)]
pub(super) struct TrieNode {
    /// The last byte.
    pub byte: u8,
    /// Bytes up to here, this one included.
    pub depth: u16,
    /// The first node outside the subtree.
    pub end: u32,
    /// The first of the tokens that end here; `NO_TOKEN` for none.
    pub token: u32,
}

/// No token.
pub(super) const NO_TOKEN: u32 = u32::MAX;

/// The tokens of a vocabulary that add text.
pub struct TokenTrie {
    pub(super) nodes: Vec<TrieNode>,
    /// Per token the next one with the same bytes.
    pub(super) next_alike: Vec<u32>,
    /// The longest text of a token.
    pub(super) max_depth: usize,
}

impl TokenTrie {
    /// The tree of a tokenizer's vocabulary; `None` if memory cannot be had.
    pub fn new(tokenizer: &Tokenizer) -> Option<TokenTrie> {
        let vocab_size = tokenizer.vocab_size();
        let text = |id: u32| tokenizer.text_bytes(id).unwrap_or(&[]);
        let mut ids: Vec<u32> = reserved(vocab_size as usize)?;
        ids.extend((0..vocab_size).filter(|id| !text(*id).is_empty()));
        crate::sorting::sort_by(&mut ids, |a, b| text(*a).cmp(text(*b)).then(a.cmp(b)));
        let n_nodes = ids.iter().scan(&[][..], |before, id| {
            let bytes = text(*id);
            let n_new = bytes.len() - n_shared(before, bytes);
            *before = bytes;
            Some(n_new)
        });
        let mut nodes: Vec<TrieNode> = reserved(n_nodes.sum())?;
        let mut next_alike = filled(NO_TOKEN, vocab_size as usize)?;
        let max_depth = ids.iter().map(|id| text(*id).len()).max().unwrap_or(0);
        // Per depth the node that is being filled.
        let mut open: Vec<usize> = reserved(max_depth)?;
        let mut before: (&[u8], u32) = (&[], NO_TOKEN);
        for &id in &ids {
            let bytes = text(id);
            if bytes == before.0 {
                next_alike[before.1 as usize] = id;
                before = (bytes, id);
                continue;
            }
            let n_kept = n_shared(before.0, bytes);
            close(&mut nodes, &mut open, n_kept);
            for (i, &byte) in bytes.iter().enumerate().skip(n_kept) {
                open.push(nodes.len());
                let is_last = i + 1 == bytes.len();
                nodes.push(TrieNode {
                    byte,
                    depth: i as u16 + 1,
                    end: 0,
                    token: if is_last { id } else { NO_TOKEN },
                });
            }
            before = (bytes, id);
        }
        close(&mut nodes, &mut open, 0);
        Some(TokenTrie {
            nodes,
            next_alike,
            max_depth,
        })
    }

    /// Ids of the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.next_alike.len()
    }
}

/// Ends the subtrees below a depth.
fn close(nodes: &mut [TrieNode], open: &mut Vec<usize>, depth: usize) {
    let end = nodes.len() as u32;
    for node in open.drain(depth.min(open.len())..) {
        nodes[node].end = end;
    }
}

/// How many bytes two texts begin with in common.
fn n_shared(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
