//! `cultivar export`: a byte-level and a SentencePiece model to GGUF and to a Hugging Face folder,
//! and back by `import` with the same weights, ids and chat format.

mod command;

use command::{asked, cultivar, files, folder, ids, text};
use cultivar_core::package::Package;
use cultivar_testdata::family;
use cultivar_testdata::small_llama::{CONFIG, counting_weights};
use std::path::{Path, PathBuf};

const TEXT: &str = "Hello wörld, it's 12 o'clock\n  here!";

/// A folder with the made-up model and a byte-level tokenizer as `m.slm`.
fn byte_level(name: &str) -> PathBuf {
    let folder = folder(name);
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tokenizers");
    let hf = folder.join("hf");
    std::fs::create_dir(&hf).unwrap();
    std::fs::copy(fixtures.join("llama-bpe.json"), hf.join("tokenizer.json")).unwrap();
    let beside = r#"{"eos_token":"</s>","chat_template":"<|im_start|><|im_end|>"}"#;
    std::fs::write(hf.join("tokenizer_config.json"), beside).unwrap();
    std::fs::write(hf.join("config.json"), CONFIG).unwrap();
    std::fs::write(hf.join("model.safetensors"), counting_weights()).unwrap();
    let answer = asked(&folder, 0, &["import", "hf", "-o", "m.slm"]);
    assert_eq!(text(&answer, "chat_format"), "chatml");
    // What running it takes is told with it, in numbers and in words.
    let memory = answer.get("plan").and_then(|plan| plan.get("memory"));
    let total = memory.and_then(|memory| memory.get("total_bytes"));
    assert!(total.and_then(|n| n.as_u64()).is_some_and(|n| n > 1000));
    let words = cultivar(&folder, &["import", "hf", "-o", "m.slm"]).out;
    assert!(words.contains("running it takes"), "{words}");
    folder
}

/// A folder with the demo family's base as `m.slm`.
fn sentencepiece(name: &str) -> PathBuf {
    let folder = folder(name);
    std::fs::write(folder.join("m.slm"), family::file("sprout.slm")).unwrap();
    folder
}

/// Names and digests of all tensors of a package.
fn weights_of(folder: &Path, package: &str) -> Vec<(String, String)> {
    let bytes = std::fs::read(folder.join(package)).unwrap();
    let head = Package::parse(&bytes).unwrap().head;
    let entries = head.directory.entries().iter();
    entries
        .map(|entry| (entry.name.clone(), entry.digest.to_string()))
        .collect()
}

/// Exports to both, tokenizes with what was written, and imports it again.
fn check(folder: &Path, tokenizer: &str) {
    let encoded = |file: &str| {
        let answer = asked(folder, 0, &["tokenize", file, "--text", TEXT]);
        ids(&answer, "ids")
    };
    let expected = encoded("m.slm");
    asked(folder, 0, &["export", "m.slm", "--gguf", "out.gguf"]);
    asked(folder, 0, &["export", "m.slm", "--safetensors", "out"]);
    let mut wanted = [
        "config.json",
        "model.safetensors",
        tokenizer,
        "tokenizer_config.json",
    ];
    wanted.sort_unstable();
    assert_eq!(files(&folder.join("out")), wanted);
    assert_eq!(encoded("out.gguf"), expected);
    for (from, to) in [("out.gguf", "gguf.slm"), ("out", "hf.slm")] {
        asked(folder, 0, &["import", from, "-o", to]);
        assert_eq!(encoded(to), expected, "{to}");
        asked(folder, 0, &["verify", to]);
    }
    let weights = weights_of(folder, "m.slm");
    assert!(weights.len() > 5);
    assert_eq!(weights_of(folder, "gguf.slm"), weights);
    assert_eq!(weights_of(folder, "hf.slm"), weights);
}

#[test]
fn a_byte_level_model_goes_out_and_comes_back() {
    let folder = byte_level("export-byte-level");
    check(&folder, "tokenizer.json");
    for from in ["out.gguf", "out"] {
        let answer = asked(&folder, 0, &["import", from, "-o", "again.slm"]);
        assert_eq!(text(&answer, "chat_format"), "chatml");
    }
}

#[test]
fn a_sentencepiece_model_goes_out_and_comes_back() {
    check(&sentencepiece("export-sentencepiece"), "tokenizer.model");
}

#[test]
fn wrong_usage_and_what_cannot_be_exported_leave_nothing() {
    let folder = byte_level("export-refused");
    for arguments in [
        &["export", "m.slm"][..],
        &["export", "m.slm", "--gguf", "a.gguf", "--safetensors", "b"],
        &["export", "--gguf", "a.gguf"],
    ] {
        assert_eq!(cultivar(&folder, arguments).exit, 2, "{arguments:?}");
    }
    // The pre-tokenizer's words without the rule that pieces are taken whole have no GGUF name
    // once a normalizer stands before them.
    let json = std::fs::read_to_string(folder.join("hf/tokenizer.json")).unwrap();
    let with_nfc = json.replacen(
        "\"normalizer\":null",
        "\"normalizer\":{\"type\":\"NFC\"}",
        1,
    );
    assert_ne!(json, with_nfc);
    std::fs::write(folder.join("hf/tokenizer.json"), with_nfc).unwrap();
    asked(&folder, 0, &["import", "hf", "-o", "nfc.slm"]);
    let answer = cultivar(&folder, &["export", "nfc.slm", "--gguf", "a.gguf"]);
    assert_eq!(answer.exit, 3, "{}", answer.err);
    assert!(answer.err.contains("pre_tokenizer"), "{}", answer.err);
    assert_eq!(files(&folder), ["hf", "m.slm", "nfc.slm"]);
}
