//! The files of an import, and what kind each is.
//!
//! Weights are told from their first bytes and their length, never from their names. The JSON and
//! text files that go with them are told by the names that every model gives them.

use crate::error::{ImportError, ImportErrorKind};
use crate::gguf;
use crate::llama2c::{checkpoint, tokenizer_file};
use alloc::string::String;

/// Most files of one import: shards of a model and what goes with them.
pub const SOURCES_MAX: usize = 64;

/// First bytes that are read of every file to tell its kind.
pub(crate) const PROBE_BYTES: u64 = 64;

/// Longest JSON or text file: it is read whole; the largest tokenizers in use take 35 MB.
const TEXT_BYTES_MAX: u64 = 64 << 20;

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
    /// A GGUF file, or one of several.
    Gguf,
    /// A safetensors file, or one of several.
    Safetensors,
    /// `model.safetensors.index.json`.
    ShardIndex,
    /// `config.json`.
    Config,
    /// `generation_config.json`.
    GenerationConfig,
    /// `tokenizer.json`.
    TokenizerJson,
    /// `tokenizer_config.json`.
    TokenizerConfig,
    /// `special_tokens_map.json`.
    SpecialTokens,
    /// `added_tokens.json`.
    AddedTokens,
    /// `tokenizer.model`.
    SentencePieceModel,
    /// `vocab.json`.
    Vocabulary,
    /// `merges.txt`.
    Merges,
    /// `chat_template.jinja`.
    ChatTemplate,
    /// `README.md`, whose first lines may state a licence.
    ModelCard,
}

use SourceKind::{
    AddedTokens, ChatTemplate, Config, GenerationConfig, Gguf, Llama2cCheckpoint, Llama2cTokenizer,
    Merges, ModelCard, Safetensors, SentencePieceModel, ShardIndex, SpecialTokens, TokenizerConfig,
    TokenizerJson, Vocabulary,
};

impl SourceKind {
    /// The name that records and messages use.
    pub const fn name(self) -> &'static str {
        match self {
            Llama2cCheckpoint => "llama2.c checkpoint",
            Llama2cTokenizer => "llama2.c tokenizer",
            Gguf => "GGUF",
            Safetensors => "safetensors",
            ShardIndex => "safetensors index",
            Config => "config.json",
            GenerationConfig => "generation_config.json",
            TokenizerJson => "tokenizer.json",
            TokenizerConfig => "tokenizer_config.json",
            SpecialTokens => "special_tokens_map.json",
            AddedTokens => "added_tokens.json",
            SentencePieceModel => "tokenizer.model",
            Vocabulary => "vocab.json",
            Merges => "merges.txt",
            ChatTemplate => "chat_template.jinja",
            ModelCard => "README.md",
        }
    }

    /// Whether an import may have several files of this kind.
    pub(crate) const fn may_repeat(self) -> bool {
        matches!(self, Gguf | Safetensors)
    }

    /// Whether files of this kind hold tensors; all others are read whole before the plan.
    pub(crate) const fn has_tensors(self) -> bool {
        matches!(self, Llama2cCheckpoint | Gguf | Safetensors)
    }

    /// The longest file of this kind that is read whole.
    pub(crate) const fn bytes_max(self) -> u64 {
        match self {
            Llama2cTokenizer => tokenizer_file::FILE_BYTES_MAX,
            _ => TEXT_BYTES_MAX,
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

/// Names that tell a kind.
const NAMES: &[(&str, SourceKind)] = &[
    ("config.json", Config),
    ("generation_config.json", GenerationConfig),
    ("tokenizer.json", TokenizerJson),
    ("tokenizer_config.json", TokenizerConfig),
    ("special_tokens_map.json", SpecialTokens),
    ("added_tokens.json", AddedTokens),
    ("tokenizer.model", SentencePieceModel),
    ("vocab.json", Vocabulary),
    ("merges.txt", Merges),
    ("chat_template.jinja", ChatTemplate),
    ("README.md", ModelCard),
];

/// The kind of a file from its first [`PROBE_BYTES`] bytes (all, if it has fewer) and its name.
pub(crate) fn recognise(source: &SourceInfo, probe: &[u8]) -> Result<SourceKind, ImportError> {
    let refuse = |kind| ImportError::new(kind).file(&source.name);
    if source.bytes == 0 {
        return Err(refuse(ImportErrorKind::Empty));
    }
    if let Some(known) = SIGNATURES
        .iter()
        .find(|known| probe.starts_with(known.bytes))
    {
        return Err(refuse(known.kind.clone()).field(known.name));
    }
    if probe.starts_with(gguf::MAGIC) {
        return Ok(Gguf);
    }
    if is_safetensors(probe) {
        return Ok(Safetensors);
    }
    if let Some((_, kind)) = NAMES.iter().find(|(name, _)| *name == source.name) {
        return Ok(*kind);
    }
    if source.name.ends_with(".safetensors.index.json") {
        return Ok(ShardIndex);
    }
    if checkpoint::is_plausible(probe) {
        return Ok(Llama2cCheckpoint);
    }
    if tokenizer_file::is_plausible(probe) {
        return Ok(Llama2cTokenizer);
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
