//! Packages into GGUF and safetensors and back: kept tensors keep their bytes, rows return to
//! their order, what cannot be said is refused by name.
//!
//! Real models need `CULTIVAR_DATA`; the demo family needs nothing.

mod made;

use cultivar_core::package::{Head, ModelConfig, Package};
use cultivar_import::gguf::{Gguf, Parsed};
use cultivar_import::safetensors::{Safetensors, header_bytes};
use cultivar_import::{ExportKind, ExportStep, Exporter, ImportErrorKind, TargetFormat};
use cultivar_testdata::family;
use made::{export, import, options};
use std::path::PathBuf;

fn gguf(bytes: &[u8]) -> Gguf<'_> {
    match Gguf::parse(bytes, bytes.len() as u64).unwrap() {
        Parsed::Whole(gguf) => gguf,
        Parsed::More(n) => panic!("{n}"),
    }
}

fn sprout(format: TargetFormat) -> Vec<u8> {
    let (checkpoint, tokenizer) = (
        family::file("llama2c/sprout.bin"),
        family::file("llama2c/sprout-tok.bin"),
    );
    let files = [("sprout.bin", &checkpoint[..]), ("tok.bin", &tokenizer[..])];
    import(&files, options(format), 1 << 20).unwrap()
}

fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("CULTIVAR_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: CULTIVAR_DATA is not set");
    }
    folder
}

#[test]
fn a_package_comes_back_from_gguf_as_it_was() {
    for format in [
        TargetFormat::F32,
        TargetFormat::F16,
        TargetFormat::Q8_0,
        TargetFormat::Q5_0,
    ] {
        let package = sprout(format);
        let (files, notes) = export(&package, ExportKind::Gguf);
        assert_eq!(notes, Vec::<String>::new());
        let back = import(
            &[("x.gguf", &files[0].1)],
            options(TargetFormat::Keep),
            1 << 20,
        );
        let (before, back) = (Package::parse(&package).unwrap().head, back.unwrap());
        let after = Package::parse(&back).unwrap().head;
        assert_eq!(after.config, before.config);
        assert_eq!(
            after.identities.weights,
            before.identities.weights,
            "{}",
            format.name()
        );
        assert_eq!(after.metadata.text("name"), before.metadata.text("name"));
    }
}

#[test]
fn short_super_blocks_are_requantized_and_said_so() {
    let (files, notes) = export(&sprout(TargetFormat::Q4KM), ExportKind::Gguf);
    assert!(
        notes.contains(&"layers.0.w_q: q4_k became q5_0".to_string()),
        "{notes:?}"
    );
    assert!(
        notes.contains(&"token_embedding: q6_k became q8_0".to_string()),
        "{notes:?}"
    );
    let gguf = gguf(&files[0].1);
    assert_eq!(
        gguf.tensor("blk.0.attn_q.weight").unwrap().ggml_type.name,
        "q5_0"
    );
    // Rows of 384 are one super-block and a half.
    assert_eq!(
        gguf.tensor("blk.1.ffn_down.weight").unwrap().ggml_type.name,
        "q5_0"
    );
}

#[test]
fn kept_tensors_of_real_files_keep_their_bytes() {
    let Some(folder) = data() else { return };
    for name in ["f32", "q8_0", "q4_0", "q6_k", "q4_k_m", "pure-q4_k"] {
        let file = format!("models/rot256/gguf/TinyStories-656K-rot256-{name}.gguf");
        let file = std::fs::read(folder.join(file)).unwrap();
        let package = import(&[("m.gguf", &file)], options(TargetFormat::Keep), 1 << 20).unwrap();
        let (files, notes) = export(&package, ExportKind::Gguf);
        assert_eq!(notes, Vec::<String>::new());
        let (theirs, ours) = (gguf(&file), gguf(&files[0].1));
        assert_eq!(theirs.tensors().len(), ours.tensors().len());
        for tensor in theirs.tensors() {
            let out = ours.tensor(tensor.name).unwrap();
            let part = |bytes: &[u8], offset: u64| {
                bytes[offset as usize..(offset + tensor.bytes) as usize].to_vec()
            };
            assert_eq!(out.ggml_type, tensor.ggml_type, "{name} {}", tensor.name);
            let same = part(&file, tensor.offset) == part(&files[0].1, out.offset);
            assert!(same, "{name} {}", tensor.name);
        }
        for key in [
            "tokenizer.ggml.tokens",
            "tokenizer.ggml.scores",
            "tokenizer.ggml.token_type",
        ] {
            assert_eq!(ours.value(key), theirs.value(key), "{key}");
        }
    }
}

#[test]
fn safetensors_are_those_the_model_came_from() {
    let Some(folder) = data() else { return };
    let read = |name: &str| std::fs::read(folder.join("models/stories260K").join(name)).unwrap();
    let (checkpoint, tokenizer) = (read("stories260K.bin"), read("tok512.bin"));
    let files = [
        ("stories260K.bin", &checkpoint[..]),
        ("tok512.bin", &tokenizer[..]),
    ];
    let package = import(&files, options(TargetFormat::Keep), 1 << 20).unwrap();
    let (files, notes) = export(&package, ExportKind::Safetensors);
    assert_eq!(notes, Vec::<String>::new());
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "model.safetensors",
            "config.json",
            "tokenizer.model",
            "tokenizer_config.json"
        ]
    );
    let tensors = |bytes: &[u8]| -> Vec<(String, Vec<u64>, Vec<u8>)> {
        let end = header_bytes(bytes, bytes.len() as u64).unwrap() as usize;
        let file = Safetensors::parse(&bytes[..end], bytes.len() as u64).unwrap();
        let mut tensors: Vec<_> = file
            .tensors
            .iter()
            .map(|t| {
                let data = &bytes[t.offset as usize..(t.offset + t.bytes) as usize];
                (t.name.clone(), t.shape.clone(), data.to_vec())
            })
            .collect();
        tensors.sort();
        tensors
    };
    let expected = tensors(&read("hf/model.safetensors"));
    assert!(tensors(&files[0].1) == expected);
}

#[test]
fn what_the_other_format_cannot_say_is_named() {
    let package = sprout(TargetFormat::F32);
    let head = Package::parse(&package).unwrap().head;
    let refused_head = |change: &dyn Fn(&mut Head)| {
        let mut head = head.clone();
        change(&mut head);
        let error = Exporter::new(&head, ExportKind::Gguf)
            .map(drop)
            .unwrap_err();
        assert_eq!(error.kind, ImportErrorKind::ExportUnsupported);
        error.field.as_str().to_string()
    };
    let refused =
        |change: &dyn Fn(&mut ModelConfig)| refused_head(&|head| change(&mut head.config));
    let strips = |head: &mut Head| head.tokenizer.normalizer = vec!["strip_left".into()];
    assert_eq!(refused_head(&strips), "normalizer");
    assert_eq!(
        refused(&|config| config.parallel_residual = true),
        "parallel_residual"
    );
    assert_eq!(
        refused(&|config| config.logits_softcap = 30.0),
        "logits_softcap"
    );
    assert_eq!(refused(&|config| config.qkv_bias = true), "layers.0.b_q");
    let mut exporter = Exporter::new(&head, ExportKind::Gguf).unwrap();
    assert_eq!(
        exporter.supply(&[]).unwrap_err().kind,
        ImportErrorKind::OutOfOrder
    );
    while !matches!(exporter.step().unwrap(), ExportStep::Read { .. }) {}
    assert_eq!(
        exporter.supply(&[1]).unwrap_err().kind,
        ImportErrorKind::SupplyLen
    );
}
