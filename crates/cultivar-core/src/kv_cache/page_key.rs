//! Names of pages by what they hold: the assembly, the storage format and every token up to the
//! page's end. Equal names mean equal bits, so a page can serve any sequence that reaches it.

use super::page::{KvFormat, PAGE_LEN};
use crate::digest::{Digest, Sha256};

/// What a sequence holds or is about to hold, as far as its keys and values depend on it.
#[derive(Clone, Copy)]
pub struct Content<'a> {
    /// The assembly that computes position 0 and on, as [`root_key`] names it.
    pub root: Digest,
    /// Token ids by position.
    pub tokens: &'a [u32],
    /// From which position on another assembly computed, positions ascending.
    pub changes: &'a [AssemblyChange],
}

/// From this position on, keys and values come from another assembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssemblyChange {
    /// The first position that was computed with it.
    pub position: u32,
    /// Its identity.
    pub assembly: Digest,
}

/// The key before any page: `SHA-256("cultivar.kv.v1\0" ‖ assembly ‖ format id u32)`.
pub fn root_key(assembly: &Digest, format: KvFormat) -> Digest {
    let mut hash = Sha256::new();
    hash.update(b"cultivar.kv.v1\0").update(&assembly.0);
    hash.update(&format.id().to_le_bytes());
    hash.finish()
}

/// `SHA-256(previous key ‖ 32 ids u32 ‖ (offset u32 ‖ assembly) of each change within)`; `None`
/// while the page's tokens are not all known.
pub(super) fn page_key(
    content: &Content<'_>,
    previous: &Digest,
    page_idx: usize,
) -> Option<Digest> {
    let start = page_idx * PAGE_LEN;
    let ids = content.tokens.get(start..start + PAGE_LEN)?;
    let mut hash = Sha256::new();
    hash.update(&previous.0);
    for id in ids {
        hash.update(&id.to_le_bytes());
    }
    for change in content.changes {
        let offset = (change.position as usize).wrapping_sub(start);
        if offset < PAGE_LEN {
            hash.update(&(offset as u32).to_le_bytes());
            hash.update(&change.assembly.0);
        }
    }
    Some(hash.finish())
}
