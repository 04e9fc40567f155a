//! Adapters on the command line: applied in order with weights, inspected, validated, merged,
//! baked, extracted and imported; refused by name with nothing left behind.

mod command;

use command::{asked, cultivar, files, folder_with_model, ids, text};
use cultivar_core::json::JsonValue;
use cultivar_testdata::adapters::{DeltaSpec, adapter_for};
use cultivar_testdata::models::ModelSpec;
use std::path::{Path, PathBuf};

const IDS: &str = "256,84,104,101,32,99";

/// A folder with the tiny model and two adapters, `a.sla` and `b.sla`.
fn prepared(name: &str) -> PathBuf {
    let folder = folder_with_model(name, "f32");
    let model = ModelSpec::tiny("f32").build();
    for (name, seed) in [("a.sla", 1), ("b.sla", 2)] {
        let adapter = adapter_for(&model, seed, DeltaSpec::LowRank(4, "f32"), |_| true);
        std::fs::write(folder.join(name), adapter).unwrap();
    }
    folder
}

fn top(folder: &Path, model: &str, adapters: &[&str]) -> JsonValue {
    let mut arguments = vec!["logits", model, "--prompt-ids", IDS, "--top", "258"];
    for adapter in adapters {
        arguments.extend(["--adapter", adapter]);
    }
    asked(folder, 0, &arguments).get("top").unwrap().clone()
}

/// The largest difference between two lists of `[id, logit]`.
fn difference(a: &JsonValue, b: &JsonValue) -> f64 {
    let logits = |value: &JsonValue| {
        let mut logits = vec![0.0; 258];
        for pair in value.as_array().unwrap() {
            let pair = pair.as_array().unwrap();
            logits[pair[0].as_u32().unwrap() as usize] = pair[1].as_f64().unwrap();
        }
        logits
    };
    let (a, b) = (logits(a), logits(b));
    a.iter()
        .zip(&b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max)
}

#[test]
fn adapters_are_applied_in_order_with_their_weights() {
    let folder = prepared("adapters-applied");
    let base = top(&folder, "tiny.slm", &[]);
    assert_eq!(top(&folder, "tiny.slm", &["a.sla=0", "b.sla=0"]), base);
    let a = top(&folder, "tiny.slm", &["a.sla"]);
    assert!(difference(&base, &a) > 0.01);
    assert_eq!(top(&folder, "tiny.slm", &["a.sla=1"]), a);
    assert_ne!(top(&folder, "tiny.slm", &["a.sla=-0.5"]), a);
    let both = top(&folder, "tiny.slm", &["a.sla=0.5", "b.sla=2"]);
    let twice = top(
        &folder,
        "tiny.slm",
        &["a.sla=0.25", "a.sla=0.25", "b.sla=2"],
    );
    assert!(difference(&both, &twice) < 1e-4);

    // Saved as one adapter, and as a model.
    let merge = [
        "adapter",
        "merge",
        "a.sla=0.5",
        "b.sla=2",
        "--base",
        "tiny.slm",
    ];
    let merged = asked(&folder, 0, &[&merge[..], &["-o", "mix.sla"]].concat());
    assert_eq!(merged.get("relative_error").unwrap().as_f64(), Some(0.0));
    assert_eq!(top(&folder, "tiny.slm", &["mix.sla"]), both);
    let bake = [
        "bake",
        "tiny.slm",
        "--adapter",
        "a.sla=0.5",
        "--adapter",
        "b.sla=2",
    ];
    let baked = asked(&folder, 0, &[&bake[..], &["-o", "mix.slm"]].concat());
    assert_eq!(text(&baked, "schema"), "cultivar.bake.v1");
    assert!(difference(&top(&folder, "mix.slm", &[]), &both) < 1e-4);
    asked(&folder, 0, &["verify", "mix.slm"]);
    asked(&folder, 0, &["verify", "mix.sla"]);

    // And taken out again.
    let extract = [
        "adapter", "extract", "mix.slm", "--base", "tiny.slm", "--rank", "8",
    ];
    let extracted = asked(&folder, 0, &[&extract[..], &["-o", "back.sla"]].concat());
    assert!(extracted.get("relative_error").unwrap().as_f64().unwrap() < 1e-4);
    assert!(difference(&top(&folder, "tiny.slm", &["back.sla"]), &both) < 1e-3);
    let svd = [
        "adapter", "merge", "mix.sla", "--base", "tiny.slm", "--method", "svd",
    ];
    let svd = asked(
        &folder,
        0,
        &[&svd[..], &["--rank", "3", "-o", "thin.sla"]].concat(),
    );
    let error = svd.get("relative_error").unwrap().as_f64().unwrap();
    assert!((0.01..1.0).contains(&error), "{error}");
}

#[test]
fn an_adapter_is_inspected_and_validated() {
    let folder = prepared("adapters-validated");
    let card = asked(&folder, 0, &["adapter", "inspect", "a.sla"]);
    assert_eq!(text(&card, "schema"), "cultivar.adapter.v1");
    let deltas = card.get("deltas").unwrap().as_array().unwrap();
    assert_eq!(text(&deltas[0], "kind"), "low_rank");
    assert_eq!(deltas[0].get("rank").unwrap().as_u64(), Some(4));
    assert!(
        cultivar(&folder, &["adapter", "inspect", "a.sla"])
            .out
            .contains("layers.0.w_q")
    );

    let validate = |base: &str, exit: i32| {
        asked(
            &folder,
            exit,
            &["adapter", "validate", "a.sla", "--base", base],
        )
    };
    let report = validate("tiny.slm", 0);
    assert_eq!(text(&report, "verdict"), "matches");
    let fields = report.get("fields").unwrap().as_array().unwrap();
    let names: Vec<&str> = fields.iter().map(|field| text(field, "field")).collect();
    let expected = [
        "architecture",
        "tokenizer",
        "tensor_schema",
        "weights",
        "values",
        "targets",
        "fused",
    ];
    assert_eq!(names, expected);
    assert!(
        fields
            .iter()
            .all(|field| text(field, "status") == "matches")
    );

    // Base plus delta at the weight that it would have, alone and on top of others.
    std::fs::write(folder.join("eight.slm"), ModelSpec::tiny("q8_0").build()).unwrap();
    for (weighted, below, verdict, exit) in [
        ("a.sla=2", None, "warning", 0),
        ("a.sla=1e30", None, "refused", 1),
        ("a.sla=0", Some("a.sla=-1e30"), "refused", 1),
        ("a.sla", Some("b.sla=-0.5"), "warning", 0),
    ] {
        let mut validate = vec!["adapter", "validate", weighted, "--base", "eight.slm"];
        validate.extend(
            below
                .map(|below| ["--adapter", below])
                .into_iter()
                .flatten(),
        );
        let report = asked(&folder, exit, &validate);
        assert_eq!(text(&report, "verdict"), verdict, "{validate:?}");
        let fused = &report.get("fields").unwrap().as_array().unwrap()[6];
        assert_eq!(exit == 1, text(fused, "status") == "refused");
    }

    // Another form is refused with advice, other weights are a warning.
    std::fs::write(folder.join("other.slm"), ModelSpec::untied("f32").build()).unwrap();
    let report = validate("other.slm", 1);
    assert_eq!(text(&report, "verdict"), "refused");
    let fields = report.get("fields").unwrap().as_array().unwrap();
    assert_eq!(text(&fields[0], "status"), "refused");
    assert!(text(&fields[0], "advice").contains("distil"));
    assert_eq!(text(&fields[6], "status"), "not_checked");
    let mut spec = ModelSpec::tiny("q8_0");
    spec.seed = 99;
    std::fs::write(folder.join("retrained.slm"), spec.build()).unwrap();
    let report = validate("retrained.slm", 0);
    assert_eq!(text(&report, "verdict"), "warning");
    let logits = [
        "logits",
        "retrained.slm",
        "--prompt-ids",
        IDS,
        "--adapter",
        "a.sla",
    ];
    let answer = cultivar(&folder, &logits);
    assert_eq!(answer.exit, 0);
    assert!(answer.err.contains("other weights"), "{}", answer.err);
}

#[test]
fn an_adapter_bound_exactly_is_refused_on_other_weights() {
    let folder = prepared("adapters-exact");
    let make = |words: &[&str]| asked(&folder, 0, words);
    let bake = ["bake", "tiny.slm", "--adapter", "b.sla", "-o", "other.slm"];
    make(&bake);
    let merge = ["adapter", "merge", "a.sla", "--base", "tiny.slm", "-o"];
    make(&[&merge[..], &["free.sla"]].concat());
    make(&[&merge[..], &["bound.sla", "--exact-base"]].concat());
    let extract = ["adapter", "extract", "other.slm", "--base", "tiny.slm"];
    let extract = [&extract[..], &["--rank", "4", "-o", "taken.sla"]].concat();
    make(&[&extract[..], &["--exact-base"]].concat());
    let is_exact = |file: &str| {
        let card = asked(&folder, 0, &["adapter", "inspect", file]);
        let binding = card.get("binding").unwrap();
        binding.get("exact_base").unwrap().as_bool().unwrap()
    };
    let made = ["free.sla", "bound.sla", "taken.sla"];
    assert_eq!(made.map(is_exact), [false, true, true]);

    // Fine on its own weights; on others the report says why and what to do, and nothing runs.
    assert_eq!(
        top(&folder, "tiny.slm", &["bound.sla"]),
        top(&folder, "tiny.slm", &["a.sla"])
    );
    top(&folder, "other.slm", &["free.sla"]);
    let validate = ["adapter", "validate", "bound.sla", "--base", "other.slm"];
    let report = asked(&folder, 1, &validate);
    let weights = &report.get("fields").unwrap().as_array().unwrap()[3];
    assert_eq!(text(weights, "status"), "refused");
    assert!(text(weights, "advice").contains("exactly"));
    assert!(cultivar(&folder, &validate).out.contains("exactly"));
    let before = files(&folder);
    let logits = ["logits", "other.slm", "--prompt-ids", IDS, "--adapter"];
    let bake = ["bake", "other.slm", "-o", "x.slm", "--adapter"];
    for command in [&logits[..], &bake] {
        let error = asked(&folder, 3, &[command, &["bound.sla"]].concat());
        assert_eq!(error.get("code").unwrap().as_u64(), Some(464));
    }
    assert_eq!(files(&folder), before);
}

#[test]
fn a_baked_model_gives_its_base_back_bit_for_bit() {
    let folder = prepared("adapters-unbaked");
    let bake = ["bake", "tiny.slm", "--adapter", "a.sla", "--format", "f16"];
    asked(&folder, 0, &[&bake[..], &["-o", "baked.slm"]].concat());
    let unbake = |base: &str, exit: i32, out: &[&str]| {
        let unbake = ["unbake", "baked.slm", "--base", base];
        asked(&folder, exit, &[&unbake[..], out].concat())
    };
    let is = |report: &JsonValue, key: &str| report.get(key).unwrap().as_bool().unwrap();
    let found = unbake("tiny.slm", 0, &[]);
    assert!(is(&found, "is_base") && is(&found, "is_whole"));
    unbake("tiny.slm", 0, &["-o", "back.slm"]);
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert_eq!(read("back.slm"), read("tiny.slm"));

    // Another base, a damaged one, and a model that was not baked: nothing is written.
    let mut spec = ModelSpec::tiny("q8_0");
    spec.seed = 99;
    std::fs::write(folder.join("other.slm"), spec.build()).unwrap();
    let found = unbake("other.slm", 1, &["-o", "none.slm"]);
    assert!(!is(&found, "is_base"));
    assert_ne!(text(&found, "base_weights"), text(&found, "found_weights"));
    let mut damaged = read("tiny.slm");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(folder.join("damaged.slm"), damaged).unwrap();
    let found = unbake("damaged.slm", 1, &["-o", "none.slm"]);
    assert!(is(&found, "is_base") && !is(&found, "is_whole"));
    let unbaked = ["unbake", "tiny.slm", "--base", "tiny.slm", "-o", "none.slm"];
    assert_eq!(cultivar(&folder, &unbaked).exit, 3);
    let same = [
        "unbake",
        "baked.slm",
        "--base",
        "tiny.slm",
        "-o",
        "tiny.slm",
    ];
    assert_eq!(cultivar(&folder, &same).exit, 2);
    assert!(!folder.join("none.slm").exists());
}

#[test]
fn what_cannot_be_used_is_refused_and_leaves_nothing() {
    let folder = prepared("adapters-refused");
    std::fs::write(folder.join("other.slm"), ModelSpec::untied("f32").build()).unwrap();
    let mut cut = std::fs::read(folder.join("a.sla")).unwrap();
    cut.truncate(cut.len() - 1);
    std::fs::write(folder.join("cut.sla"), cut).unwrap();
    let before = files(&folder);
    let logits = ["logits", "tiny.slm", "--prompt-ids", IDS, "--adapter"];
    let refused = |exit: i32, arguments: &[&str], code: u64| {
        let error = asked(&folder, exit, arguments);
        assert_eq!(
            error.get("code").unwrap().as_u64(),
            Some(code),
            "{arguments:?} {error:?}"
        );
        assert_eq!(files(&folder), before, "{arguments:?}");
    };
    refused(2, &[&logits[..], &["a.sla=nan"]].concat(), 0);
    refused(2, &[&logits[..], &["a.sla=3e38"]].concat(), 475);
    refused(3, &[&logits[..], &["missing.sla"]].concat(), 0);
    let answer = cultivar(&folder, &[&logits[..], &["cut.sla"]].concat());
    assert_eq!(answer.exit, 3);
    assert!(answer.err.contains("cut.sla"), "{}", answer.err);
    let other = [
        "logits",
        "other.slm",
        "--prompt-ids",
        IDS,
        "--adapter",
        "a.sla",
    ];
    refused(3, &other, 461);
    let merge = ["adapter", "merge", "--base", "tiny.slm", "-o", "x.sla"];
    let with = |more: &[&'static str]| [&merge[..], more].concat();
    refused(2, &with(&[]), 0);
    refused(2, &with(&["a.sla=0"]), 701);
    refused(2, &with(&["a.sla", "--method", "blend"]), 702);
    refused(2, &with(&["a.sla", "--method", "svd", "--rank", "0"]), 703);
    refused(2, &with(&["a.sla", "--method", "svd"]), 0);
    refused(2, &with(&["a.sla", "--method", "slerp"]), 0);
    refused(
        2,
        &[
            "adapter", "merge", "a.sla", "--base", "tiny.slm", "-o", "a.sla",
        ],
        0,
    );
    refused(2, &["adapter", "mrege", "a.sla"], 0);
    refused(2, &["adapter", "validate", "a.sla"], 0);
    refused(2, &["bake", "tiny.slm", "-o", "x.slm"], 0);
    refused(
        2,
        &[
            "bake",
            "tiny.slm",
            "--adapter",
            "a.sla",
            "--format",
            "q9",
            "-o",
            "x.slm",
        ],
        0,
    );
    let extract = [
        "adapter",
        "extract",
        "other.slm",
        "--base",
        "tiny.slm",
        "-o",
        "x.sla",
    ];
    refused(2, &extract, 0);
    refused(3, &[&extract[..], &["--rank", "2"]].concat(), 706);
    let same = [
        "adapter", "extract", "tiny.slm", "--base", "tiny.slm", "-o", "x.sla",
    ];
    refused(3, &[&same[..], &["--rank", "2"]].concat(), 707);
    refused(
        3,
        &["import", "tiny.slm", "--base", "tiny.slm", "-o", "x.sla"],
        588,
    );
}

#[test]
fn a_run_with_adapters_names_them_and_is_replayed() {
    let folder = prepared("adapters-run");
    let run = |more: &[&str]| {
        let run = [
            "run",
            "tiny.slm",
            "--prompt-ids",
            IDS,
            "--max-tokens",
            "12",
            "--ignore-stop",
        ];
        asked(&folder, 0, &[&run[..], more].concat())
    };
    let diagnostics = |report: &JsonValue| report.get("diagnostics").unwrap().clone();
    let base = run(&[]);
    let silent = run(&["--adapter", "a.sla=0"]);
    assert_eq!(ids(&base, "output_ids"), ids(&silent, "output_ids"));
    assert_ne!(text(&base, "run_digest"), text(&silent, "run_digest"));
    let mix = ["--adapter", "a.sla=2", "--adapter", "b.sla=-1.5"];
    let mixed = run(&[&mix[..], &["--record", "run.json"]].concat());
    assert_ne!(ids(&base, "output_ids"), ids(&mixed, "output_ids"));
    assert_eq!(
        diagnostics(&mixed).get("n_adapters").unwrap().as_u64(),
        Some(2)
    );
    let logits = ["logits", "tiny.slm", "--prompt-ids", IDS];
    let logits = asked(&folder, 0, &[&logits[..], &mix].concat());
    assert_eq!(
        text(&logits, "assembly"),
        text(&diagnostics(&mixed), "assembly")
    );

    // The saved mix is another assembly with the same tokens.
    let merge = [
        "adapter",
        "merge",
        "a.sla=2",
        "b.sla=-1.5",
        "--base",
        "tiny.slm",
    ];
    asked(&folder, 0, &[&merge[..], &["-o", "mix.sla"]].concat());
    let saved = run(&["--adapter", "mix.sla"]);
    assert_eq!(ids(&saved, "output_ids"), ids(&mixed, "output_ids"));

    let replay = ["replay", "run.json", "--model", "tiny.slm"];
    asked(&folder, 0, &[&replay[..], &mix].concat());
    let without = cultivar(&folder, &replay);
    assert_ne!(without.exit, 0);
}

#[test]
fn licences_are_given_kept_and_shown() {
    let folder = prepared("adapters-licences");
    let license = |card: &JsonValue| text(card, "license").to_string();
    let inspect = |file: &str| asked(&folder, 0, &["adapter", "inspect", file]);
    let make = |words: &[&str]| asked(&folder, 0, words);
    let merge = ["adapter", "merge", "a.sla", "--base", "tiny.slm", "-o"];
    make(&[&merge[..], &["mit.sla", "--license", "MIT"]].concat());
    assert_eq!(license(&inspect("mit.sla")), "MIT");
    let both = ["adapter", "merge", "mit.sla", "b.sla", "--base", "tiny.slm"];
    make(&[&both[..], &["-o", "both.sla"]].concat());
    assert_eq!(license(&inspect("both.sla")), "MIT AND NOASSERTION");
    let shown = cultivar(&folder, &["inspect", "both.sla"]).out;
    assert!(shown.contains("MIT AND NOASSERTION"), "{shown}");
    let shown = cultivar(&folder, &["adapter", "inspect", "both.sla"]).out;
    assert!(shown.contains("MIT AND NOASSERTION"), "{shown}");

    let bake = ["bake", "tiny.slm", "--adapter", "mit.sla", "-o"];
    make(&[&bake[..], &["baked.slm"]].concat());
    let baked = asked(&folder, 0, &["inspect", "baked.slm"]);
    assert_eq!(license(&baked), "CC0-1.0 AND MIT");
    make(&[&bake[..], &["own.slm", "--license", "CC-BY-4.0"]].concat());
    assert_eq!(
        license(&asked(&folder, 0, &["inspect", "own.slm"])),
        "CC-BY-4.0"
    );

    // And a sparse one says how dense it is, in each of the forms in which it is looked at.
    let extract = ["adapter", "extract", "baked.slm", "--base", "tiny.slm"];
    let extract = [&extract[..], &["--density", "0.25", "-o", "thin.sla"]].concat();
    make(&[&extract[..], &["--license", "MIT"]].concat());
    let card = inspect("thin.sla");
    assert_eq!(
        (text(&card, "license"), text(&card, "mask")),
        ("MIT", "magnitude")
    );
    let first = &card.get("deltas").unwrap().as_array().unwrap()[0];
    assert_eq!(first.get("density").unwrap().as_f64(), Some(0.25));
    let shown = cultivar(&folder, &["adapter", "inspect", "thin.sla"]).out;
    assert!(
        shown.contains("density 0.25") && shown.contains("magnitude"),
        "{shown}"
    );
    let card = asked(&folder, 0, &["inspect", "thin.sla"]);
    let densities = card.get("densities").unwrap().as_array().unwrap();
    assert_eq!(densities[0].as_f64(), Some(0.25));
    assert_eq!(text(&card, "mask"), "magnitude");
}

#[test]
fn an_import_for_a_base_keeps_what_it_is_told_and_refuses_what_is_for_models() {
    let folder = command::folder("adapters-imported");
    let family = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/family"
    ));
    let base = family.join("sprout.slm");
    let base = base.to_str().unwrap();
    let peft = folder.join("add");
    std::fs::create_dir(&peft).unwrap();
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        std::fs::copy(family.join("adapters/add").join(name), peft.join(name)).unwrap();
    }
    let import = |more: &[&str]| {
        let import = ["import", "add", "--base", base, "-o", "add.sla"];
        asked(&folder, 0, &[&import[..], more].concat());
        asked(&folder, 0, &["adapter", "inspect", "add.sla"])
    };
    assert_eq!(text(&import(&[]), "license"), "");
    std::fs::write(peft.join("README.md"), "---\nlicense: mit\n---\n").unwrap();
    assert_eq!(text(&import(&[]), "license"), "mit");
    let card = import(&[
        "--license",
        "CC0-1.0",
        "--notes",
        "mine",
        "--source",
        "here",
    ]);
    assert_eq!(text(&card, "license"), "CC0-1.0");
    assert!(text(&card, "genome").contains("import_adapter"));
    let shown = cultivar(&folder, &["inspect", "add.sla"]).out;
    assert!(shown.contains("mine") && shown.contains("here"), "{shown}");
    for flag in [["--format", "f16"], ["--requantize", "nearest"]] {
        let import = ["import", "add", "--base", base, "-o", "x.sla"];
        let answer = cultivar(&folder, &[&import[..], &flag].concat());
        assert_eq!(answer.exit, 2);
        assert!(answer.err.contains(flag[0]), "{}", answer.err);
    }
    assert_eq!(files(&folder), ["add", "add.sla"]);
}
