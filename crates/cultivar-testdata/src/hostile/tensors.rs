//! Hostile tensors: directory entries, the set of tensors, and stored values.

use super::{HostileCase, Kind, case, config_case, merged, put_records};
use crate::byte_builder::{RawPackage, RawTensor, count_record, record};
use crate::small_packages::config_records;
use cultivar_core::tensor::{TensorError, TensorErrorKind};

/// Every case of this file.
pub(super) fn cases() -> Vec<HostileCase> {
    [
        directory_cases(),
        tensor_size_cases(),
        schema_cases(),
        payload_cases(),
    ]
    .concat()
}

fn directory_cases() -> Vec<HostileCase> {
    let tensor = |name: &str, expected, change: fn(&mut RawTensor)| {
        case(name, expected, |p| change(p.tensor("layers.0.w_q")))
    };
    vec![
        case("no tensors", Kind::TensorCount, |p| p.n_tensors = Some(0)),
        case("more tensors than bytes", Kind::TensorCount, |p| {
            p.n_tensors = Some(65536)
        }),
        case("2^32 - 1 tensors", Kind::TensorCount, |p| {
            p.n_tensors = Some(u32::MAX)
        }),
        case("an entry too many stated", Kind::UnexpectedEnd, |p| {
            p.n_tensors = Some(13);
        }),
        case("an entry too few stated", Kind::SectionTrailing, |p| {
            p.n_tensors = Some(11)
        }),
        case("bytes behind the last entry", Kind::SectionTrailing, |p| {
            p.directory_extra = vec![0]
        }),
        tensor("a name with a space", Kind::TensorName, |t| {
            t.name = b"layers.0 w_q".to_vec()
        }),
        tensor("a name that is not UTF-8", Kind::TensorName, |t| {
            t.name = b"layers\xFF".to_vec()
        }),
        tensor("a name of 257 bytes", Kind::TensorName, |t| {
            t.name = vec![b'm'; 257]
        }),
        case("an empty name", Kind::TensorName, |p| {
            p.tensor("final_norm").name.clear()
        }),
        case("names out of order", Kind::TensorOrder, |p| {
            p.tensors.swap(0, 1)
        }),
        tensor("a name twice", Kind::TensorOrder, |t| {
            t.name = b"layers.0.w_o".to_vec()
        }),
        tensor("dtype 0", Kind::UnknownFormat, |t| t.dtype = 0),
        tensor("a reserved dtype", Kind::UnknownFormat, |t| t.dtype = 21),
        tensor("an unknown layout", Kind::UnknownFormat, |t| t.layout = 9),
        tensor("f32 in tiles", Kind::UnknownFormat, |t| t.layout = 1),
        tensor("q8_0 in rows", Kind::UnknownFormat, |t| t.dtype = 16),
    ]
}

fn tensor_size_cases() -> Vec<HostileCase> {
    let tensor = |name: &str, expected, change: fn(&mut RawTensor)| {
        case(name, expected, |p| change(p.tensor("layers.0.w_q")))
    };
    vec![
        tensor("no dimensions", Kind::TensorDims, |t| t.dims.clear()),
        tensor("five dimensions", Kind::TensorDims, |t| t.dims = vec![1; 5]),
        tensor("a dimension of 0", Kind::TensorDims, |t| {
            t.dims = vec![0, 4]
        }),
        tensor("a dimension of 2^31", Kind::TensorDims, |t| {
            t.dims = vec![1, 1 << 31]
        }),
        tensor("rows that are no whole blocks", Kind::TensorBlocks, |t| {
            (t.dtype, t.layout) = (16, 1);
        }),
        tensor("2^40 elements", Kind::TensorTooLarge, |t| {
            t.dims = vec![1 << 20, 1 << 20]
        }),
        tensor("2^93 elements", Kind::TensorTooLarge, |t| {
            t.dims = vec![(1 << 31) - 1; 4]
        }),
        tensor("a gap before a tensor", Kind::TensorOffset, |t| {
            t.offset = Some(1 << 20)
        }),
        tensor("overlapping tensors", Kind::TensorOffset, |t| {
            t.offset = Some(0)
        }),
        tensor("an offset of 2^64 - 1", Kind::TensorOffset, |t| {
            t.offset = Some(u64::MAX)
        }),
        tensor("a length too small", Kind::TensorBytes, |t| {
            t.len = Some(60)
        }),
        tensor("a length of 2^64 - 1", Kind::TensorBytes, |t| {
            t.len = Some(u64::MAX)
        }),
        case(
            "bytes behind the last tensor",
            Kind::TensorDataLength,
            |p| p.data_extra = vec![0; 4],
        ),
    ]
}

fn schema_cases() -> Vec<HostileCase> {
    vec![
        case("no w_up", Kind::MissingTensor, |p| {
            p.tensors.retain(|tensor| tensor.name != b"layers.0.w_up");
        }),
        case("no output although not tied", Kind::MissingTensor, |p| {
            p.tensors.retain(|tensor| tensor.name != b"output");
        }),
        case("a tensor of a second layer", Kind::UnexpectedTensor, |p| {
            let mut surplus = p.tensor("layers.0.w_v").clone();
            surplus.name = b"layers.1.w_v".to_vec();
            p.tensors.insert(10, surplus);
        }),
        config_case(
            "an output although tied",
            Kind::UnexpectedTensor,
            &[record("tied_output", 4, [1])],
        ),
        case("w_q transposed into one row", Kind::TensorShape, |p| {
            p.tensor("layers.0.w_q").dims = vec![1, 16];
        }),
        config_case(
            "a wider feed-forward layer",
            Kind::TensorShape,
            &[count_record("d_ff", 16)],
        ),
        case("a norm of one row", Kind::TensorShape, |p| {
            p.tensor("final_norm").dims = vec![1, 4]
        }),
        case("a norm in f16", Kind::TensorDtype, |p| {
            let norm = p.tensor("final_norm");
            norm.dtype = 2;
            norm.bytes.truncate(8);
        }),
        case("weights as integers", Kind::TensorDtype, |p| {
            p.tensor("layers.0.w_q").dtype = 4
        }),
    ]
}

fn payload_cases() -> Vec<HostileCase> {
    let payload = |kind, offset| Kind::Payload(TensorError { kind, offset });
    let q8_0 = |name: &str, kind, offset, change: fn(&mut [u8])| {
        case(name, payload(kind, offset), |p| {
            // A model of d_model 32 and 2 rows of w_k: its tile lacks two rows.
            widen(p);
            let w_k = p.tensor("layers.0.w_k");
            (w_k.dtype, w_k.layout, w_k.bytes) = (16, 1, vec![0; 136]);
            change(&mut w_k.bytes);
        })
    };
    vec![
        case("a wrong tensor digest", Kind::TensorDigest, |p| {
            p.tensor("layers.0.w_q").digest = Some([1; 32]);
        }),
        case(
            "a NaN in f32",
            payload(TensorErrorKind::NotFinite, 8),
            |p| {
                p.tensor("layers.0.w_q").bytes[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
            },
        ),
        case(
            "an infinity in f16",
            payload(TensorErrorKind::NotFinite, 2),
            |p| {
                let w_q = p.tensor("layers.0.w_q");
                w_q.dtype = 2;
                w_q.bytes = vec![0; 32];
                w_q.bytes[2..4].copy_from_slice(&0x7C00_u16.to_le_bytes());
            },
        ),
        case(
            "a NaN in bf16",
            payload(TensorErrorKind::NotFinite, 0),
            |p| {
                let w_q = p.tensor("layers.0.w_q");
                w_q.dtype = 3;
                w_q.bytes = vec![0xFF; 32];
            },
        ),
        q8_0(
            "an infinite scale",
            TensorErrorKind::NotFinite,
            0,
            |bytes| bytes[1] = 0x7C,
        ),
        q8_0(
            "a scale in a padding row",
            TensorErrorKind::Padding,
            4,
            |bytes| bytes[4] = 1,
        ),
    ]
}

/// Turns the small model into one of d_model 32, one head of 2, and rows of zeros.
fn widen(package: &mut RawPackage) {
    let changes = [count_record("d_model", 32), count_record("head_dim", 2)];
    put_records(package, 0x10, &merged(config_records(), &changes));
    for tensor in &mut package.tensors {
        let old = tensor.dims.clone();
        let is_d_ff_wide = tensor.name.ends_with(b"w_down");
        let is_q_dim_wide = tensor.name.ends_with(b"w_o");
        tensor.dims = match old.as_slice() {
            [_] => vec![32],
            [_, d_in] if is_d_ff_wide || is_q_dim_wide => vec![32, *d_in],
            [d_out, _] => vec![*d_out, 32],
            other => other.to_vec(),
        };
        tensor.bytes = vec![0; 4 * tensor.dims.iter().product::<u64>() as usize];
    }
}
