//! A tensor as a GGUF header describes it, and the check that all of them lie where they can.

use crate::error::{ImportError, ImportErrorKind};
use crate::ggml::GgmlType;
use alloc::vec::Vec;
use cultivar_core::bytes::Reader;
use cultivar_core::package::limits;
use cultivar_core::sorting::sort_by_key;

/// Dimensions of a tensor at most (`GGML_MAX_DIMS`).
const DIMS_MAX: usize = 4;

/// A tensor of a file; its name is borrowed from the header.
#[derive(Clone, Debug, PartialEq)]
pub struct GgufTensor<'a> {
    /// Its full name, for example `blk.0.attn_q.weight`.
    pub name: &'a str,
    /// Its element type.
    pub ggml_type: &'static GgmlType,
    /// Its dimensions, outermost first: `[d_out, d_in]` for a matrix (the file has them reversed).
    pub shape: Vec<u64>,
    /// Where it begins in the file.
    pub offset: u64,
    /// How many bytes it has.
    pub bytes: u64,
}

impl<'a> GgufTensor<'a> {
    /// Reads one description; its offset still counts from the beginning of the data.
    pub(super) fn read(
        reader: &mut Reader<'a>,
        name: &'a str,
    ) -> Result<GgufTensor<'a>, super::value::ValueError> {
        let refuse = |kind, first, second| {
            let error = ImportError::new(kind).field(name).numbers(first, second);
            super::value::ValueError::Broken(error)
        };
        let n_dims = reader.u32()? as usize;
        if !(1..=DIMS_MAX).contains(&n_dims) {
            return Err(refuse(ImportErrorKind::TensorDims, n_dims as u64, 0));
        }
        let mut shape = Vec::with_capacity(n_dims);
        for _ in 0..n_dims {
            shape.push(reader.u64()?);
        }
        let d_in = shape.first().copied().unwrap_or_default();
        let type_id = reader.u32()?;
        let offset = reader.u64()?;
        let Some(ggml_type) = GgmlType::find(type_id) else {
            let id = u64::from(type_id);
            return Err(refuse(ImportErrorKind::TensorTypeUnknown, id, 0));
        };
        let has_valid_dims = shape.iter().all(|dim| (1..limits::DIM_LIMIT).contains(dim));
        let mut rows = shape.iter().skip(1);
        let n_rows = rows.try_fold(1_u64, |n, dim| n.checked_mul(*dim));
        let row_bytes = ggml_type.row_bytes(d_in);
        let bytes = n_rows.and_then(|n| n.checked_mul(row_bytes?));
        let Some(bytes) = bytes.filter(|_| has_valid_dims) else {
            return Err(refuse(ImportErrorKind::TensorDims, n_dims as u64, d_in));
        };
        shape.reverse();
        Ok(GgufTensor {
            name,
            ggml_type,
            shape,
            offset,
            bytes,
        })
    }
}

/// Moves offsets to where the data begins and refuses tensors that are not aligned, reach out of
/// the file or overlap, and names that stand twice.
pub(super) fn place(
    tensors: &mut [GgufTensor<'_>],
    data_offset: u64,
    alignment: u64,
    file_bytes: u64,
) -> Result<(), ImportError> {
    for tensor in tensors.iter_mut() {
        let begin = data_offset.saturating_add(tensor.offset);
        let end = begin.saturating_add(tensor.bytes);
        if !tensor.offset.is_multiple_of(alignment) || end > file_bytes {
            let error = ImportError::new(ImportErrorKind::TensorPlace).field(tensor.name);
            return Err(error.numbers(begin, end));
        }
        tensor.offset = begin;
    }
    let mut order: Vec<&GgufTensor<'_>> = tensors.iter().collect();
    sort_by_key(&mut order, |tensor| tensor.offset);
    for [a, b] in order.array_windows() {
        let end = a.offset + a.bytes;
        if b.offset < end {
            let error = ImportError::new(ImportErrorKind::TensorOverlap).field(b.name);
            return Err(error.numbers(b.offset, end));
        }
    }
    sort_by_key(&mut order, |tensor| tensor.name);
    match order.array_windows().find(|[a, b]| a.name == b.name) {
        Some([tensor, _]) => {
            Err(ImportError::new(ImportErrorKind::DuplicateTensor).field(tensor.name))
        }
        None => Ok(()),
    }
}
