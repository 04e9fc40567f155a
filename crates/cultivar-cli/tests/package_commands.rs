//! `cultivar inspect`, `verify` and failing imports: what a package holds, and every difference.

mod command;

use command::{asked, cultivar, files, folder, folder_with_model, text};
use cultivar_core::json::JsonValue;
use cultivar_testdata::byte_builder::{RawSection, record, record_section, strings_payload};
use cultivar_testdata::small_packages::{small_model, tokenizer_records};

#[test]
fn every_refusal_to_verify_names_the_file() {
    let folder = folder("verify-names");
    for case in cultivar_testdata::hostile::hostile_models() {
        std::fs::write(folder.join("bad.slm"), &case.bytes).unwrap();
        let answer = cultivar(&folder, &["verify", "bad.slm", "--json"]);
        let object = answer.json();
        if answer.exit == 3 {
            let message = text(&object, "message");
            assert!(message.starts_with("bad.slm: "), "{message}");
            assert_eq!(message.matches("bad.slm").count(), 1, "{message}");
        } else {
            assert_eq!(answer.exit, 1, "{}", answer.out);
        }
    }
}

#[test]
fn inspect_and_verify_tell_what_a_package_holds() {
    let folder = folder_with_model("inspect", "q8_0");
    let card = asked(&folder, 0, &["inspect", "tiny.slm"]);
    assert_eq!(text(&card, "schema"), "cultivar.card.v1");
    assert_eq!(
        (text(&card, "kind"), text(&card, "name")),
        ("model", "tiny")
    );
    let tensors = card.get("tensors").unwrap().as_array().unwrap();
    assert_eq!(tensors.len(), 2 + 3 * 9);
    assert!(card.get("sections").unwrap().as_array().unwrap().len() >= 4);
    let identities = card.get("identities").unwrap();
    for name in [
        "content",
        "weights",
        "architecture",
        "tokenizer",
        "tensor_schema",
    ] {
        assert_eq!(text(identities, name).len(), 64, "{name}");
    }
    let shown = cultivar(&folder, &["inspect", "tiny.slm"]);
    assert_eq!(shown.exit, 0);
    assert!(shown.out.contains("tiny") && shown.out.contains(text(identities, "content")));

    let verified = asked(&folder, 0, &["verify", "tiny.slm"]);
    assert_eq!(verified.get("ok"), Some(&JsonValue::Bool(true)));
    let verified = verified.get("identities").unwrap();
    assert_eq!(text(verified, "content"), text(identities, "content"));
    assert_eq!(text(verified, "weights"), text(identities, "weights"));
}

#[test]
fn a_damaged_package_is_answered_with_no_and_every_difference() {
    let folder = folder_with_model("damaged", "f32");
    let good = std::fs::read(folder.join("tiny.slm")).unwrap();
    let card = asked(&folder, 0, &["inspect", "tiny.slm"]);
    let place = |idx: usize| {
        let tensor = &card.get("tensors").unwrap().as_array().unwrap()[idx];
        (
            tensor.get("offset").unwrap().as_u64().unwrap() as usize,
            text(tensor, "name").to_string(),
        )
    };
    let mut bad = good.clone();
    let ((first, first_name), (second, second_name)) = (place(0), place(5));
    bad[first] ^= 1;
    bad[second + 3] ^= 1;
    std::fs::write(folder.join("bad.slm"), &bad).unwrap();
    let answer = asked(&folder, 1, &["verify", "bad.slm"]);
    assert_eq!(answer.get("ok"), Some(&JsonValue::Bool(false)));
    let problems = answer.get("problems").unwrap().as_array().unwrap();
    assert_eq!(problems.len(), 2);
    assert!(problems[0].as_str().unwrap().contains(&first_name));
    assert!(problems[1].as_str().unwrap().contains(&second_name));
    // The head is whole, so it can be shown; the weights cannot be run.
    asked(&folder, 0, &["inspect", "bad.slm"]);
    let error = asked(&folder, 3, &["run", "bad.slm", "--prompt", "x"]);
    assert!(text(&error, "message").contains(&first_name));

    let mut bad = good.clone();
    bad[200] ^= 1;
    std::fs::write(folder.join("head.slm"), &bad).unwrap();
    asked(&folder, 1, &["verify", "head.slm"]);
    asked(&folder, 3, &["inspect", "head.slm"]);
}

#[test]
fn a_failed_import_leaves_nothing_behind() {
    let folder = folder("import-fails");
    std::fs::write(folder.join("readme.md"), "Not a model.").unwrap();
    let import = ["import", "readme.md", "-o", "out.slm"];
    let error = asked(&folder, 3, &import);
    assert!(text(&error, "message").starts_with("readme.md"));
    asked(&folder, 3, &["import", ".", "-o", "out.slm"]);
    asked(&folder, 3, &["import", "missing", "-o", "out.slm"]);
    asked(&folder, 2, &["import", "readme.md", "-o", "readme.md"]);
    asked(&folder, 2, &["import", "readme.md", "-o", "."]);
    let error = asked(
        &folder,
        2,
        &[&import[..], &["--requantize", "f16"]].concat(),
    );
    assert!(text(&error, "message").contains("use q8_0 or nearest"));
    let error = asked(&folder, 2, &[&import[..], &["--format", "q9"]].concat());
    assert!(text(&error, "message").contains("no format q9"));
    assert_eq!(files(&folder), ["readme.md"]);
    // An older file stays as it is.
    std::fs::write(folder.join("out.slm"), "older").unwrap();
    asked(&folder, 3, &import);
    assert_eq!(std::fs::read(folder.join("out.slm")).unwrap(), b"older");
}

#[test]
fn adapters_are_shown_and_verified_but_not_run() {
    let folder = folder("adapter");
    let adapter = cultivar_testdata::hostile_adapters::bound_adapter();
    std::fs::write(folder.join("a.sla"), adapter.build()).unwrap();
    let card = asked(&folder, 0, &["inspect", "a.sla"]);
    assert_eq!(text(&card, "kind"), "adapter");
    assert!(!card.get("targets").unwrap().as_array().unwrap().is_empty());
    assert!(
        cultivar(&folder, &["inspect", "a.sla"])
            .out
            .contains("adapter")
    );
    asked(&folder, 0, &["verify", "a.sla"]);
    let error = asked(&folder, 3, &["run", "a.sla", "--prompt", "x"]);
    assert!(text(&error, "message").contains("model or adapter"));
}

/// What only encoding needs is checked where text is encoded: ids run without it.
#[test]
fn a_tokenizer_that_cannot_encode_is_refused_for_text_alone() {
    let folder = folder("bad-tokenizer");
    let mut records = tokenizer_records();
    let pieces: [&[u8]; 5] = [b"<unk>", b"<s>", b"</s>", b"a", b"a"];
    records[4] = record("pieces", 10, strings_payload(&pieces));
    let mut package = small_model();
    package.sections[1] = RawSection::new(0x20, 1, record_section(&records));
    std::fs::write(folder.join("twice.slm"), package.build()).unwrap();

    let run = |flags: [&str; 2], code| {
        let given = ["run", "twice.slm", flags[0], flags[1], "--max-tokens", "1"];
        asked(&folder, code, &given)
    };
    run(["--prompt-ids", "3"], 0);
    for refused in [
        run(["--prompt", "a"], 3),
        asked(&folder, 3, &["tokenize", "twice.slm", "--text", "a"]),
        asked(&folder, 3, &["chat", "twice.slm", "--message", "a"]),
    ] {
        let message = text(&refused, "message");
        assert!(
            message.starts_with("twice.slm: tokenizer: piece 4"),
            "{message}"
        );
    }
    asked(&folder, 1, &["verify", "twice.slm"]);
}
