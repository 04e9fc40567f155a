//! safetensors headers: what is read from right ones, what is said of wrong ones.

use cultivar_import::ImportErrorKind as Kind;
use cultivar_import::safetensors::{Safetensors, ShardIndex, header_bytes};
use cultivar_testdata::foreign_files::{safetensors_file, safetensors_of};

fn parse(bytes: &[u8]) -> Result<Safetensors, cultivar_import::ImportError> {
    let end = header_bytes(bytes, bytes.len() as u64)?;
    Safetensors::parse(&bytes[..end as usize], bytes.len() as u64)
}

#[test]
fn tensors_are_listed_in_the_order_of_their_places() {
    let header = concat!(
        r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,2],"#,
        r#""data_offsets":[4,12]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"#,
        r#""e":{"dtype":"U8","shape":[3,0],"data_offsets":[12,12]}}   "#
    );
    let file = parse(&safetensors_file(header, &[0; 12])).unwrap();
    let names: Vec<&str> = file.tensors.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "e"]);
    let b = file.tensor("b").unwrap();
    assert_eq!(
        (b.dtype.name, &b.shape[..], b.bytes),
        ("BF16", &[2, 2][..], 8)
    );
    assert_eq!(b.offset, 8 + header.len() as u64 + 4);
    assert_eq!(file.metadata, [("format".to_string(), "pt".to_string())]);
    assert!(file.tensor("c").is_none());
}

#[test]
fn every_cut_is_refused() {
    let whole = safetensors_of(&[("a", "F32", &[2], &[0; 8]), ("b", "F16", &[1, 2], &[0; 4])]);
    assert_eq!(parse(&whole).unwrap().tensors.len(), 2);
    for n in 0..whole.len() {
        let error = parse(&whole[..n]).unwrap_err();
        assert!(
            matches!(error.kind, Kind::Truncated | Kind::TensorPlace),
            "{n}: {error}"
        );
    }
    let longer = [&whole[..], &[0]].concat();
    assert_eq!(parse(&longer).unwrap_err().kind, Kind::TensorGap);
}

#[test]
fn what_is_wrong_is_named() {
    let tensor = |rest: &str| format!("{{\"a\":{{{rest}}}}}");
    let right = r#""dtype":"F32","shape":[2],"data_offsets":[0,8]"#;
    let twice = format!("{{\"a\":{{{right}}},\"b\":{{{right}}}}}");
    let apart = format!(
        "{{\"a\":{{{right}}},\"b\":{{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[12,20]}}}}"
    );
    let cases: Vec<(String, usize, Kind, &str)> = vec![
        ("[]".into(), 0, Kind::FieldValue, "header"),
        ("{\"a\":1}".into(), 0, Kind::FieldValue, "a"),
        (
            r#"{"__metadata__":{"a":1}}"#.into(),
            0,
            Kind::FieldValue,
            "__metadata__",
        ),
        (
            r#"{"__metadata__":[]}"#.into(),
            0,
            Kind::FieldValue,
            "__metadata__",
        ),
        (
            tensor(r#""dtype":"F32","shape":[2]"#),
            8,
            Kind::FieldValue,
            "a",
        ),
        (
            tensor(&format!("{right},\"x\":1")),
            8,
            Kind::FieldValue,
            "a",
        ),
        (
            tensor(r#""dtype":"F32","shape":[2],"data_offsets":[8,0]"#),
            8,
            Kind::FieldValue,
            "a",
        ),
        (
            tensor(r#""dtype":"F32","shape":[-2],"data_offsets":[0,8]"#),
            8,
            Kind::FieldValue,
            "a",
        ),
        (
            tensor(r#""dtype":"F99","shape":[2],"data_offsets":[0,8]"#),
            8,
            Kind::TensorTypeUnknown,
            "a",
        ),
        (
            tensor(r#""dtype":"F32","shape":[3],"data_offsets":[0,8]"#),
            8,
            Kind::TensorBytes,
            "a",
        ),
        (
            tensor(r#""dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]"#),
            8,
            Kind::TensorDims,
            "a",
        ),
        (
            tensor(r#""dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]"#),
            8,
            Kind::TensorDims,
            "a",
        ),
        (tensor(right), 4, Kind::TensorPlace, "a"),
        (tensor(right), 12, Kind::TensorGap, ""),
        (twice, 8, Kind::TensorOverlap, "b"),
        (apart, 20, Kind::TensorGap, "b"),
    ];
    for (header, n_bytes, kind, field) in cases {
        let error = parse(&safetensors_file(&header, &vec![0; n_bytes])).unwrap_err();
        assert_eq!(
            (error.kind.clone(), error.field.as_str()),
            (kind, field),
            "{header}: {error}"
        );
        assert!((500..550).contains(&error.code()), "{error}");
    }
    let error = parse(&safetensors_file("{\"a\":", &[])).unwrap_err();
    assert!(
        matches!(error.kind, Kind::Json(_)) && error.code() >= 600,
        "{error}"
    );
    let error = parse(&safetensors_file("{\"a\":1,\"a\":1}", &[])).unwrap_err();
    assert!(matches!(error.kind, Kind::Json(_)), "{error}");
    assert!(error.to_string().contains("stands twice"), "{error}");
    let error = header_bytes(&u64::MAX.to_le_bytes(), u64::MAX).unwrap_err();
    assert_eq!(error.kind, Kind::CountTooLarge);
}

#[test]
fn an_index_names_its_files() {
    let text = br#"{"metadata":{"total_size":8},"weight_map":{"a":"1","b":"2","c":"1"}}"#;
    let index = ShardIndex::parse(text).unwrap();
    assert_eq!(index.file_names(), ["1", "2"]);
    assert_eq!(index.files.len(), 3);
    for (text, kind) in [
        (&b"{}"[..], Kind::FieldMissing),
        (b"[]", Kind::FieldMissing),
        (br#"{"weight_map":[]}"#, Kind::FieldValue),
        (br#"{"weight_map":{"a":1}}"#, Kind::FieldValue),
    ] {
        let error = ShardIndex::parse(text).unwrap_err();
        assert_eq!(
            (error.kind.clone(), error.field.as_str()),
            (kind, "weight_map")
        );
    }
}
