//! The schema: which tensors a model of some configuration has, and with which shapes.
//!
//! Names, shapes and order are the format's, written down once; the engine asks here instead of
//! spelling names itself. Missing, surplus and misshapen tensors are refused by name. Rows follow
//! Hugging Face's order with half-split rotation; matrices are `[d_out, d_in]`.

use super::config::ModelConfig;
use super::directory::Directory;
use super::error::{PackageError, PackageErrorKind};
use super::section_table::SectionId;
pub use super::tensor_role::TensorRole;
use crate::bytes::ShortText;
use crate::tensor::Dtype;
use alloc::vec;
use core::fmt::Write;

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

    /// Its dimensions: `[d]` for a norm or bias, `[d_out, d_in]` for a matrix.
    pub fn shape(&self) -> &[u64] {
        let [_, d_in] = &self.dims;
        if self.role.is_vector() {
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

/// The tensors of a model in the order of the forward pass: embeddings, the layers one by one,
/// `final_norm`, and `output` if it is not tied. Allocates nothing.
pub fn expected_tensors(config: &ModelConfig) -> impl Iterator<Item = ExpectedTensor> {
    let roles = || TensorRole::ALL.iter().copied();
    let of = move |role: TensorRole, layer| {
        let is_there = role.is_in(config);
        is_there.then(|| ExpectedTensor::new(config, role, layer))
    };
    let is_before = |role: &TensorRole| role.is_before_layers();
    let before = roles().filter(is_before);
    let after = roles().filter(move |role| !role.is_in_layers() && !is_before(role));
    let layers = (0..config.n_layers).flat_map(move |layer| {
        let in_layers = roles().filter(|role| role.is_in_layers());
        in_layers.filter_map(move |role| of(role, Some(layer)))
    });
    let before = before.filter_map(move |role| of(role, None));
    before
        .chain(layers)
        .chain(after.filter_map(move |role| of(role, None)))
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
        if entry.format.dtype == Dtype::U32 || (expected.role.is_vector() && !is_f32) {
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
