//! Every type of ggml's that is read decodes to the bits that the `gguf` package gives.

use cultivar_core::bytes::Reader;
use cultivar_import::ggml::{GgmlType, TYPES};

/// Written by `fixtures/make/ggml_blocks.py`.
const BLOCKS: &[u8] = include_bytes!("../../../fixtures/ggml/blocks.bin");

#[test]
fn blocks_decode_to_the_bits_of_the_reference() {
    let mut reader = Reader::new(BLOCKS);
    let mut seen = vec!["f32"];
    while !reader.is_empty() {
        let kind = GgmlType::find(reader.u32().unwrap()).unwrap();
        let n_blocks = reader.u32().unwrap() as usize;
        let n_elements = n_blocks * kind.block_len as usize;
        let blocks = reader.take(n_blocks * kind.block_bytes as usize).unwrap();
        let mut decoded = vec![f32::NAN; n_elements];
        kind.decode(blocks, &mut decoded);
        for (i, got) in decoded.iter().enumerate() {
            let expected = reader.f32().unwrap();
            assert_eq!(
                got.to_bits(),
                expected.to_bits(),
                "{} {i}: {got} {expected}",
                kind.name
            );
        }
        seen.push(kind.name);
    }
    for kind in TYPES {
        assert_eq!(kind.is_read(), seen.contains(&kind.name), "{}", kind.name);
    }
}

#[test]
fn types_are_known_by_id_and_name() {
    for [a, b] in TYPES.array_windows() {
        assert!(a.id < b.id);
    }
    assert_eq!(GgmlType::find(12), GgmlType::by_name("q4_k"));
    assert!(GgmlType::find(4).is_none() && GgmlType::by_name("q4_2").is_none());
    let q6_k = GgmlType::find(14).unwrap();
    assert_eq!(
        (q6_k.row_bytes(512), q6_k.row_bytes(288)),
        (Some(420), None)
    );
    let f32 = GgmlType::find(0).unwrap();
    assert_eq!(f32.row_bytes(u64::MAX), None);
    let mut out = [7.0; 256];
    GgmlType::find(16).unwrap().decode(&[0; 66], &mut out);
    assert_eq!(out, [7.0; 256]);
}
