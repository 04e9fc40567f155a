//! `cultivar tokenize`, `detokenize` and `logits`: text and ids, and agreement with a run.

mod command;

use command::{asked, cultivar, files, folder_with_model, ids, text};
use cultivar_core::json::JsonValue;

#[test]
fn logits_agree_between_top_all_and_run() {
    let folder = folder_with_model("logits", "q8_0");
    let prompt: Vec<String> = (0..70).map(|n| (n * 3 % 256).to_string()).collect();
    let prompt = prompt.join(",");
    let base = ["logits", "tiny.slm", "--prompt-ids", prompt.as_str()];
    let pairs = |value: &JsonValue| -> Vec<(u32, f32)> {
        let list = value.get("top").unwrap().as_array().unwrap();
        let pair = |pair: &JsonValue| {
            let pair = pair.as_array().unwrap();
            (pair[0].as_u32().unwrap(), pair[1].as_f64().unwrap() as f32)
        };
        list.iter().map(pair).collect()
    };
    let top = pairs(&asked(&folder, 0, &base));
    assert_eq!(top.len(), 10);
    let two = pairs(&asked(&folder, 0, &[&base[..], &["--top", "2"]].concat()));
    assert_eq!(two, top[..2]);

    let all = asked(
        &folder,
        0,
        &[&base[..], &["--all", "-o", "all.f32"]].concat(),
    );
    assert_eq!(all.get("n_prompt").unwrap().as_u64(), Some(70));
    assert_eq!(all.get("vocab_size").unwrap().as_u64(), Some(258));
    let bytes = std::fs::read(folder.join("all.f32")).unwrap();
    assert_eq!(bytes.len(), 70 * 258 * 4);
    assert_eq!(files(&folder), ["all.f32", "tiny.slm"], "no part is left");
    let floats = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes));
    let last: Vec<f32> = floats.skip(69 * 258).collect();
    for (id, logit) in top {
        assert_eq!(last[id as usize].to_bits(), logit.to_bits());
    }
    let next = asked(
        &folder,
        0,
        &[
            "run",
            "tiny.slm",
            "--prompt-ids",
            &prompt,
            "--max-tokens",
            "1",
        ],
    );
    assert_eq!(ids(&next, "output_ids"), [two[0].0]);

    for flags in [
        &["--all"][..],
        &["-o", "x"],
        &["--all", "-o", "x", "--top", "3"],
    ] {
        asked(&folder, 2, &[&base[..], flags].concat());
    }
    asked(&folder, 2, &["logits", "tiny.slm", "--prompt-ids", "999"]);
    asked(
        &folder,
        2,
        &[&base[..], &["--all", "-o", "no/such/folder"]].concat(),
    );
    assert_eq!(files(&folder), ["all.f32", "tiny.slm"]);
}

#[test]
fn text_and_ids_there_and_back() {
    let folder = folder_with_model("text", "f32");
    let tokenize = |flags: &[&str]| {
        let arguments = [&["tokenize", "tiny.slm"], flags].concat();
        ids(&asked(&folder, 0, &arguments), "ids")
    };
    assert_eq!(tokenize(&["--text", "a</s>"]), [256, 97, 60, 47, 115, 62]);
    assert_eq!(
        tokenize(&["--text", "a</s>", "--special", "--no-bos"]),
        [97, 257]
    );
    assert_eq!(tokenize(&["--text", ""]), [256]);
    std::fs::write(folder.join("t.txt"), "é\n").unwrap();
    assert_eq!(tokenize(&["--file", "t.txt", "--no-bos"]), [195, 169, 10]);
    std::fs::write(folder.join("bad.txt"), b"ab\xff").unwrap();
    let error = asked(&folder, 3, &["tokenize", "tiny.slm", "--file", "bad.txt"]);
    assert!(text(&error, "message").contains("byte 2"));
    asked(&folder, 2, &["tokenize", "tiny.slm"]);
    asked(
        &folder,
        2,
        &["tokenize", "tiny.slm", "--text", "a", "--file", "t.txt"],
    );

    let back = asked(
        &folder,
        0,
        &["detokenize", "tiny.slm", "--ids", "256,195,169, 10,240"],
    );
    assert_eq!(text(&back, "text"), "é\n\u{FFFD}");
    asked(&folder, 2, &["detokenize", "tiny.slm", "--ids", "258"]);
    asked(&folder, 2, &["detokenize", "tiny.slm", "--ids", ""]);
    asked(&folder, 2, &["detokenize", "tiny.slm"]);
    let shown = cultivar(&folder, &["detokenize", "tiny.slm", "--ids", "104,105"]);
    assert_eq!(shown.out, "hi\n");
}
