//! Finds every tensor that a configuration calls for among those that the files have.
//!
//! What is missing, misshapen, of a type that is not read, or not asked for is refused by name.

use super::names::{Located, Names};
use crate::error::{ImportError, ImportErrorKind};
use crate::ggml::GgmlType;
use crate::plan::{RowOrder, TensorSource};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use cultivar_core::package::ModelConfig;
use cultivar_core::package::schema::{ExpectedTensor, expected_tensors};
use cultivar_core::sorting::sort_by;

/// A tensor of a file, whatever the file's format.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SourceTensor {
    /// Its name there.
    pub name: String,
    /// Which file holds it.
    pub source: usize,
    /// How its elements are stored; `None` for a type that cannot be read, whose name it is then.
    pub ggml_type: Result<&'static GgmlType, &'static str>,
    /// Its dimensions, outermost first.
    pub shape: Vec<u64>,
    /// Where it begins in the file.
    pub offset: u64,
}

/// Every tensor of the model, ascending by file and place.
pub(crate) fn locate(
    config: &ModelConfig,
    names: &Names,
    mut tensors: Vec<SourceTensor>,
) -> Result<Vec<TensorSource>, ImportError> {
    sort_by(&mut tensors, |a, b| a.name.cmp(&b.name));
    if let Some([tensor, _]) = tensors.array_windows().find(|[a, b]| a.name == b.name) {
        return Err(ImportError::new(ImportErrorKind::DuplicateTensor).field(&tensor.name));
    }
    let mut is_used = vec![false; tensors.len()];
    let mut found = Vec::new();
    for expected in expected_tensors(config) {
        let (idx, located) = find(config, names, &tensors, &expected)?;
        if let (Some(tensor), Some(mark)) = (tensors.get(idx), is_used.get_mut(idx)) {
            found.push(checked(names, tensor, &expected, &located)?);
            *mark = true;
        }
    }
    let ties_output = config.tied_output;
    let output = names.locate(config, "output", None, config.vocab_size as u64);
    for (tensor, is_used) in tensors.iter().zip(is_used) {
        let is_tied = ties_output && output.as_ref().is_some_and(|at| at.name == tensor.name);
        if !is_used && !is_tied && !names.is_ignored(&tensor.name) {
            return Err(ImportError::new(ImportErrorKind::TensorSurplus).field(&tensor.name));
        }
    }
    sort_by(&mut found, |a, b| {
        (a.source, a.offset).cmp(&(b.source, b.offset))
    });
    Ok(found)
}

/// Which tensor holds the expected one, and how.
fn find(
    config: &ModelConfig,
    names: &Names,
    tensors: &[SourceTensor],
    expected: &ExpectedTensor,
) -> Result<(usize, Located), ImportError> {
    let d_out = expected.shape().first().copied().unwrap_or_default();
    let located = names.locate(config, expected.role.name(), expected.layer, d_out);
    let missing = |name: &str| ImportError::new(ImportErrorKind::TensorMissing).field(name);
    let located = located.ok_or_else(|| missing(expected.name.as_str()))?;
    let position = |name: &str| {
        let found = tensors.binary_search_by(|tensor| tensor.name.as_str().cmp(name));
        found.ok()
    };
    let prefix = names.optional_prefix;
    let without = located
        .name
        .strip_prefix(prefix)
        .filter(|_| !prefix.is_empty());
    let idx = position(&located.name).or_else(|| position(without?));
    let idx = idx.ok_or_else(|| missing(&located.name))?;
    Ok((idx, located))
}

/// The expected tensor in its place, if the source has the shape and a type that are read.
fn checked(
    names: &Names,
    tensor: &SourceTensor,
    expected: &ExpectedTensor,
    located: &Located,
) -> Result<TensorSource, ImportError> {
    let refuse = |kind| ImportError::new(kind).field(&tensor.name);
    let shape = expected.shape();
    let calls_for = match (shape, located.order) {
        ([_, d_in], RowOrder::Transposed { n_columns, .. }) => vec![*d_in, n_columns as u64],
        ([_, d_in], _) => vec![located.n_rows, *d_in],
        _ => vec![located.n_rows],
    };
    if tensor.shape != calls_for {
        let differs = calls_for.iter().zip(&tensor.shape).find(|(a, b)| a != b);
        let (wanted, there) = differs.map_or((0, 0), |(a, b)| (*a, *b));
        let error = match differs {
            Some(_) if calls_for.len() == tensor.shape.len() => ImportErrorKind::TensorShape,
            _ => ImportErrorKind::TensorRank,
        };
        let ranks = (calls_for.len() as u64, tensor.shape.len() as u64);
        let (first, second) = match error {
            ImportErrorKind::TensorShape => (wanted, there),
            _ => ranks,
        };
        return Err(refuse(error).numbers(first, second));
    }
    let is_plain = shape.len() == 1 || matches!(located.order, RowOrder::Transposed { .. });
    let ggml_type = match tensor.ggml_type {
        Ok(kind) if kind.is_read() && (kind.block_len == 1 || !is_plain) => kind,
        Ok(kind) => return Err(unread(&tensor.name, kind.name)),
        Err(name) => return Err(unread(&tensor.name, name)),
    };
    let row_bytes = shape.get(1).map_or(Some(ggml_type.block_bytes), |d_in| {
        ggml_type.row_bytes(*d_in)
    });
    let row_bytes = row_bytes.ok_or_else(|| refuse(ImportErrorKind::TensorDims))?;
    let first_row = match located.order {
        RowOrder::Transposed { .. } => 0,
        _ => located.first_row,
    };
    Ok(TensorSource {
        name: String::from(expected.name.as_str()),
        role: expected.role,
        layer: expected.layer,
        shape: shape.to_vec(),
        source: tensor.source,
        offset: tensor.offset + first_row * row_bytes,
        ggml_type,
        row_order: located.order,
        adds_one: names.adds_one && expected.role.is_norm(),
    })
}

/// The refusal of an element type: the tensor, and the type as the file.
fn unread(tensor: &str, type_name: &'static str) -> ImportError {
    let kind = ImportErrorKind::TensorTypeUnread(type_name);
    ImportError::new(kind).field(tensor)
}
