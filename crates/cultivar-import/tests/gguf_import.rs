//! GGUF models: every way in which header, tensors and vocabulary can contradict one another is
//! refused with file and field; what cannot be kept is re-quantized and its loss recorded.

mod made;

use cultivar_core::bytes::Reader;
use cultivar_core::json::{self, JsonValue};
use cultivar_core::package::{Head, Package, SectionId};
use cultivar_core::tensor::{TensorRef, codec};
use cultivar_import::ggml::GgmlType;
use cultivar_import::{
    ImportError, ImportErrorKind as Kind, ImportOptions, Requantize, TargetFormat,
};
use cultivar_testdata::foreign_files::GgufBuilder;
use cultivar_testdata::small_llama::{GgufTensor, gguf_metadata, gguf_of, gguf_tensors};
use made::{import, options};

fn package(file: &[u8], options: ImportOptions) -> Result<Vec<u8>, ImportError> {
    import(&[("m.gguf", file)], options, 1 << 16)
}

fn head(file: &[u8]) -> Result<Head, ImportError> {
    let bytes = package(file, options(TargetFormat::Keep))?;
    Ok(Package::parse(&bytes).unwrap().head)
}

/// The good model with a change of its tensors.
fn with_tensors(change: impl FnOnce(&mut Vec<GgufTensor>)) -> Vec<u8> {
    let mut tensors = gguf_tensors();
    change(&mut tensors);
    gguf_of(gguf_metadata(&[]), &tensors)
}

/// The good model with other metadata.
fn with_metadata(without: &[&str], add: impl FnOnce(GgufBuilder) -> GgufBuilder) -> Vec<u8> {
    gguf_of(add(gguf_metadata(without)), &gguf_tensors())
}

fn assert_refused(cases: Vec<(Kind, &str, Vec<u8>)>) {
    for (kind, field, file) in cases {
        let error = head(&file).unwrap_err();
        assert_eq!(
            (error.kind.clone(), error.field.as_str()),
            (kind, field),
            "{error}"
        );
        assert_eq!(error.file.as_str(), "m.gguf", "{error}");
    }
}

#[test]
fn the_good_model_is_imported() {
    let head = head(&with_tensors(|_| {})).unwrap();
    assert_eq!(head.config.d_model, 256);
    assert_eq!(
        head.directory.get("layers.0.w_q").unwrap().format.name,
        "q8_0"
    );
    assert_eq!(head.metadata.text("license"), Some("mit"));
}

#[test]
fn tensors_that_disagree_with_the_options_are_named() {
    let q = "blk.0.attn_q.weight";
    let f32s = |n: usize| 1f32.to_le_bytes().repeat(n);
    assert_refused(vec![
        (Kind::TensorMissing, q, with_tensors(|t| drop(t.remove(2)))),
        (
            Kind::TensorMissing,
            "output_norm.weight",
            with_tensors(|t| drop(t.pop())),
        ),
        (
            Kind::TensorSurplus,
            "blk.0.attn_q.bias2",
            with_tensors(|t| t.push(("blk.0.attn_q.bias2", &[256], 0, f32s(256)))),
        ),
        (
            Kind::TensorSurplus,
            "blk.1.attn_norm.weight",
            with_tensors(|t| t.push(("blk.1.attn_norm.weight", &[256], 0, f32s(256)))),
        ),
        (
            Kind::TensorShape,
            q,
            with_tensors(|t| t[2] = (q, &[256, 224], 0, f32s(256 * 224))),
        ),
        (
            Kind::TensorRank,
            q,
            with_tensors(|t| t[2] = (q, &[256, 256, 1], 0, f32s(256 * 256))),
        ),
        (
            Kind::TensorTypeUnread("iq2_xxs"),
            q,
            with_tensors(|t| t[2] = (q, &[256, 256], 16, vec![0; 256 * 66])),
        ),
        (
            Kind::TensorTypeUnread("f64"),
            q,
            with_tensors(|t| t[2] = (q, &[256, 256], 28, vec![0; 256 * 256 * 8])),
        ),
        (
            Kind::TensorTypeUnknown,
            q,
            with_tensors(|t| t[2] = (q, &[256, 256], 36, vec![0; 256 * 256])),
        ),
    ]);
}

#[test]
fn options_that_cannot_be_are_named() {
    let u32 = |key: &'static str, value: u32| with_metadata(&[key], |file| file.u32(key, value));
    let scaling = |name: &'static str| {
        with_metadata(&[], |file| {
            let file = file.text("llama.rope.scaling.type", name);
            file.f32("llama.rope.scaling.factor", 4.0)
        })
    };
    let architecture = |name: &'static str| {
        with_metadata(&["general.architecture"], |file| {
            file.text("general.architecture", name)
        })
    };
    assert_refused(vec![
        (Kind::ArchitectureUnknown, "mamba", architecture("mamba")),
        (
            Kind::FieldMissing,
            "llama.block_count",
            with_metadata(&["llama.block_count"], |file| file),
        ),
        (
            Kind::TensorMissing,
            "blk.1.attn_norm.weight",
            u32("llama.block_count", 2),
        ),
        (
            Kind::TensorShape,
            "token_embd.weight",
            u32("llama.embedding_length", 128),
        ),
        (
            Kind::TensorShape,
            "blk.0.ffn_gate.weight",
            u32("llama.feed_forward_length", 512),
        ),
        (
            Kind::TensorShape,
            "blk.0.attn_k.weight",
            u32("llama.attention.head_count_kv", 2),
        ),
        (
            Kind::OptionUnsupported,
            "rope.scaling.type: longrope",
            scaling("longrope"),
        ),
        (
            Kind::TensorSurplus,
            "rope_factors_long.weight",
            with_tensors(|t| {
                let factors = 1f32.to_le_bytes().repeat(32);
                t.push(("rope_factors_long.weight", &[32], 0, factors));
            }),
        ),
    ]);
    let error = head(&architecture("mamba")).unwrap_err().to_string();
    assert!(error.contains("supported are llama"), "{error}");
}

#[test]
fn vocabularies_that_disagree_are_named() {
    let tokens = "tokenizer.ggml.tokens";
    let many: Vec<String> = (0..300).map(|id| format!("t{id}")).collect();
    let many: Vec<&[u8]> = many.iter().map(String::as_bytes).collect();
    let byte_level = |merges: &'static [&'static [u8]]| {
        let without = [
            "tokenizer.ggml.model",
            tokens,
            "tokenizer.ggml.scores",
            "tokenizer.ggml.token_type",
        ];
        let file = gguf_metadata(&without).text("tokenizer.ggml.model", "gpt2");
        let file = file.text("tokenizer.ggml.pre", "gpt-2");
        let mut names: Vec<String> = (0..262).map(|id| format!("x{id}")).collect();
        names[259] = "a".into();
        names[260] = "b".into();
        names[261] = "ab".into();
        let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
        let file = file.texts(tokens, &names);
        gguf_of(file.texts("tokenizer.ggml.merges", merges), &gguf_tensors())
    };
    assert_refused(vec![
        (
            Kind::ArrayLen,
            "tokenizer.ggml.token_type",
            with_metadata(&[tokens], |file| file.texts(tokens, &many)),
        ),
        (
            Kind::SizesDisagree,
            "vocabulary",
            with_tensors(|t| {
                t[0].1 = &[256, 256];
                t[0].3.truncate(256 * 8 * 34);
            }),
        ),
        (
            Kind::ArrayLen,
            "tokenizer.ggml.scores",
            with_metadata(&["tokenizer.ggml.scores"], |file| {
                file.f32s("tokenizer.ggml.scores", &[0.0; 261])
            }),
        ),
        (
            Kind::FieldValue,
            "tokenizer.ggml.scores",
            with_metadata(&["tokenizer.ggml.scores"], |file| {
                file.f32s("tokenizer.ggml.scores", &[f32::NAN; 262])
            }),
        ),
        (
            Kind::FieldValue,
            "tokenizer.ggml.eos_token_id",
            with_metadata(&[], |file| file.u32("tokenizer.ggml.eos_token_id", 262)),
        ),
        (
            Kind::MergeBroken,
            "tokenizer.ggml.merges",
            byte_level(&[b"ab"]),
        ),
        (
            Kind::MergePieceUnknown,
            "tokenizer.ggml.merges",
            byte_level(&[b"a c"]),
        ),
        (Kind::VocabularyOnly, "", gguf_of(gguf_metadata(&[]), &[])),
    ]);
    const TWICE: &[&[u8]] = &[b"a b", b"a b"];
    // A circle of merges needs a piece that is longer than itself: what it makes is no piece.
    const CIRCLE: &[&[u8]] = &[b"a b", b"ab a"];
    for (merges, says) in [
        (TWICE, "merge 1 repeats an earlier one"),
        (CIRCLE, "merge 1 joins is no piece"),
    ] {
        let error = head(&byte_level(merges)).unwrap_err();
        assert!(matches!(error.kind, Kind::Tokenizer(_)), "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.file.as_str(), "m.gguf");
    }
    assert!(head(&byte_level(&[b"a b"])).is_ok());
}

#[test]
fn weights_and_scales_that_are_not_finite_are_named() {
    let at = |idx: usize, place: usize, bytes: &'static [u8]| {
        with_tensors(|t| t[idx].3[place..place + bytes.len()].copy_from_slice(bytes))
    };
    for (file, kind, field, number) in [
        (
            at(1, 40, &[0, 0, 0xC0, 0x7F]),
            Kind::NotFinite,
            "layers.0.attention_norm",
            10,
        ),
        (
            at(10, 0, &[0, 0, 0x80, 0xFF]),
            Kind::NotFinite,
            "final_norm",
            0,
        ),
        (
            at(5, 34, &[0, 0x7C]),
            Kind::ScaleNotFinite,
            "layers.0.w_o",
            0,
        ),
        (
            at(0, 0, &[1, 0x7E]),
            Kind::ScaleNotFinite,
            "token_embedding",
            0,
        ),
    ] {
        let error = head(&file).unwrap_err();
        assert_eq!(
            (error.kind.clone(), error.field.as_str()),
            (kind, field),
            "{error}"
        );
        assert_eq!((error.numbers[0], error.file.as_str()), (number, "m.gguf"));
    }
}

/// The conversion record of a package.
fn record(package: &[u8]) -> JsonValue {
    let whole = Package::parse(package).unwrap();
    let record = whole.tail.section(SectionId::CONVERSION_RECORD).unwrap();
    json::parse(record).unwrap()
}

/// What the record says of a tensor.
fn row<'a>(record: &'a JsonValue, name: &str) -> &'a JsonValue {
    let mut rows = record.get("tensors").unwrap().as_array().unwrap().iter();
    let is_it = |row: &&JsonValue| row.get("name").and_then(JsonValue::as_str) == Some(name);
    rows.find(is_it).unwrap()
}

#[test]
fn the_code_of_minus_128_is_kept_and_recorded() {
    let file = with_tensors(|t| t[5].3[9] = 128);
    let package = package(&file, options(TargetFormat::Keep)).unwrap();
    let record = record(&package);
    let flag = |name: &str| row(&record, name).get("has_minus_128").cloned();
    assert_eq!(flag("layers.0.w_o"), Some(JsonValue::Bool(true)));
    assert_eq!(flag("layers.0.w_q"), None);
    let sources = record.get("sources").unwrap().as_array().unwrap();
    let digest = cultivar_core::digest::sha256(&file).to_string();
    let text = |value: &JsonValue, key: &str| value.get(key).unwrap().as_str().unwrap().to_string();
    assert_eq!(text(&sources[0], "sha256"), digest);
    assert_eq!(
        sources[0].get("bytes").unwrap().as_u64(),
        Some(file.len() as u64)
    );
    for (key, value) in [
        ("name", "small"),
        ("license", "mit"),
        ("source", "https://example.org/small"),
        ("format", "keep"),
        ("requantize", "q8_0"),
    ] {
        assert_eq!(text(&record, key), value);
    }
    assert!(text(&record, "importer").starts_with("cultivar-import "));
}

/// Blocks of every type and what they decode to, written by `fixtures/make/ggml_blocks.py`.
fn reference_blocks(wanted: &str) -> (Vec<u8>, Vec<f32>) {
    let mut reader = Reader::new(include_bytes!("../../../fixtures/ggml/blocks.bin"));
    loop {
        let kind = GgmlType::find(reader.u32().unwrap()).unwrap();
        let n_blocks = reader.u32().unwrap() as usize;
        let blocks = reader.take(n_blocks * kind.block_bytes as usize).unwrap();
        let n_weights = n_blocks * kind.block_len as usize;
        let weights = (0..n_weights).map(|_| reader.f32().unwrap()).collect();
        if kind.name == wanted {
            return (blocks.to_vec(), weights);
        }
    }
}

#[test]
fn blocks_that_are_not_kept_become_the_chosen_format_and_their_loss_is_recorded() {
    for (name, nearest) in [
        ("q4_1", "q5_0"),
        ("q5_1", "q6_k"),
        ("q2_k", "q4_k"),
        ("q3_k", "q4_k"),
        ("q5_k", "q5_0"),
        ("iq4_nl", "q4_k"),
        ("iq4_xs", "q4_k"),
        ("tq1_0", "q4_k"),
        ("tq2_0", "q4_k"),
    ] {
        let kind = GgmlType::by_name(name).unwrap();
        let (blocks, weights) = reference_blocks(name);
        let n_blocks = 256 * 256 / kind.block_len as usize;
        let bytes: Vec<u8> = blocks
            .iter()
            .copied()
            .cycle()
            .take(n_blocks * kind.block_bytes as usize)
            .collect();
        let weights: Vec<f32> = weights.iter().copied().cycle().take(256 * 256).collect();
        let file = with_tensors(|t| (t[9].2, t[9].3) = (kind.id, bytes));
        for (requantize, stored) in [(Requantize::Q8_0, "q8_0"), (Requantize::Nearest, nearest)] {
            let options = ImportOptions {
                requantize,
                ..ImportOptions::default()
            };
            let package = package(&file, options).unwrap();
            let whole = Package::parse(&package).unwrap();
            let entry = whole.head.directory.get("layers.0.w_down").unwrap();
            assert_eq!(entry.format.name, stored, "{name}");
            assert!(
                entry.format.block_bytes as u64 * kind.block_len
                    >= kind.block_bytes
                        * (entry.format.block_len * entry.format.super_blocks) as u64
                    || entry.format.super_blocks > 1,
                "{name} became smaller"
            );
            let start = entry.offset as usize;
            let view = TensorRef {
                format: entry.format,
                d_out: 256,
                d_in: 256,
                bytes: &package[start..start + entry.bytes as usize],
            };
            let mut decoded = vec![0.0; 256 * 256];
            for (idx, row) in decoded.chunks_exact_mut(256).enumerate() {
                codec::decode_row(row, view, idx);
            }
            let differences = decoded.iter().zip(&weights).map(|(a, b)| f64::from(a - b));
            let squares: f64 = differences.clone().map(|d| d * d).sum();
            let largest = differences.map(f64::abs).fold(0.0, f64::max);
            let size: f64 = weights.iter().map(|w| f64::from(*w) * f64::from(*w)).sum();
            let record = record(&package);
            let row = row(&record, "layers.0.w_down");
            let number = |key: &str| row.get(key).unwrap().as_f64().unwrap();
            assert_eq!(row.get("source_format").unwrap().as_str(), Some(name));
            assert_eq!(row.get("format").unwrap().as_str(), Some(stored));
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-4 * b + 1e-12;
            assert!(near(number("max_abs_error"), largest), "{name} {stored}");
            assert!(
                near(number("rms_error"), (squares / 65536.0).sqrt()),
                "{name} {stored}"
            );
            assert!(
                near(number("relative_rms_error"), (squares / size).sqrt()),
                "{name} {stored}"
            );
            assert!(
                number("relative_rms_error") < 0.2,
                "{name} {stored}: {row:?}"
            );
            assert_eq!(row_loss(&record, "layers.0.w_q"), 0.0);
        }
    }
}

/// The largest difference that the record states.
fn row_loss(record: &JsonValue, name: &str) -> f64 {
    row(record, name)
        .get("max_abs_error")
        .unwrap()
        .as_f64()
        .unwrap()
}

/// The good model in two files: the options and the first five tensors, then the rest. `keys` are
/// the number of parts and of tensors that both state, and each file's own number.
fn shards(n_parts: u32, n_tensors: u32, numbers: [u32; 2]) -> [Vec<u8>; 2] {
    let tensors = gguf_tensors();
    let (first, second) = tensors.split_at(5);
    let shard = |file: GgufBuilder, number: u32, tensors: &[GgufTensor]| {
        let file = file.u32("split.no", number).u32("split.count", n_parts);
        gguf_of(file.u32("split.tensors.count", n_tensors), tensors)
    };
    [
        shard(gguf_metadata(&[]), numbers[0], first),
        shard(GgufBuilder::new(), numbers[1], second),
    ]
}

#[test]
fn parts_of_a_model_are_joined_or_refused() {
    let of = |files: &[&[u8]]| {
        let names = ["a.gguf", "b.gguf", "c.gguf"];
        let files: Vec<(&str, &[u8])> = names.into_iter().zip(files.iter().copied()).collect();
        let bytes = import(&files, options(TargetFormat::Keep), 1 << 16)?;
        Ok(Package::parse(&bytes).unwrap().head.identities)
    };
    let whole = head(&with_tensors(|_| {})).unwrap().identities;
    let [a, b] = shards(2, 11, [0, 1]);
    assert_eq!(of(&[&a, &b]).unwrap(), whole);
    assert_eq!(of(&[&b, &a]).unwrap(), whole, "in any order");
    let [of_three, _] = shards(3, 11, [0, 1]);
    let [_, again] = shards(2, 11, [0, 0]);
    let [few, ones] = shards(2, 12, [0, 1]);
    let [second, first] = shards(2, 11, [1, 0]);
    let disagree = |field: &'static str| (Kind::ShardsDisagree, field);
    for (files, (kind, field)) in [
        (&[&a[..]][..], (Kind::ShardMissing, "GGUF")),
        (&[&b], (Kind::ShardMissing, "GGUF")),
        (&[&of_three, &b], disagree("split.count")),
        (&[&a, &again], disagree("split.count")),
        (&[&a, &b, &b], disagree("split.count")),
        (&[&few, &ones], disagree("split.tensors.count")),
        // The second half says that it is the first: it holds no options.
        (
            &[&first, &second],
            (Kind::FieldMissing, "general.architecture"),
        ),
        (
            &[&with_tensors(|_| {}), &with_tensors(|_| {})],
            (Kind::WeightsTwice, ""),
        ),
    ] {
        let error: ImportError = of(files).unwrap_err();
        assert_eq!(
            (error.kind.clone(), error.field.as_str()),
            (kind, field),
            "{error}"
        );
    }
}
