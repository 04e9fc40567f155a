//! The files of an import, and what kind each is, told from its first bytes and its length.
//!
//! Names never decide: files are renamed, and a page may get them in any order.

use crate::error::{ImportError, ImportErrorKind};
use crate::llama2c::{checkpoint, tokenizer_file};
use alloc::string::String;

/// Most files of one import: shards of a model and what goes with them.
pub const SOURCES_MAX: usize = 64;

/// First bytes that are read of every file to tell its kind.
pub(crate) const PROBE_BYTES: u64 = 64;

/// A file that the caller can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceInfo {
    /// Its name without folders; it is recorded in the package.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A llama2.c checkpoint, version 0.
    Llama2cCheckpoint,
    /// A llama2.c tokenizer file.
    Llama2cTokenizer,
}

impl SourceKind {
    /// The name that records and messages use.
    pub const fn name(self) -> &'static str {
        match self {
            SourceKind::Llama2cCheckpoint => "llama2.c checkpoint",
            SourceKind::Llama2cTokenizer => "llama2.c tokenizer",
        }
    }
}

/// A file that starts in a way that needs no further look: the bytes, and what to say.
struct Signature {
    bytes: &'static [u8],
    kind: ImportErrorKind,
    name: &'static str,
}

const SIGNATURES: &[Signature] = &[
    Signature {
        bytes: b"\x89SLM\r\n\x1a\n",
        kind: ImportErrorKind::AlreadyPackage,
        name: "Cultivar package",
    },
    Signature {
        bytes: b"GGUF",
        kind: ImportErrorKind::KindLater,
        name: "GGUF",
    },
    Signature {
        bytes: &0x616b_3432_u32.to_le_bytes(),
        kind: ImportErrorKind::KindLater,
        name: "llama2.c version 1 and 2",
    },
    Signature {
        bytes: b"PK\x03\x04",
        kind: ImportErrorKind::KindLater,
        name: "PyTorch",
    },
];

/// The kind of a file from its first [`PROBE_BYTES`] bytes (all, if it has fewer).
pub(crate) fn recognise(source: &SourceInfo, probe: &[u8]) -> Result<SourceKind, ImportError> {
    let refuse = |kind| ImportError::new(kind).file(&source.name);
    if source.bytes == 0 {
        return Err(refuse(ImportErrorKind::Empty));
    }
    if let Some(known) = SIGNATURES
        .iter()
        .find(|known| probe.starts_with(known.bytes))
    {
        return Err(refuse(known.kind).field(known.name));
    }
    if is_safetensors(probe) {
        return Err(refuse(ImportErrorKind::KindLater).field("safetensors"));
    }
    if checkpoint::is_plausible(probe) {
        return Ok(SourceKind::Llama2cCheckpoint);
    }
    if tokenizer_file::is_plausible(probe) {
        return Ok(SourceKind::Llama2cTokenizer);
    }
    Err(refuse(ImportErrorKind::Unrecognised))
}

/// Safetensors begin with the length of a JSON object, below 100 MB, and that object.
fn is_safetensors(probe: &[u8]) -> bool {
    let Some((len, rest)) = probe.split_first_chunk::<8>() else {
        return false;
    };
    u64::from_le_bytes(*len) <= 100_000_000 && rest.starts_with(b"{\"")
}
