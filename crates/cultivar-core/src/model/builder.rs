//! Loading: tensors arrive one by one in buffers of their exact size, are verified against their
//! digests, checked for finite values, and become a model. A step at a time, so that a host stays
//! responsive; on an error nothing but the builder itself is lost.

use super::dims::Dims;
use super::error::{ModelError, ModelErrorKind};
use super::linear::Linear;
use super::norm::Norm;
use super::weights::{LayerWeights, Model, Tensor, Weights};
use crate::digest::{Digest, Sha256};
use crate::memory::reserved;
use crate::package::directory::Entry;
use crate::package::schema::TensorRole::{self, *};
use crate::package::schema::tensor_name;
use crate::package::{ConfigError, Head};
use crate::tensor::{Dtype, payload};
use crate::tokenizer::{Detokenizer, TokenizerError};
use alloc::vec::Vec;

/// How far a tensor has come.
enum State {
    /// No buffer yet, or a buffer that the host is filling.
    Filling,
    /// Some bytes are hashed.
    Hashing(Sha256, usize),
    /// The digest is right; values are checked up to this byte.
    Checking(usize),
    /// Ready.
    Ready,
}

struct Loading {
    bytes: Vec<u8>,
    state: State,
}

/// A model whose tensors are arriving.
pub struct ModelBuilder {
    head: Head,
    tokenizer: Detokenizer,
    tensors: Vec<Loading>,
}

/// Why a head cannot become a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The model's configuration asks for something that the engine does not do yet.
    Config(ConfigError),
    /// The tokenizer is invalid.
    Tokenizer(TokenizerError),
}

impl OpenError {
    /// Stable number of the error, listed in `docs/abi.md`.
    pub fn code(&self) -> i32 {
        match self {
            Self::Config(error) => error.code(),
            Self::Tokenizer(error) => error.code(),
        }
    }
}

impl core::fmt::Display for OpenError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Tokenizer(error) => error.fmt(f),
        }
    }
}

impl ModelBuilder {
    /// Starts loading what a head describes; refuses what the engine cannot run, before any
    /// weight is read.
    pub fn new(head: Head) -> Result<Self, OpenError> {
        head.config.check_supported().map_err(OpenError::Config)?;
        let tokenizer = Detokenizer::new(head.tokenizer.clone()).map_err(OpenError::Tokenizer)?;
        let loading = |_: &Entry| Loading {
            bytes: Vec::new(),
            state: State::Filling,
        };
        let tensors = head.directory.entries().iter().map(loading).collect();
        Ok(Self {
            head,
            tokenizer,
            tensors,
        })
    }

    /// What the package says of itself.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The package's tokenizer.
    pub fn tokenizer(&self) -> &Detokenizer {
        &self.tokenizer
    }

    /// Tensors to be read.
    pub fn n_tensors(&self) -> usize {
        self.tensors.len()
    }

    /// Where tensor `idx` begins in the file, and the bytes to read from there: the tensor and
    /// the zeros up to the next one.
    pub fn file_range(&self, idx: usize) -> Result<(u64, usize), ModelError> {
        let entries = self.head.directory.entries();
        let entry = entries.get(idx).ok_or_else(|| no_such_tensor(idx))?;
        let end = match entries.get(idx + 1) {
            Some(next) => next.offset,
            None => self.head.tail_offset(),
        };
        Ok((entry.offset, (end - entry.offset) as usize))
    }

    /// The buffer of tensor `idx`, to be filled with its [`ModelBuilder::file_range`]; allocated
    /// at the first call, exactly.
    pub fn buffer(&mut self, idx: usize) -> Result<&mut [u8], ModelError> {
        let (_, n_bytes) = self.file_range(idx)?;
        let name = &self.head.directory.entries()[idx].name;
        let loading = &mut self.tensors[idx];
        if !matches!(loading.state, State::Filling) {
            // Verified bytes are never handed out for writing again.
            return Err(ModelError::in_tensor(ModelErrorKind::NotLoaded, name));
        }
        if loading.bytes.is_empty() {
            let kind = ModelErrorKind::OutOfMemory(n_bytes as u64);
            let reserved = loading.bytes.try_reserve_exact(n_bytes);
            reserved.map_err(|_| ModelError::in_tensor(kind, name))?;
            loading.bytes.resize(n_bytes, 0);
        }
        Ok(&mut loading.bytes)
    }

    /// Bytes of tensor `idx` as filled so far, for a host that computes digests itself.
    pub fn bytes(&self, idx: usize) -> Result<&[u8], ModelError> {
        let entry = self.entry(idx)?;
        let whole = self.tensors[idx].bytes.get(..entry.bytes as usize);
        whole.ok_or_else(|| ModelError::in_tensor(ModelErrorKind::NotLoaded, &entry.name))
    }

    /// Takes the digest that the host computed over the bytes of tensor `idx`.
    pub fn accept_digest(&mut self, idx: usize, digest: &Digest) -> Result<(), ModelError> {
        self.take_padding(idx)?;
        self.compare(idx, digest)
    }

    /// Computes the digest of tensor `idx`, about `budget_bytes` at a time; returns the bytes
    /// that are left.
    pub fn verify_step(&mut self, idx: usize, budget_bytes: usize) -> Result<usize, ModelError> {
        if matches!(self.state(idx)?, State::Filling) {
            self.take_padding(idx)?;
            self.tensors[idx].state = State::Hashing(Sha256::new(), 0);
        }
        let Loading { bytes, state } = &mut self.tensors[idx];
        let State::Hashing(hash, done) = state else {
            return Ok(0);
        };
        let end = bytes.len().min(done.saturating_add(budget_bytes.max(1)));
        hash.update(&bytes[*done..end]);
        *done = end;
        if end < bytes.len() {
            return Ok(bytes.len() - end);
        }
        let digest = core::mem::take(hash).finish();
        self.compare(idx, &digest)?;
        Ok(0)
    }

    /// Checks the values of all tensors, about `budget_bytes` at a time; returns the bytes that
    /// are left. Every tensor must have been verified.
    pub fn check_step(&mut self, budget_bytes: usize) -> Result<u64, ModelError> {
        let mut budget = budget_bytes.max(1);
        let mut left = 0;
        for (loading, entry) in self.tensors.iter_mut().zip(self.head.directory.entries()) {
            let State::Checking(done) = &mut loading.state else {
                if matches!(loading.state, State::Ready) {
                    continue;
                }
                return Err(ModelError::in_tensor(
                    ModelErrorKind::NotLoaded,
                    &entry.name,
                ));
            };
            if let Some(tensor) = entry.tensor(&loading.bytes).filter(|_| budget > 0) {
                let before = *done;
                *done = payload::check(tensor, before, budget).map_err(|error| {
                    let kind = ModelErrorKind::BadPayload(error.offset);
                    ModelError::in_tensor(kind, &entry.name)
                })?;
                budget = budget.saturating_sub(*done - before);
            }
            left += (loading.bytes.len() - *done) as u64;
            if *done == loading.bytes.len() {
                loading.state = State::Ready;
            }
        }
        Ok(left)
    }

    /// The model, once everything is verified and checked.
    pub fn finish(mut self) -> Result<Model, ModelError> {
        let waiting = self
            .tensors
            .iter()
            .position(|t| !matches!(t.state, State::Ready));
        if let Some(idx) = waiting {
            let name = &self.head.directory.entries()[idx].name;
            return Err(ModelError::in_tensor(ModelErrorKind::NotLoaded, name));
        }
        let dims = Dims::new(&self.head.config);
        let mut layers = reserved(dims.n_layers).ok_or_else(|| ModelError::out_of_memory(0))?;
        for layer in 0..dims.n_layers {
            layers.push(self.layer(layer)?);
        }
        let weights = Weights {
            token_embedding: self.linear(TokenEmbedding, None)?,
            position_embedding: match self.has(PositionEmbedding) {
                true => Some(self.matrix(PositionEmbedding, None)?),
                false => None,
            },
            layers,
            final_norm: self.norm(FinalNorm, None)?,
            output: match self.has(Output) {
                true => Some(self.linear(Output, None)?),
                false => None,
            },
        };
        Ok(Model {
            head: self.head,
            dims,
            tokenizer: self.tokenizer,
            weights,
        })
    }

    fn layer(&mut self, layer: usize) -> Result<LayerWeights, ModelError> {
        let layer = Some(layer);
        Ok(LayerWeights {
            attention_norm: self.optional_norm(AttentionNorm, layer)?,
            w_q: self.linear(Wq, layer)?,
            w_k: self.linear(Wk, layer)?,
            w_v: self.linear(Wv, layer)?,
            q_norm: self.optional_vector(QNorm, layer)?,
            k_norm: self.optional_vector(KNorm, layer)?,
            w_o: self.linear(Wo, layer)?,
            attention_post_norm: self.optional_norm(AttentionPostNorm, layer)?,
            ffn_norm: self.optional_norm(FfnNorm, layer)?,
            w_gate: match self.has(WGate) {
                true => Some(self.linear(WGate, layer)?),
                false => None,
            },
            w_up: self.linear(WUp, layer)?,
            w_down: self.linear(WDown, layer)?,
            ffn_post_norm: self.optional_norm(FfnPostNorm, layer)?,
        })
    }

    /// Whether the configuration calls for such a tensor.
    fn has(&self, role: TensorRole) -> bool {
        role.is_in(&self.head.config)
    }

    /// A matrix and its bias.
    fn linear(&mut self, role: TensorRole, layer: Option<usize>) -> Result<Linear, ModelError> {
        let weight = self.matrix(role, layer)?;
        let bias = self.bias(role, layer)?;
        Ok(Linear { weight, bias })
    }

    fn norm(&mut self, role: TensorRole, layer: Option<usize>) -> Result<Norm, ModelError> {
        let weight = self.vector(role, layer)?;
        let bias = self.bias(role, layer)?;
        Ok(Norm { weight, bias })
    }

    fn optional_norm(
        &mut self,
        role: TensorRole,
        layer: Option<usize>,
    ) -> Result<Option<Norm>, ModelError> {
        let is_there = self.has(role);
        is_there.then(|| self.norm(role, layer)).transpose()
    }

    fn optional_vector(
        &mut self,
        role: TensorRole,
        layer: Option<usize>,
    ) -> Result<Option<Vec<f32>>, ModelError> {
        let is_there = self.has(role);
        is_there.then(|| self.vector(role, layer)).transpose()
    }

    /// The bias of a matrix or norm; empty where it has none.
    fn bias(&mut self, role: TensorRole, layer: Option<usize>) -> Result<Vec<f32>, ModelError> {
        match role.bias().filter(|bias| self.has(*bias)) {
            Some(bias) => self.vector(bias, layer),
            None => Ok(Vec::new()),
        }
    }

    fn matrix(&mut self, role: TensorRole, layer: Option<usize>) -> Result<Tensor, ModelError> {
        let name = tensor_name(role, layer);
        let entries = self.head.directory.entries();
        let found = entries.binary_search_by(|entry| entry.name.as_str().cmp(name.as_str()));
        // The schema was checked with the head: the tensor is there, in the right shape.
        let idx =
            found.map_err(|_| ModelError::in_tensor(ModelErrorKind::NotLoaded, name.as_str()))?;
        let entry = &entries[idx];
        let bytes = core::mem::take(&mut self.tensors[idx].bytes);
        Ok(Tensor {
            format: entry.format,
            d_out: entry.d_out(),
            d_in: entry.d_in(),
            bytes,
        })
    }

    /// A norm's factors or a bias, stored as f32.
    fn vector(&mut self, role: TensorRole, layer: Option<usize>) -> Result<Vec<f32>, ModelError> {
        let tensor = self.matrix(role, layer)?;
        debug_assert_eq!(
            tensor.format.dtype,
            Dtype::F32,
            "the schema asks for f32 vectors"
        );
        let (elements, _) = tensor.bytes.as_chunks::<4>();
        let kind = ModelErrorKind::OutOfMemory(tensor.bytes.len() as u64);
        let mut vector = reserved(elements.len())
            .ok_or_else(|| ModelError::in_tensor(kind, tensor_name(role, layer).as_str()))?;
        vector.extend(elements.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        Ok(vector)
    }

    fn entry(&self, idx: usize) -> Result<&Entry, ModelError> {
        self.head
            .directory
            .entries()
            .get(idx)
            .ok_or_else(|| no_such_tensor(idx))
    }

    fn state(&self, idx: usize) -> Result<&State, ModelError> {
        Ok(&self
            .tensors
            .get(idx)
            .ok_or_else(|| no_such_tensor(idx))?
            .state)
    }

    /// Checks the zeros behind a filled tensor and drops them.
    fn take_padding(&mut self, idx: usize) -> Result<(), ModelError> {
        let entry = self.entry(idx)?;
        let (n_bytes, name) = (entry.bytes as usize, entry.name.as_str());
        let bytes = &self.tensors[idx].bytes;
        if bytes.len() < n_bytes {
            return Err(ModelError::in_tensor(ModelErrorKind::NotLoaded, name));
        }
        if let Some(at) = bytes[n_bytes..].iter().position(|byte| *byte != 0) {
            let kind = ModelErrorKind::BadPayload((n_bytes + at) as u64);
            return Err(ModelError::in_tensor(kind, name));
        }
        self.tensors[idx].bytes.truncate(n_bytes);
        Ok(())
    }

    fn compare(&mut self, idx: usize, digest: &Digest) -> Result<(), ModelError> {
        let entry = self.entry(idx)?;
        if entry.digest != *digest {
            return Err(ModelError::in_tensor(
                ModelErrorKind::DigestMismatch,
                &entry.name,
            ));
        }
        self.tensors[idx].state = State::Checking(0);
        Ok(())
    }
}

fn no_such_tensor(idx: usize) -> ModelError {
    ModelError::new(ModelErrorKind::NoSuchTensor(idx as u64))
}
