//! Foreign model files that contradict themselves: exit code 3, file, field and reason in the
//! message, and nothing left behind.

mod command;

use command::{asked, cultivar, files, folder, text};
use cultivar_testdata::small_llama::{
    CONFIG, GgufTensor, TENSORS, gguf_metadata, gguf_of, gguf_tensors, weights,
};
use std::path::Path;

/// Imports what is in the folder's `in` and expects a refusal that says all of this.
fn assert_refused(folder: &Path, says: &[&str]) {
    let before = files(folder);
    let answer = cultivar(folder, &["import", "in", "-o", "out.slm", "--json"]);
    assert_eq!(answer.exit, 3, "{says:?}: {} {}", answer.out, answer.err);
    let object = answer.json();
    let message = text(&object, "message");
    for part in says {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(files(folder), before, "{message}");
}

/// Names and bytes of files.
type Content<'a> = Vec<(&'a str, &'a [u8])>;

/// An empty folder `in` with these files.
fn give(folder: &Path, content: &[(&str, &[u8])]) {
    let inside = folder.join("in");
    // Not there the first time.
    let _ = std::fs::remove_dir_all(&inside);
    std::fs::create_dir(&inside).unwrap();
    for (name, bytes) in content {
        std::fs::write(inside.join(name), bytes).unwrap();
    }
}

fn gguf(change: impl FnOnce(&mut Vec<GgufTensor>)) -> Vec<u8> {
    let mut tensors = gguf_tensors();
    change(&mut tensors);
    gguf_of(gguf_metadata(&[]), &tensors)
}

#[test]
fn gguf_models_that_are_wrong_are_exit_code_3() {
    let folder = folder("hostile-gguf");
    let good = gguf(|_| {});
    let cases: Vec<(Vec<u8>, &[&str])> = vec![
        (gguf(Vec::clear), &["m.gguf", "vocabulary"]),
        (
            gguf(|t| drop(t.remove(2))),
            &["m.gguf", "blk.0.attn_q.weight"],
        ),
        (
            gguf(|t| t.push(("extra", &[1], 0, vec![0; 4]))),
            &["m.gguf", "extra"],
        ),
        (
            gguf(|t| t[5].3[34..36].copy_from_slice(&[0, 0x7C])),
            &["m.gguf", "layers.0.w_o", "scale"],
        ),
        (
            gguf(|t| t[1].3[..4].copy_from_slice(&f32::NAN.to_le_bytes())),
            &["m.gguf", "layers.0.attention_norm", "weight 0"],
        ),
        (good[..good.len() - 1].to_vec(), &["m.gguf"]),
        (good[..100].to_vec(), &["m.gguf", "more than"]),
    ];
    for (file, says) in &cases {
        give(&folder, &[("m.gguf", file)]);
        assert_refused(&folder, says);
    }
    give(&folder, &[("m.gguf", &good)]);
    asked(&folder, 0, &["import", "in", "-o", "out.slm"]);
    asked(&folder, 0, &["verify", "out.slm"]);
}

#[test]
fn folders_that_disagree_are_exit_code_3() {
    let folder = folder("hostile-folder");
    let weights = |tensors: &[(&str, &[u64])]| weights(tensors, "F16", &[0, 0x38]);
    let whole = weights(TENSORS);
    let (first, second) = (weights(&TENSORS[..5]), weights(&TENSORS[5..]));
    let entry = |name: &str, file: &str| format!("\"{name}\":\"{file}\"");
    let entries: Vec<String> = TENSORS
        .iter()
        .enumerate()
        .map(|(i, (name, _))| {
            entry(
                name,
                if i < 5 {
                    "a.safetensors"
                } else {
                    "b.safetensors"
                },
            )
        })
        .collect();
    let index = format!("{{\"weight_map\":{{{}}}}}", entries.join(","));
    let config = CONFIG.as_bytes();
    let wide = CONFIG.replacen("\"hidden_size\":32", "\"hidden_size\":64", 1);
    let tokenizer = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tokenizer = tokenizer.join("../../fixtures/tokenizers/gpt-2.json");
    let tokenizer = std::fs::read(tokenizer).unwrap();
    let tokenizer = ("tokenizer.json", &tokenizer[..]);
    let index = ("model.safetensors.index.json", index.as_bytes());
    let cases: [(Content<'_>, &[&str]); 4] = [
        (
            vec![
                ("config.json", wide.as_bytes()),
                ("model.safetensors", &whole),
                tokenizer,
            ],
            &["model.safetensors", "model.embed_tokens.weight"],
        ),
        (
            vec![
                ("config.json", config),
                index,
                ("a.safetensors", &first),
                tokenizer,
            ],
            &["b.safetensors"],
        ),
        (
            vec![
                ("config.json", config),
                index,
                ("a.safetensors", &second),
                ("b.safetensors", &first),
                tokenizer,
            ],
            &["model.safetensors.index.json", "safetensors"],
        ),
        (
            vec![("config.json", config), ("model.safetensors", &whole)],
            &["tokenizer.json"],
        ),
    ];
    for (content, says) in &cases {
        give(&folder, content);
        assert_refused(&folder, says);
    }
}
