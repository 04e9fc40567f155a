//! Packages into GGUF and safetensors and back: kept tensors keep their bytes, rows return to
//! their order, what cannot be said is refused by name.
//!
//! Real models need `CULTIVAR_DATA`; the demo family needs nothing.

mod made;

use cultivar_core::kernels::Backend;
use cultivar_core::kv_cache::KvFormat;
use cultivar_core::model::{EngineOptions, Row};
use cultivar_core::package::{Head, ModelConfig, Package};
use cultivar_core::tokenizer::{EncodeOptions, Tokenizer};
use cultivar_import::gguf::{Gguf, Parsed};
use cultivar_import::safetensors::{SafeTensor, Safetensors, header_bytes};
use cultivar_import::{ExportKind, ExportStep, Exporter, ImportErrorKind, TargetFormat};
use cultivar_testdata::family;
use cultivar_testdata::loading::load_engine;
use cultivar_testdata::small_llama;
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

/// A package of `fixtures/architectures`, its configuration changed as text.
fn architecture(name: &str, from: &str, to: &str, format: TargetFormat) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/architectures");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let config = String::from_utf8(read(&format!("{name}/config.json"))).unwrap();
    assert!(config.contains(from), "{name}: {from}");
    let config = config.replace(from, to);
    let weights = read(&format!("{name}/model.safetensors"));
    let files = [
        ("config.json", config.as_bytes()),
        ("model.safetensors", &weights),
        ("tokenizer.json", &read("tokenizer.json")),
    ];
    import(&files, options(format), 1 << 20).unwrap()
}

/// The value of a 16-bit float that is neither infinite nor none.
fn f16_value(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 0x3FF) / 1024.0);
    let size = match exponent {
        0 => fraction * 2_f32.powi(-14),
        _ => (1.0 + fraction) * 2_f32.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// Logits of a few ids, as bits.
fn logit_bits(package: &[u8]) -> Vec<u32> {
    let options = EngineOptions {
        max_rows: 24,
        max_logit_rows: 24,
        backend: Backend::Fast,
    };
    let mut engine = load_engine(package, options);
    let sequence = engine.open_sequence(24, KvFormat::F32).unwrap();
    let row = |position: u32| Row {
        sequence,
        position,
        token: position * 7 % 250,
        wants_logits: true,
    };
    engine
        .forward(&(0..24).map(row).collect::<Vec<_>>())
        .unwrap();
    let rows = (0..24).flat_map(|row| engine.logits(row).to_vec());
    rows.map(f32::to_bits).collect()
}

/// The scores' factor that GGUF has no key for is the default one, as in the published sizes.
const SCALAR: (&str, &str) = (
    "\"query_pre_attn_scalar\": 24",
    "\"query_pre_attn_scalar\": 16",
);

#[test]
fn every_architecture_that_gguf_can_say_goes_there_and_back() {
    let same = ("vocab_size", "vocab_size");
    for (name, (from, to), window) in [
        ("gemma2", SCALAR, 11),
        ("gemma3", SCALAR, 9),
        ("gpt2", same, 0),
        ("gpt_neox", same, 0),
        // Written as a Phi-3, the family without norms of its own that has a window.
        ("mistral", same, 12),
        ("phi3", same, 13),
        ("llama-scaled", same, 0),
        ("qwen2", same, 0),
        ("qwen3", ("sliding_attention", "full_attention"), 0),
        ("llama-linear", same, 0),
    ] {
        for format in [TargetFormat::F32, TargetFormat::Keep, TargetFormat::Q8_0] {
            let package = architecture(name, from, to, format);
            let (files, notes) = export(&package, ExportKind::Gguf);
            assert_eq!(notes, Vec::<String>::new(), "{name}");
            let whole = [("x.gguf", &files[0].1[..])];
            let back = import(&whole, options(TargetFormat::Keep), 1 << 20).unwrap();
            let [before, after] = [&package, &back].map(|p| Package::parse(p).unwrap().head);
            assert_eq!(after.config, before.config, "{name}");
            assert_eq!(after.config.sliding_window, window, "{name}");
            let tensors = |head: &Head| -> Vec<_> {
                let entries = head.directory.entries().iter();
                entries
                    .map(|entry| (entry.name.clone(), entry.digest))
                    .collect()
            };
            assert_eq!(tensors(&after), tensors(&before), "{name}");
            let (a, b) = (after.identities, before.identities);
            assert_eq!(a.architecture, b.architecture, "{name}");
            assert_eq!(logit_bits(&back), logit_bits(&package), "{name}");
            let ids = |head: &Head| {
                let tokenizer = Tokenizer::new(head.tokenizer.clone()).unwrap();
                let plain = EncodeOptions {
                    add_bos: None,
                    parse_special: true,
                };
                tokenizer.ids("Once upon a time, 12 öre.", plain).unwrap()
            };
            assert_eq!(ids(&after), ids(&before), "{name}");
        }
    }
}

#[test]
fn every_architecture_that_safetensors_can_say_goes_there_and_back() {
    for name in [
        "llama",
        "llama-scaled",
        "llama-linear",
        "mistral",
        "qwen2",
        "qwen3",
        "gemma2",
        "gemma3",
        "phi3",
        "gpt2",
        "gpt_neox",
        "gpt_neox-serial",
    ] {
        for format in [TargetFormat::F32, TargetFormat::Keep] {
            let package = architecture(name, "vocab_size", "vocab_size", format);
            let (files, notes) = export(&package, ExportKind::Safetensors);
            assert_eq!(notes, Vec::<String>::new(), "{name}");
            let whole: Vec<(&str, &[u8])> =
                files.iter().map(|(n, b)| (n.as_str(), &b[..])).collect();
            let back = import(&whole, options(TargetFormat::Keep), 1 << 20).unwrap();
            let [before, after] = [&package, &back].map(|p| Package::parse(p).unwrap().head);
            assert_eq!(after.config, before.config, "{name}");
            for (a, b) in (after.directory.entries().iter()).zip(before.directory.entries()) {
                assert_eq!((&a.name, a.digest), (&b.name, b.digest), "{name}");
            }
            assert_eq!(logit_bits(&back), logit_bits(&package), "{name}");
        }
    }
}

#[test]
fn safetensors_of_fused_models_are_those_they_came_from() {
    for name in ["phi3", "gpt2", "gpt_neox", "gpt_neox-serial"] {
        let package = architecture(name, "vocab_size", "vocab_size", TargetFormat::Keep);
        let (files, _) = export(&package, ExportKind::Safetensors);
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/architectures");
        let theirs = std::fs::read(folder.join(name).join("model.safetensors")).unwrap();
        let tensors = |bytes: &[u8]| -> Vec<(String, Vec<u64>, Vec<f32>)> {
            let end = header_bytes(bytes, bytes.len() as u64).unwrap() as usize;
            let file = Safetensors::parse(&bytes[..end], bytes.len() as u64).unwrap();
            let value = |name: &str, chunk: &[u8]| match name {
                "F16" => f16_value(u16::from_le_bytes([chunk[0], chunk[1]])),
                _ => f32::from_le_bytes(chunk.try_into().unwrap()),
            };
            let tensor = |t: &SafeTensor| {
                let data = &bytes[t.offset as usize..(t.offset + t.bytes) as usize];
                let values = data.chunks(t.dtype.bytes as usize);
                let values = values.map(|chunk| value(t.dtype.name, chunk)).collect();
                (t.name.clone(), t.shape.clone(), values)
            };
            let mut tensors: Vec<_> = file.tensors.iter().map(tensor).collect();
            tensors.sort_by(|a, b| a.0.cmp(&b.0));
            tensors
        };
        assert!(tensors(&files[0].1) == tensors(&theirs), "{name}");
    }
}

#[test]
fn woven_parts_of_several_formats_become_f32() {
    // In this mix queries and keys are blocks and values other blocks; all stand in one tensor.
    for name in ["gpt2", "gpt_neox"] {
        let package = architecture(name, "vocab_size", "vocab_size", TargetFormat::Q8_0);
        let (files, _) = export(&package, ExportKind::Safetensors);
        let whole: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (n.as_str(), &b[..])).collect();
        let back = import(&whole, options(TargetFormat::F32), 1 << 20).unwrap();
        // Rows of 48 are no multiple of 32 and stay f16; those of 80 are f16 too.
        assert_eq!(logit_bits(&back), logit_bits(&package), "{name}");
    }
}

#[test]
fn parts_of_a_tensor_take_the_largest_format_of_theirs() {
    const CONFIG: &str = r#"{"architectures":["GPT2LMHeadModel"],"n_embd":256,"n_layer":1,
    "n_head":4,"n_inner":256,"vocab_size":264,"n_positions":64}"#;
    const TENSORS: &[(&str, &[u64])] = &[
        ("transformer.wte.weight", &[264, 256]),
        ("transformer.wpe.weight", &[64, 256]),
        ("transformer.h.0.ln_1.weight", &[256]),
        ("transformer.h.0.ln_1.bias", &[256]),
        ("transformer.h.0.attn.c_attn.weight", &[256, 768]),
        ("transformer.h.0.attn.c_attn.bias", &[768]),
        ("transformer.h.0.attn.c_proj.weight", &[256, 256]),
        ("transformer.h.0.attn.c_proj.bias", &[256]),
        ("transformer.h.0.ln_2.weight", &[256]),
        ("transformer.h.0.ln_2.bias", &[256]),
        ("transformer.h.0.mlp.c_fc.weight", &[256, 256]),
        ("transformer.h.0.mlp.c_fc.bias", &[256]),
        ("transformer.h.0.mlp.c_proj.weight", &[256, 256]),
        ("transformer.h.0.mlp.c_proj.bias", &[256]),
        ("transformer.ln_f.weight", &[256]),
        ("transformer.ln_f.bias", &[256]),
    ];
    let weights = small_llama::weights(TENSORS, "F16", &[0, 0x38]);
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/architectures");
    let files = [
        ("config.json", CONFIG.as_bytes()),
        ("model.safetensors", &weights),
        (
            "tokenizer.json",
            &std::fs::read(folder.join("tokenizer.json")).unwrap(),
        ),
    ];
    let package = import(&files, options(TargetFormat::Q4KM), 1 << 20).unwrap();
    let (files, notes) = export(&package, ExportKind::Gguf);
    let expected = ["w_q", "w_k"].map(|name| format!("layers.0.{name}: q4_k became q6_k"));
    assert_eq!(notes, expected);
    let gguf = gguf(&files[0].1);
    let fused = gguf.tensor("blk.0.attn_qkv.weight").unwrap();
    assert_eq!(
        (fused.ggml_type.name, &fused.shape[..]),
        ("q6_k", &[768, 256][..])
    );
    let back = import(
        &[("x.gguf", &files[0].1)],
        options(TargetFormat::Keep),
        1 << 20,
    )
    .unwrap();
    let [before, after] = [&package, &back].map(|p| Package::parse(p).unwrap().head);
    assert_eq!(after.config, before.config);
    for entry in before.directory.entries() {
        let other = after.directory.get(entry.name.as_str()).unwrap();
        let is_recoded = entry.name.ends_with("w_q") || entry.name.ends_with("w_k");
        assert_eq!(other.digest != entry.digest, is_recoded, "{}", entry.name);
    }
}

#[test]
fn options_without_a_key_in_gguf_are_named() {
    for (name, field) in [
        ("gemma2", "attention_scale"),
        ("gpt_neox-serial", "activation"),
        ("qwen3", "sliding_window"),
    ] {
        let package = architecture(name, "vocab_size", "vocab_size", TargetFormat::Keep);
        let head = Package::parse(&package).unwrap().head;
        let refused = Exporter::new(&head, ExportKind::Gguf)
            .map(drop)
            .unwrap_err();
        assert_eq!(refused.kind, ImportErrorKind::ExportUnsupported, "{name}");
        assert_eq!(refused.field.as_str(), field, "{name}");
    }
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
