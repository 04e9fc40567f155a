//! Real adapters through the command: imported from PEFT, applied live, baked in f32, merged; the
//! reference's logits each time.
//!
//! Needs the data named by `CULTIVAR_DATA`; skipped, saying so, where that is unset.

mod command;

use command::{asked, data, folder, ids};
use cultivar_core::json::{self, JsonValue};
use std::path::Path;

/// The largest difference of the reference's ten likeliest from the logits that a command prints.
fn difference(
    folder: &Path,
    model: &str,
    adapter: Option<&str>,
    ids: &str,
    top: &JsonValue,
) -> f64 {
    let mut arguments = vec!["logits", model, "--prompt-ids", ids, "--top", "512"];
    if let Some(adapter) = adapter {
        arguments.extend(["--adapter", adapter]);
    }
    let answer = asked(folder, 0, &arguments);
    let found = answer.get("top").unwrap().as_array().unwrap();
    let pair = |value: &JsonValue| {
        let pair = value.as_array().unwrap();
        (pair[0].as_u32().unwrap(), pair[1].as_f64().unwrap())
    };
    let found: Vec<(u32, f64)> = found.iter().map(pair).collect();
    let differences = top.as_array().unwrap().iter().map(pair).map(|(id, logit)| {
        let own = found.iter().find(|(own, _)| *own == id).unwrap();
        (own.1 - logit).abs()
    });
    differences.fold(0.0, f64::max)
}

/// The model writes the reference's greedy ids.
fn check_greedy(folder: &Path, model: &str, prompt_ids: &str, reference: &JsonValue) {
    let expected = ids(reference, "greedy_ids");
    let n = expected.len().to_string();
    let run = ["run", model, "--prompt-ids", prompt_ids, "--max-tokens", &n];
    let run = [&run[..], &["--temperature", "0", "--ignore-stop"]].concat();
    assert_eq!(
        ids(&asked(folder, 0, &run), "output_ids"),
        expected,
        "{model}"
    );
}

#[test]
fn live_baked_and_merged_adapters_give_the_reference_logits() {
    let Some(data) = data() else { return };
    let folder = folder("reference-adapters");
    let model = data.join("models/stories260K");
    let model = ["stories260K.bin", "tok512.bin"].map(|name| model.join(name));
    let model = model.each_ref().map(|path| path.to_str().unwrap());
    asked(
        &folder,
        0,
        &["import", model[0], model[1], "-o", "base.slm"],
    );
    let reference = std::fs::read(data.join("reference/stories260K-adapters.json")).unwrap();
    let reference = json::parse(&reference).unwrap();
    for name in [
        "colorqa",
        "colorqa-rslora",
        "fields",
        "moral",
        "moral-ranks",
    ] {
        let source = data.join("adapters/stories260K").join(name);
        let (package, baked) = (format!("{name}.sla"), format!("{name}.slm"));
        let source = source.to_str().unwrap();
        let import = ["import", source, "--base", "base.slm", "-o", &package];
        asked(&folder, 0, &import);
        asked(
            &folder,
            0,
            &["adapter", "validate", &package, "--base", "base.slm"],
        );
        let bake = ["bake", "base.slm", "--adapter", &package, "--format", "f32"];
        asked(&folder, 0, &[&bake[..], &["-o", &baked]].concat());
        let merge = [
            "adapter", "merge", &package, "--base", "base.slm", "--method", "svd",
        ];
        asked(
            &folder,
            0,
            &[&merge[..], &["--rank", "8", "-o", "svd.sla"]].concat(),
        );
        let prompts = reference.get(name).unwrap().get("prompts").unwrap();
        for prompt in prompts.as_array().unwrap() {
            let prompt_ids = ids(prompt, "prompt_ids");
            let prompt_ids: Vec<String> = prompt_ids.iter().map(u32::to_string).collect();
            let (line, top) = (
                prompt_ids.join(","),
                prompt.get("peft_unmerged_top10").unwrap(),
            );
            for (how, model, adapter) in [
                ("live", "base.slm", Some(package.as_str())),
                ("baked", baked.as_str(), None),
                ("of singular values", "base.slm", Some("svd.sla")),
            ] {
                let difference = difference(&folder, model, adapter, &line, top);
                assert!(difference <= 1e-3, "{name} {how}: {difference}");
            }
            check_greedy(&folder, &baked, &line, prompt);
            let Some(half) = prompt.get("llama_cpp_lora_scale0.5") else {
                continue;
            };
            let weighted = format!("{package}=0.5");
            let bake = [
                "bake",
                "base.slm",
                "--adapter",
                &weighted,
                "--format",
                "f32",
            ];
            asked(&folder, 0, &[&bake[..], &["-o", "half.slm"]].concat());
            let top = half.get("top10").unwrap();
            let difference = difference(&folder, "half.slm", None, &line, top);
            assert!(difference <= 1e-3, "{name} baked at 0.5: {difference}");
            check_greedy(&folder, "half.slm", &line, half);
        }
    }
}
