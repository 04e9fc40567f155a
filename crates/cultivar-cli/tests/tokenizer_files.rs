//! `tokenize` and `detokenize` on tokenizers that are no package: every kind of file, and what is
//! said of files that are none.

mod command;

use command::{asked, cultivar, data, folder, ids, text};
use std::path::Path;

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tokenizers")
}

#[test]
fn tokenizer_json_is_taken_as_it_is() {
    let folder = folder("tokenizer-json");
    std::fs::copy(fixtures().join("gpt-2.json"), folder.join("any name.json")).unwrap();
    std::fs::copy(fixtures().join("gpt-2.json"), folder.join("tokenizer.json")).unwrap();
    let given = "Hello wörld, it's 12!";
    for file in ["any name.json", "."] {
        let answer = asked(&folder, 0, &["tokenize", file, "--text", given]);
        let found = ids(&answer, "ids");
        let list: Vec<String> = found.iter().map(u32::to_string).collect();
        let back = asked(&folder, 0, &["detokenize", file, "--ids", &list.join(",")]);
        assert_eq!(text(&back, "text"), given);
    }
}

#[test]
fn the_older_pair_of_files_and_what_stands_beside() {
    let folder = folder("vocab-merges");
    let write = |name: &str, content: &str| std::fs::write(folder.join(name), content).unwrap();
    write("vocab.json", r#"{"a":0,"b":1,"ab":2,"<|endoftext|>":3}"#);
    let answer = cultivar(&folder, &["tokenize", "vocab.json", "--text", "ab"]);
    assert_eq!(answer.exit, 3);
    assert!(answer.err.contains("merges.txt"), "{}", answer.err);
    write("merges.txt", "#version: 0.2\na b\n");
    let plain = asked(&folder, 0, &["tokenize", "vocab.json", "--text", "aba"]);
    assert_eq!(ids(&plain, "ids"), [2, 0]);
    write(
        "tokenizer_config.json",
        r#"{"bos_token":"<|endoftext|>","add_bos_token":true}"#,
    );
    let begun = asked(&folder, 0, &["tokenize", ".", "--text", "aba"]);
    assert_eq!(ids(&begun, "ids"), [3, 2, 0]);
}

#[test]
fn what_is_no_tokenizer_is_named() {
    let folder = folder("no-tokenizer");
    let write = |name: &str, content: &[u8]| std::fs::write(folder.join(name), content).unwrap();
    write("empty.json", b"");
    write("broken.json", b"{");
    write("other.json", b"{\"a\":1}");
    write("words.json", br#"{"model":{"type":"WordPiece"}}"#);
    write("cut.gguf", b"GGUF\x03\0\0\0");
    write("cut.model", b"\x0a\x20abc");
    write("noise.bin", &[7; 100]);
    std::fs::create_dir(folder.join("nothing")).unwrap();
    for (file, says) in [
        ("empty.json", ""),
        ("broken.json", ""),
        ("other.json", "merges.txt"),
        ("words.json", "WordPiece"),
        ("cut.gguf", "cut off"),
        ("cut.model", "cut off"),
        ("noise.bin", ""),
        ("nothing", "tokenizer.json"),
        ("absent.json", "cannot read"),
    ] {
        let answer = cultivar(&folder, &["tokenize", file, "--text", "a", "--json"]);
        assert_eq!(answer.exit, 3, "{file}: {}", answer.err);
        let object = answer.json();
        let message = text(&object, "message");
        assert!(message.starts_with(&format!("{file}: ")), "{message}");
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn every_route_to_the_published_vocabulary_agrees() {
    let Some(data) = data() else { return };
    let folder = folder("tokenizer-routes");
    let model = data.join("models/stories260K");
    let given = ["--text", "Once upon a time, Zoë"];
    let answers: Vec<Vec<u32>> = [
        "gguf/stories260K-q8_0.gguf",
        "hf/tokenizer.json",
        "hf/tokenizer.model",
        "hf",
    ]
    .iter()
    .map(|file| {
        let path = model.join(file);
        let path = path.to_str().unwrap();
        ids(
            &asked(&folder, 0, &[&["tokenize", path][..], &given].concat()),
            "ids",
        )
    })
    .collect();
    assert!(
        answers
            .iter()
            .all(|ids| *ids == answers[0] && ids.len() > 5)
    );
    let vocabulary = data.join("tokenizers/ggml-vocab-gpt-2.gguf");
    let path = vocabulary.to_str().unwrap();
    let answer = asked(&folder, 0, &["tokenize", path, "--text", "Hello World"]);
    assert_eq!(ids(&answer, "ids"), [15496, 2159]);
}
