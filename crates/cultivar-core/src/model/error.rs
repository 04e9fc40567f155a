//! What can go wrong while a model is loaded or run, and which tensor or row it was.

use crate::bytes::ShortText;
use crate::kv_cache::KvError;
use alloc::boxed::Box;
use core::fmt;

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelErrorKind {
    /// The package is not a model.
    NotAModel,
    /// Memory for a tensor or the workspace could not be had: bytes asked for.
    OutOfMemory(u64),
    /// No tensor has this index.
    NoSuchTensor(u64),
    /// The stored digest of a tensor is not that of its bytes.
    DigestMismatch,
    /// A stored value is not finite, or padding is not zero: byte offset within the tensor.
    BadPayload(u64),
    /// The model was used before all of its tensors were read and verified.
    NotLoaded,
    /// A token id is not in the vocabulary: the id and the vocabulary's size.
    UnknownToken(u32, u32),
    /// A row's position is not the next one of its sequence: the position and the expected one.
    WrongPosition(u32, u64),
    /// More rows, or more rows with logits, than the workspace has room for.
    TooManyRows(u64, u64),
    /// A row's position lies outside the model's context: the position and the context's length.
    PastContext(u32, u32),
    /// The key/value cache refused.
    Kv(KvError),
}

/// An error of the model: one pointer, as it is passed on in many places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelError(Box<ModelErrorDetail>);

/// What a [`ModelError`] points to: kind, and the tensor it speaks of where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelErrorDetail {
    /// The rule that was broken.
    pub kind: ModelErrorKind,
    /// Tensor name; empty where none is meant.
    pub tensor: ShortText,
}

impl core::ops::Deref for ModelError {
    type Target = ModelErrorDetail;

    fn deref(&self) -> &ModelErrorDetail {
        &self.0
    }
}

impl ModelError {
    pub(super) fn new(kind: ModelErrorKind) -> Self {
        Self::in_tensor(kind, "")
    }

    #[cold]
    #[inline(never)]
    pub(super) fn in_tensor(kind: ModelErrorKind, name: &str) -> Self {
        ModelError(Box::new(ModelErrorDetail {
            kind,
            tensor: ShortText::new(name),
        }))
    }

    /// Memory of about this many bytes could not be had.
    pub fn out_of_memory(n_bytes: u64) -> Self {
        Self::new(ModelErrorKind::OutOfMemory(n_bytes))
    }

    /// Stable number of the error, listed in `docs/abi.md`.
    pub fn code(&self) -> i32 {
        match self.kind {
            ModelErrorKind::NotAModel => 250,
            ModelErrorKind::OutOfMemory(_) => 251,
            ModelErrorKind::NoSuchTensor(_) => 252,
            ModelErrorKind::DigestMismatch => 253,
            ModelErrorKind::BadPayload(_) => 254,
            ModelErrorKind::NotLoaded => 255,
            ModelErrorKind::UnknownToken(..) => 256,
            ModelErrorKind::WrongPosition(..) => 257,
            ModelErrorKind::TooManyRows(..) => 258,
            ModelErrorKind::PastContext(..) => 259,
            ModelErrorKind::Kv(error) => error.code(),
        }
    }
}

impl From<KvError> for ModelError {
    fn from(error: KvError) -> Self {
        Self::new(ModelErrorKind::Kv(error))
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tensor = self.tensor.as_str();
        match self.kind {
            ModelErrorKind::NotAModel => {
                f.write_str("this package holds an adapter; open its base model (.slm) first")
            }
            ModelErrorKind::OutOfMemory(bytes) if tensor.is_empty() => write!(
                f,
                "out of memory: {bytes} bytes of workspace could not be had; close other models"
            ),
            ModelErrorKind::OutOfMemory(bytes) => write!(
                f,
                "out of memory: {bytes} bytes for tensor {tensor} could not be had; \
                 close other models or choose a smaller format"
            ),
            ModelErrorKind::NoSuchTensor(index) => {
                write!(f, "the package has no tensor number {index}")
            }
            ModelErrorKind::DigestMismatch => write!(
                f,
                "the bytes of tensor {tensor} do not match their digest: the file is damaged; \
                 get it again from its source"
            ),
            ModelErrorKind::BadPayload(offset) => write!(
                f,
                "tensor {tensor} holds a value that is not finite, or padding that is not zero, \
                 at byte {offset}: the file was written wrongly"
            ),
            ModelErrorKind::NotLoaded => f.write_str("the model's tensors are not all loaded yet"),
            ModelErrorKind::UnknownToken(id, vocab_size) => {
                write!(f, "token {id} is outside the vocabulary of {vocab_size}")
            }
            ModelErrorKind::WrongPosition(position, expected) => {
                write!(
                    f,
                    "a row is at position {position}, but its sequence is at {expected}"
                )
            }
            ModelErrorKind::TooManyRows(n, max) => {
                write!(f, "{n} rows in one batch, but there is room for {max}")
            }
            ModelErrorKind::PastContext(position, context_len) => write!(
                f,
                "position {position} lies outside the model's context of {context_len}"
            ),
            ModelErrorKind::Kv(error) => error.fmt(f),
        }
    }
}
