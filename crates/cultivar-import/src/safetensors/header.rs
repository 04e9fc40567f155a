//! The header of one file: names, element types, shapes, places.

use crate::error::{ImportError, ImportErrorKind};
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::bytes::Reader;
use cultivar_core::json::{self, JsonValue};
use cultivar_core::package::limits;
use cultivar_core::sorting::sort_by_key;

/// Longest JSON header: 65536 tensors of 256 bytes. Real ones stay below 1 MB.
pub const HEADER_BYTES_MAX: u64 = 16 << 20;

/// Dimensions of a tensor at most.
const DIMS_MAX: usize = 8;

/// Element types. All are listed, so that a type that is not read is refused by its name.
const DTYPES: &[(&str, u64)] = &[
    ("F32", 4),
    ("F16", 2),
    ("BF16", 2),
    ("F64", 8),
    ("I64", 8),
    ("U64", 8),
    ("I32", 4),
    ("U32", 4),
    ("I16", 2),
    ("U16", 2),
    ("I8", 1),
    ("U8", 1),
    ("BOOL", 1),
    ("F8_E4M3", 1),
    ("F8_E5M2", 1),
];

/// An element type: its name in files and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafeDtype {
    /// For example `BF16`.
    pub name: &'static str,
    /// Bytes of one element.
    pub bytes: u64,
}

/// A tensor of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct SafeTensor {
    /// Its full name, for example `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// Its element type.
    pub dtype: SafeDtype,
    /// Its dimensions, outermost first; empty for a single number.
    pub shape: Vec<u64>,
    /// Where it begins in the file.
    pub offset: u64,
    /// How many bytes it has.
    pub bytes: u64,
}

/// A header: the tensors in the order of their places, and the texts beside them.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Safetensors {
    /// Ascending by offset; they fill the file from the header to its end.
    pub tensors: Vec<SafeTensor>,
    /// `__metadata__`: texts by key.
    pub metadata: Vec<(String, String)>,
}

/// How many of a file's first bytes [`Safetensors::parse`] needs: the length field and the JSON.
///
/// `first` is at least the first 8 bytes of the file.
pub fn header_bytes(first: &[u8], file_bytes: u64) -> Result<u64, ImportError> {
    let n_bytes = Reader::new(first).u64().map_err(|_| {
        let error = ImportError::new(ImportErrorKind::Truncated).field("header");
        error.numbers(8, file_bytes)
    })?;
    if n_bytes > HEADER_BYTES_MAX {
        let error = ImportError::new(ImportErrorKind::CountTooLarge).field("the header's length");
        return Err(error.numbers(n_bytes, HEADER_BYTES_MAX));
    }
    let end = n_bytes + 8;
    if end > file_bytes {
        let error = ImportError::new(ImportErrorKind::Truncated).field("header");
        return Err(error.numbers(end, file_bytes));
    }
    Ok(end)
}

impl Safetensors {
    /// Reads a header. `bytes` is the beginning of the file as long as [`header_bytes`] says.
    ///
    /// # Errors
    /// `Truncated`, `CountTooLarge`, JSON's; `FieldValue` for a description that is none;
    /// `TensorTypeUnknown`, `TensorDims`, `TensorBytes`; `TensorOverlap`, `TensorGap`,
    /// `TensorPlace` where the tensors do not fill the file.
    pub fn parse(bytes: &[u8], file_bytes: u64) -> Result<Safetensors, ImportError> {
        let end = header_bytes(bytes, file_bytes)?;
        let text = bytes.get(8..end as usize).unwrap_or_default();
        let JsonValue::Object(members) = json::parse_unique(text)? else {
            return Err(ImportError::new(ImportErrorKind::FieldValue).field("header"));
        };
        if members.len() > limits::TENSORS_MAX as usize + 1 {
            let error = ImportError::new(ImportErrorKind::CountTooLarge).field("tensors");
            return Err(error.numbers(members.len() as u64, u64::from(limits::TENSORS_MAX)));
        }
        let mut header = Safetensors::default();
        for (name, value) in members {
            if name == "__metadata__" {
                header.metadata = texts(value)?;
            } else {
                header.tensors.push(tensor(name, &value, end)?);
            }
        }
        sort_by_key(&mut header.tensors, |tensor| (tensor.offset, tensor.bytes));
        let mut place = end;
        for tensor in &header.tensors {
            let refuse = |kind, first, second| {
                let error = ImportError::new(kind).field(&tensor.name);
                Err(error.numbers(first, second))
            };
            if tensor.offset < place {
                return refuse(ImportErrorKind::TensorOverlap, tensor.offset, place);
            }
            if tensor.offset > place {
                return refuse(ImportErrorKind::TensorGap, place, tensor.offset);
            }
            place = tensor.offset.saturating_add(tensor.bytes);
            if place > file_bytes {
                return refuse(ImportErrorKind::TensorPlace, tensor.offset, place);
            }
        }
        if place < file_bytes {
            let error = ImportError::new(ImportErrorKind::TensorGap);
            return Err(error.numbers(place, file_bytes));
        }
        Ok(header)
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&SafeTensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }
}

/// The members of `__metadata__`, which must be texts.
fn texts(value: JsonValue) -> Result<Vec<(String, String)>, ImportError> {
    let bad = || ImportError::new(ImportErrorKind::FieldValue).field("__metadata__");
    let JsonValue::Object(members) = value else {
        return Err(bad());
    };
    let text = |(key, value)| match value {
        JsonValue::String(text) => Ok((key, text)),
        _ => Err(bad()),
    };
    members.into_iter().map(text).collect()
}

/// `{"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}` of a tensor whose offsets count
/// from `data_offset`.
fn tensor(name: String, value: &JsonValue, data_offset: u64) -> Result<SafeTensor, ImportError> {
    let bad = || ImportError::new(ImportErrorKind::FieldValue).field(&name);
    let members = value.as_object().ok_or_else(bad)?;
    let dtype = value
        .get("dtype")
        .and_then(JsonValue::as_str)
        .ok_or_else(bad)?;
    let known = DTYPES.iter().find(|(known, _)| *known == dtype);
    let Some(&(dtype, element_bytes)) = known else {
        return Err(ImportError::new(ImportErrorKind::TensorTypeUnknown).field(&name));
    };
    let shape = numbers(value.get("shape")).ok_or_else(bad)?;
    let offsets = numbers(value.get("data_offsets")).ok_or_else(bad)?;
    let &[begin, end] = offsets.as_slice() else {
        return Err(bad());
    };
    if members.len() != 3 || end < begin {
        return Err(bad());
    }
    let n_elements = shape.iter().try_fold(1_u64, |n, dim| {
        let fits = *dim < limits::DIM_LIMIT;
        n.checked_mul(*dim).filter(|_| fits)
    });
    let expected = n_elements.and_then(|n| n.checked_mul(element_bytes));
    let Some(expected) = expected.filter(|_| shape.len() <= DIMS_MAX) else {
        let error = ImportError::new(ImportErrorKind::TensorDims).field(&name);
        let d_in = shape.last().copied().unwrap_or_default();
        return Err(error.numbers(shape.len() as u64, d_in));
    };
    let bytes = end - begin;
    if bytes != expected {
        let error = ImportError::new(ImportErrorKind::TensorBytes).field(&name);
        return Err(error.numbers(expected, bytes));
    }
    let offset = begin.checked_add(data_offset).ok_or_else(bad)?;
    let dtype = SafeDtype {
        name: dtype,
        bytes: element_bytes,
    };
    Ok(SafeTensor {
        name,
        dtype,
        shape,
        offset,
        bytes,
    })
}

fn numbers(value: Option<&JsonValue>) -> Option<Vec<u64>> {
    let items = value?.as_array()?;
    items.iter().map(JsonValue::as_u64).collect()
}
