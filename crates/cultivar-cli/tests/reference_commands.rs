//! The whole way by command: a published model is imported, run and asked for its logits, and
//! answers as the reference does.
//!
//! Needs `CULTIVAR_DATA`; says so and passes without it.

mod command;

use command::{asked, cultivar, data, files, folder, ids, text};
use cultivar_core::json::{self, JsonValue};

#[test]
fn stories260k_by_command() {
    let Some(data) = data() else { return };
    let folder = folder("stories260K");
    let model = data.join("models/stories260K");
    let source = |name: &str| model.join(name).to_string_lossy().into_owned();
    let (checkpoint, tokenizer) = (source("stories260K.bin"), source("tok512.bin"));
    let imported = asked(
        &folder,
        0,
        &["import", &tokenizer, &checkpoint, "-o", "s.slm"],
    );
    assert_eq!(text(&imported, "schema"), "cultivar.import.v1");
    // The folder holds both files, and folders of other things.
    asked(
        &folder,
        0,
        &[
            "import",
            &model.to_string_lossy(),
            "-o",
            "same.slm",
            "--format",
            "f32",
        ],
    );
    let card = |file: &str| asked(&folder, 0, &["inspect", file]);
    let weights = |card: &JsonValue| text(card.get("identities").unwrap(), "weights").to_string();
    assert_eq!(weights(&card("s.slm")), weights(&card("same.slm")));
    asked(&folder, 0, &["verify", "s.slm"]);
    assert_eq!(files(&folder), ["s.slm", "same.slm"]);
    let alone = asked(&folder, 3, &["import", &checkpoint, "-o", "x.slm"]);
    assert!(text(&alone, "message").contains("tok512.bin"));

    let reference = std::fs::read(data.join("reference/stories260K.json")).unwrap();
    let reference = json::parse(&reference).unwrap();
    for prompt in reference.get("prompts").unwrap().as_array().unwrap() {
        check_prompt(&folder, prompt);
    }
}

fn check_prompt(folder: &std::path::Path, prompt: &JsonValue) {
    let prompt_text = text(prompt, "prompt");
    let run = [
        "run",
        "s.slm",
        "--prompt",
        prompt_text,
        "--max-tokens",
        "64",
    ];
    let answer = asked(folder, 0, &run);
    assert_eq!(ids(&answer, "prompt_ids"), ids(prompt, "token_ids"));
    assert_eq!(ids(&answer, "output_ids"), ids(prompt, "greedy_ids"));
    let whole = format!("{prompt_text}{}", text(&answer, "text"));
    assert_eq!(whole, text(prompt, "greedy_text"));
    assert_eq!(
        cultivar(folder, &run).out,
        format!("{}\n", text(&answer, "text"))
    );

    let words: Vec<String> = ids(prompt, "token_ids")
        .iter()
        .map(u32::to_string)
        .collect();
    let words = words.join(",");
    let tokenized = asked(folder, 0, &["tokenize", "s.slm", "--text", prompt_text]);
    assert_eq!(ids(&tokenized, "ids"), ids(prompt, "token_ids"));
    let detokenized = asked(folder, 0, &["detokenize", "s.slm", "--ids", &words]);
    assert_eq!(text(&detokenized, "text"), prompt_text);

    let logits = asked(folder, 0, &["logits", "s.slm", "--prompt-ids", &words]);
    let pairs = |value: &JsonValue, key: &str| -> Vec<(u32, f64)> {
        let list = value.get(key).unwrap().as_array().unwrap();
        let pair = |pair: &JsonValue| {
            let pair = pair.as_array().unwrap();
            (pair[0].as_u32().unwrap(), pair[1].as_f64().unwrap())
        };
        list.iter().map(pair).collect()
    };
    let expected = pairs(prompt, "first_step_top10_logits");
    for (ours, theirs) in pairs(&logits, "top").iter().zip(&expected) {
        assert_eq!(ours.0, theirs.0);
        assert!((ours.1 - theirs.1).abs() < 1e-3, "{ours:?} {theirs:?}");
    }
}
