//! `--constraint`: the same digests as through the modules (`fixtures/golden/constrained.json`),
//! replays, and what is wrong with a constraint.

mod command;

use command::{asked, cultivar, folder, folder_with_model, ids, text};
use cultivar_core::json::{self, JsonValue};
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden");
    golden.join(name)
}

#[test]
fn golden_runs_have_the_digests_of_the_boundary() {
    let folder = folder("constraints");
    let runs = std::fs::read(golden("constrained.json")).unwrap();
    let runs = json::parse(&runs).unwrap();
    let package = golden(text(&runs, "file"));
    for row in runs.get("runs").and_then(JsonValue::as_array).unwrap() {
        let constraint = match (row.get("schema"), row.get("grammar")) {
            (Some(_), _) => ("schema:schema.json", "schema.json", text(row, "schema")),
            (_, Some(_)) => ("grammar:rules.gbnf", "rules.gbnf", text(row, "grammar")),
            _ => ("json", "unused", ""),
        };
        std::fs::write(folder.join(constraint.1), constraint.2).unwrap();
        let seed = row.get("seed").unwrap().as_u64().unwrap().to_string();
        let arguments = [
            "run",
            package.to_str().unwrap(),
            "--prompt",
            text(&runs, "prompt"),
            "--constraint",
            constraint.0,
            "--temperature=1",
            "--max-tokens=60",
            "--seed",
            &seed,
            "--record=run.json",
        ];
        let report = asked(&folder, 0, &arguments);
        assert_eq!(text(&report, "text"), text(row, "text"));
        assert_eq!(text(&report, "stop_reason"), text(row, "stop_reason"));
        assert_eq!(text(&report, "run_digest"), text(row, "run_digest"));
        let model = format!("--model={}", package.to_str().unwrap());
        let replayed = asked(&folder, 0, &["replay", "run.json", &model]);
        assert_eq!(text(&replayed, "run_digest"), text(row, "run_digest"));
    }
}

#[test]
fn a_snapshot_goes_on_with_its_own_constraint_and_log_probabilities() {
    let folder = folder("constraint_resumed");
    let is_word = |report: &JsonValue| {
        let word = text(report, "text").strip_suffix('.').unwrap_or_default();
        (3..=6).contains(&word.len()) && word.bytes().all(|byte| matches!(byte, b'a' | b'b'))
    };
    std::fs::write(folder.join("word.gbnf"), "root ::= [ab]{3,6} \".\"").unwrap();
    let package = golden("golden-q8_0.slm");
    let package = package.to_str().unwrap();
    let first = [
        "run",
        package,
        "--prompt=The cat sat on the mat.",
        "--constraint=grammar:word.gbnf",
        "--temperature=1",
        "--max-tokens=60",
        "--seed=1",
        "--logprobs=2",
        "--snapshot=one.snapshot",
    ];
    let report = asked(&folder, 0, &first);
    assert!(is_word(&report), "{}", text(&report, "text"));
    std::fs::remove_file(folder.join("word.gbnf")).unwrap();
    let next = ["run", package, "--prompt= And?", "--resume=one.snapshot"];
    let record = [&next[..], &["--record=two.json"]].concat();
    let report = asked(&folder, 0, &record);
    assert_eq!(text(&report, "stop_reason"), "grammar_end");
    assert!(is_word(&report), "{}", text(&report, "text"));
    let tokens = report.get("logprobs").and_then(JsonValue::as_array);
    let tokens = tokens.unwrap();
    assert_eq!(tokens.len(), ids(&report, "output_ids").len());
    let top = tokens[0].get("top").and_then(JsonValue::as_array);
    assert_eq!(top.unwrap().len(), 2);
    let model = format!("--model={package}");
    let replayed = asked(&folder, 0, &["replay", "two.json", &model]);
    assert_eq!(text(&replayed, "run_digest"), text(&report, "run_digest"));

    // What a snapshot says is refused by name before any file is looked for.
    for flag in [
        "--constraint=json",
        "--constraint=schema:missing.json",
        "--logprobs=1",
        "--kv=q8",
        "--prompt-lookup=4",
        "--ignore-stop",
    ] {
        let given = ["run", "no.slm", "--prompt=A", "--resume=no.snapshot", flag];
        let refused = cultivar(&folder, &given);
        assert_eq!((refused.exit, &*refused.out), (2, ""), "{flag}");
        let name = flag.split('=').next().unwrap();
        let says = format!("{name} is what the snapshot says");
        assert!(refused.err.contains(&says), "{flag}: {}", refused.err);
        assert!(refused.err.contains("leave out --resume"), "{flag}");
    }
    // A damaged one is that, whatever its constraint seems to be.
    let mut bytes = std::fs::read(folder.join("one.snapshot")).unwrap();
    let at = bytes.windows(6).position(|part| part == b"\"gbnf\"");
    bytes[at.unwrap() + 1] = b'x';
    std::fs::write(folder.join("one.snapshot"), bytes).unwrap();
    let refused = cultivar(&folder, &next);
    assert_eq!(refused.exit, 3, "{}", refused.err);
    assert!(refused.err.contains("one.snapshot: "), "{}", refused.err);
}

#[test]
fn what_is_wrong_with_a_constraint_says_whose_fault_it_is() {
    let folder = folder_with_model("wrong_constraints", "f32");
    for (name, text) in [
        ("cut.json", "{\"type\":"),
        ("list.json", "[1]"),
        ("not.json", "{\"not\":{}}"),
        ("rules.gbnf", "root ::= other"),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let cases = [
        ("xml", 2, "json, schema:FILE or grammar:FILE"),
        ("schema", 2, "json, schema:FILE or grammar:FILE"),
        ("json:cut.json", 2, "json, schema:FILE or grammar:FILE"),
        ("schema:missing.json", 3, "missing.json: cannot read"),
        ("schema:cut.json", 3, "cut.json: "),
        ("schema:list.json", 3, "list.json: a constraint must be"),
        ("schema:not.json", 3, "not.json: the schema uses a keyword"),
        (
            "grammar:rules.gbnf",
            3,
            "rules.gbnf: the grammar uses a rule",
        ),
    ];
    for (constraint, exit, message) in cases {
        let given = [
            "run",
            "tiny.slm",
            "--prompt-ids",
            "1",
            "--constraint",
            constraint,
        ];
        let answer = cultivar(&folder, &given);
        assert_eq!(
            (answer.exit, answer.out.as_str()),
            (exit, ""),
            "{constraint}"
        );
        assert!(answer.err.contains(message), "{constraint}: {}", answer.err);
    }
    let given = [
        "run",
        "tiny.slm",
        "--prompt-ids",
        "1",
        "--constraint",
        "schema:not.json",
    ];
    let refused = asked(&folder, 3, &given);
    assert_eq!(refused.get("code").unwrap().as_u32(), Some(637));
}
