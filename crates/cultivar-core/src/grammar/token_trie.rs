//! A vocabulary as one tree of bytes: which tokens go on with which byte.
//!
//! Nodes stand in the order of a walk, each with the place where its subtree ends, and tokens in
//! the same order: what cannot match is skipped at once, what matches whole is a run of tokens.

use crate::memory::reserved;
use crate::tokenizer::Detokenizer;
use alloc::vec::Vec;

/// A node: the byte that leads to it, the end of its subtree, where its tokens begin.
#[derive(Clone, Copy)]
pub(super) struct TrieNode {
    /// The last byte.
    pub byte: u8,
    /// Bytes up to here, this one included.
    pub depth: u16,
    /// The first node outside the subtree.
    pub end: u32,
    /// The first token of the subtree; those that end here stand before the next node's first.
    pub first: u32,
}

/// The tokens of a vocabulary that add text.
pub struct TokenTrie {
    /// And one behind the last, for its `first`.
    pub(super) nodes: Vec<TrieNode>,
    /// In the order of their bytes.
    pub(super) tokens: Vec<u32>,
    /// The longest text of a token.
    pub(super) max_depth: usize,
    vocab_size: usize,
}

impl TokenTrie {
    /// The tree of a tokenizer's vocabulary; `None` if memory cannot be had.
    pub fn new(tokenizer: &Detokenizer) -> Option<TokenTrie> {
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
        let mut nodes: Vec<TrieNode> = reserved(n_nodes.sum::<usize>() + 1)?;
        let max_depth = ids.iter().map(|id| text(*id).len()).max().unwrap_or(0);
        // Per depth the node that is being filled.
        let mut open: Vec<usize> = reserved(max_depth)?;
        let mut before: &[u8] = &[];
        for (first, &id) in ids.iter().enumerate() {
            let bytes = text(id);
            let n_kept = n_shared(before, bytes);
            // A token like the one before it ends at the same node.
            if n_kept < bytes.len() {
                close(&mut nodes, &mut open, n_kept);
            }
            for (i, &byte) in bytes.iter().enumerate().skip(n_kept) {
                open.push(nodes.len());
                nodes.push(node(byte, i + 1, first));
            }
            before = bytes;
        }
        close(&mut nodes, &mut open, 0);
        nodes.push(node(0, 0, ids.len()));
        Some(TokenTrie {
            nodes,
            tokens: ids,
            max_depth,
            vocab_size: vocab_size as usize,
        })
    }

    /// Ids of the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The nodes that have a byte.
    pub(super) fn real_nodes(&self) -> &[TrieNode] {
        &self.nodes[..self.nodes.len() - 1]
    }
}

/// One whose subtree has no end yet.
fn node(byte: u8, depth: usize, first: usize) -> TrieNode {
    TrieNode {
        byte,
        depth: depth as u16,
        end: 0,
        first: first as u32,
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
