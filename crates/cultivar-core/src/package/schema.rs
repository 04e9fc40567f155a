//! The schema: which tensors a model of some configuration has, and with which shapes.
//!
//! Names, shapes and order are the format's, written down once; the engine asks here instead of
//! spelling names itself. Missing, surplus and misshapen tensors are refused by name. Rows follow
//! Hugging Face's order with half-split rotation; matrices are `[d_out, d_in]`.

use super::config::ModelConfig;
use super::directory::Directory;
use super::error::{PackageError, PackageErrorKind};
use super::section_table::SectionId;
use crate::bytes::ShortText;
use crate::tensor::Dtype;
use alloc::vec;
use core::fmt::Write;

/// What a tensor does in a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorRole {
    /// `token_embedding` `[vocab_size, d_model]`
    TokenEmbedding,
    /// `layers.N.attention_norm` `[d_model]`
    AttentionNorm,
    /// `layers.N.w_q` `[n_heads * head_dim, d_model]`
    Wq,
    /// `layers.N.w_k` `[n_kv_heads * head_dim, d_model]`
    Wk,
    /// `layers.N.w_v` `[n_kv_heads * head_dim, d_model]`
    Wv,
    /// `layers.N.w_o` `[d_model, n_heads * head_dim]`
    Wo,
    /// `layers.N.ffn_norm` `[d_model]`
    FfnNorm,
    /// `layers.N.w_gate` `[d_ff, d_model]`
    WGate,
    /// `layers.N.w_up` `[d_ff, d_model]`
    WUp,
    /// `layers.N.w_down` `[d_model, d_ff]`
    WDown,
    /// `final_norm` `[d_model]`
    FinalNorm,
    /// `output` `[vocab_size, d_model]`; absent if tied
    Output,
}

use TensorRole::{
    AttentionNorm, FfnNorm, FinalNorm, Output, TokenEmbedding, WDown, WGate, WUp, Wk, Wo, Wq, Wv,
};

/// The tensors of one layer, in the order in which the forward pass reads them.
pub const LAYER_ROLES: [TensorRole; 9] =
    [AttentionNorm, Wq, Wk, Wv, Wo, FfnNorm, WGate, WUp, WDown];

impl TensorRole {
    /// The name, or its last part for the tensors of a layer.
    pub const fn name(self) -> &'static str {
        match self {
            TokenEmbedding => "token_embedding",
            AttentionNorm => "attention_norm",
            Wq => "w_q",
            Wk => "w_k",
            Wv => "w_v",
            Wo => "w_o",
            FfnNorm => "ffn_norm",
            WGate => "w_gate",
            WUp => "w_up",
            WDown => "w_down",
            FinalNorm => "final_norm",
            Output => "output",
        }
    }

    /// Whether this is the weight of a normalization: a vector, always f32.
    pub const fn is_norm(self) -> bool {
        matches!(self, AttentionNorm | FfnNorm | FinalNorm)
    }

    /// Rows and columns; a norm has one row.
    pub fn d_out_d_in(self, config: &ModelConfig) -> (u64, u64) {
        let d_model = config.d_model as u64;
        let d_ff = config.d_ff as u64;
        let vocab_size = config.vocab_size as u64;
        let q_dim = config.n_heads as u64 * config.head_dim as u64;
        let kv_dim = config.n_kv_heads as u64 * config.head_dim as u64;
        match self {
            TokenEmbedding | Output => (vocab_size, d_model),
            AttentionNorm | FfnNorm | FinalNorm => (1, d_model),
            Wq => (q_dim, d_model),
            Wk | Wv => (kv_dim, d_model),
            Wo => (d_model, q_dim),
            WGate | WUp => (d_ff, d_model),
            WDown => (d_model, d_ff),
        }
    }
}

/// A tensor that a configuration calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedTensor {
    /// Its full name.
    pub name: ShortText,
    /// What it does.
    pub role: TensorRole,
    /// Its layer; `None` for the tensors outside the layers.
    pub layer: Option<usize>,
    dims: [u64; 2],
}

impl ExpectedTensor {
    fn new(config: &ModelConfig, role: TensorRole, layer: Option<usize>) -> Self {
        let (d_out, d_in) = role.d_out_d_in(config);
        ExpectedTensor {
            name: tensor_name(role, layer),
            role,
            layer,
            dims: [d_out, d_in],
        }
    }

    /// Its dimensions: `[d_model]` for a norm, `[d_out, d_in]` for a matrix.
    pub fn shape(&self) -> &[u64] {
        let [_, d_in] = &self.dims;
        if self.role.is_norm() {
            core::slice::from_ref(d_in)
        } else {
            &self.dims
        }
    }
}

/// The full name of a tensor: `layers.3.w_q`, `final_norm`.
pub fn tensor_name(role: TensorRole, layer: Option<usize>) -> ShortText {
    let mut name = ShortText::EMPTY;
    // A layer's number and the longest name together stay below a ShortText's room.
    let _ = match layer {
        Some(layer) => write!(name, "layers.{layer}.{}", role.name()),
        None => name.write_str(role.name()),
    };
    name
}

/// The tensors of a model in the order of the forward pass: `token_embedding`, the layers one by
/// one, `final_norm`, and `output` if it is not tied. Allocates nothing.
///
/// Only for configurations that [`ModelConfig::check_supported`] accepts; the tensors of other
/// options are named when the options run.
pub fn expected_tensors(config: &ModelConfig) -> impl Iterator<Item = ExpectedTensor> {
    let first = ExpectedTensor::new(config, TokenEmbedding, None);
    let layers = (0..config.n_layers).flat_map(move |layer| {
        LAYER_ROLES
            .into_iter()
            .map(move |role| ExpectedTensor::new(config, role, Some(layer)))
    });
    let norm = ExpectedTensor::new(config, FinalNorm, None);
    let output = (!config.tied_output).then(|| ExpectedTensor::new(config, Output, None));
    core::iter::once(first)
        .chain(layers)
        .chain([norm])
        .chain(output)
}

/// How many tensors [`expected_tensors`] gives.
pub fn n_expected_tensors(config: &ModelConfig) -> usize {
    config.n_layers * LAYER_ROLES.len() + 2 + usize::from(!config.tied_output)
}

/// Whether a directory holds exactly the tensors that the configuration calls for.
pub fn check_tensors(config: &ModelConfig, directory: &Directory) -> Result<(), PackageError> {
    let refuse = |kind| PackageError::within(kind, SectionId::TENSOR_DIRECTORY, 0);
    let entries = directory.entries();
    let mut is_expected = vec![false; entries.len()];
    for expected in expected_tensors(config) {
        let at_name = |kind| Err(refuse(kind).named(expected.name));
        let found = directory.position(expected.name.as_str());
        let Some((entry, mark)) =
            found.and_then(|idx| Some((entries.get(idx)?, is_expected.get_mut(idx)?)))
        else {
            return at_name(PackageErrorKind::MissingTensor);
        };
        *mark = true;
        if entry.shape != expected.shape() {
            return at_name(PackageErrorKind::TensorShape);
        }
        let is_f32 = entry.format.dtype == Dtype::F32;
        if entry.format.dtype == Dtype::U32 || (expected.role.is_norm() && !is_f32) {
            return at_name(PackageErrorKind::TensorDtype);
        }
    }
    match entries
        .iter()
        .zip(&is_expected)
        .find(|(_, is_expected)| !**is_expected)
    {
        Some((entry, _)) => {
            Err(refuse(PackageErrorKind::UnexpectedTensor).named(entry.name.as_str()))
        }
        None => Ok(()),
    }
}
