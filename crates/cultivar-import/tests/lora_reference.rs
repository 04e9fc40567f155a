//! Real LoRA adapters of others: scale, names and row order against PEFT's and llama.cpp's logits.
//!
//! Needs the reference data named by `CULTIVAR_DATA`; skipped, saying so, where that is unset.

use cultivar_core::adapter::{Adapter, LoadedAdapter, Stack, StackLimits};
use cultivar_core::json::{self, JsonValue};
use cultivar_core::kv_cache::KvFormat;
use cultivar_core::model::{Engine, EngineOptions, Row};
use cultivar_import::{ImportOptions, LoraFile, LoraOptions, import_adapter};
use made::import;
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod made;

fn data() -> Option<PathBuf> {
    let path = std::env::var_os("CULTIVAR_DATA").map(PathBuf::from);
    if path.is_none() {
        eprintln!("skipped: CULTIVAR_DATA is not set");
    }
    path
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn base(data: &Path) -> Vec<u8> {
    let folder = data.join("models/stories260K");
    let (weights, tokenizer) = (
        read(&folder.join("stories260K.bin")),
        read(&folder.join("tok512.bin")),
    );
    let files = [
        ("stories260K.bin", weights.as_slice()),
        ("tok512.bin", tokenizer.as_slice()),
    ];
    import(&files, ImportOptions::default(), 1 << 20).unwrap()
}

fn engine(base: &[u8]) -> Engine {
    let options = EngineOptions {
        max_rows: 128,
        max_logit_rows: 128,
        ..EngineOptions::default()
    };
    cultivar_testdata::loading::load_engine(base, options)
}

fn load(engine: &Engine, files: &[(String, Vec<u8>)]) -> Arc<LoadedAdapter> {
    let files: Vec<_> = files
        .iter()
        .map(|(name, bytes)| LoraFile { name, bytes })
        .collect();
    let package = import_adapter(&files, &engine.model.head, &LoraOptions::default()).unwrap();
    let again = import_adapter(&files, &engine.model.head, &LoraOptions::default()).unwrap();
    assert_eq!(package, again);
    let adapter = Adapter::parse(&package).unwrap();
    engine
        .load_adapter(&adapter, StackLimits::default())
        .unwrap()
}

fn peft_files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let names = ["adapter_config.json", "adapter_model.safetensors"];
    names
        .map(|name| (name.to_string(), read(&folder.join(name))))
        .to_vec()
}

/// First-step logits after a prompt and the greedy ids that follow, up to `n`.
fn generate(engine: &mut Engine, stack: Stack, prompt: &[u32], n: usize) -> (Vec<f32>, Vec<u32>) {
    let sequence = engine
        .open_sequence(prompt.len() + n, KvFormat::F32)
        .unwrap();
    let id = engine.add_stack(stack).unwrap();
    engine.use_stack(sequence, Some(id)).unwrap();
    let row = |position: usize, token: u32, wants_logits: bool| Row {
        sequence,
        position: position as u32,
        token,
        wants_logits,
    };
    let last = prompt.len() - 1;
    let rows: Vec<Row> = prompt
        .iter()
        .enumerate()
        .map(|(i, &token)| row(i, token, i == last))
        .collect();
    engine.forward(&rows).unwrap();
    let first = engine.logits(0).to_vec();
    let mut ids = Vec::new();
    while ids.len() < n {
        let token = greedy(engine.logits(0));
        ids.push(token);
        if ids.len() < n {
            let row = row(last + ids.len(), token, true);
            engine.forward(&[row]).unwrap();
        }
    }
    engine.close_sequence(sequence);
    engine.remove_stack(id);
    (first, ids)
}

fn greedy(logits: &[f32]) -> u32 {
    let best = (0..logits.len()).reduce(|a, b| if logits[b] > logits[a] { b } else { a });
    best.unwrap() as u32
}

fn ids(value: &JsonValue) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_u32().unwrap())
        .collect()
}

/// The largest difference from `[[id, logit], …]`.
fn difference(logits: &[f32], top: &JsonValue) -> f64 {
    let pairs = top.as_array().unwrap().iter().map(|pair| {
        let pair = pair.as_array().unwrap();
        let logit = f64::from(logits[pair[0].as_u32().unwrap() as usize]);
        (logit - pair[1].as_f64().unwrap()).abs()
    });
    pairs.fold(0.0, f64::max)
}

/// Every adapter of the reference at scale 1 and, where the file has it, 0.5, by PEFT and GGUF.
#[test]
fn adapters_give_the_reference_logits_and_ids() {
    let Some(data) = data() else { return };
    let mut engine = engine(&base(&data));
    let reference = read(&data.join("reference/stories260K-adapters.json"));
    let reference = json::parse(&reference).unwrap();
    let mut n_adapters = 0;
    for (name, of) in reference.as_object().unwrap() {
        let folder = data.join("adapters/stories260K").join(name);
        if !folder.is_dir() {
            continue;
        }
        n_adapters += 1;
        let mut forms = vec![("peft", load(&engine, &peft_files(&folder)))];
        let gguf = folder.join(format!("{name}-lora-f32.gguf"));
        if gguf.is_file() {
            forms.push((
                "gguf",
                load(&engine, &[("lora.gguf".to_string(), read(&gguf))]),
            ));
        }
        for (form, adapter) in &forms {
            for prompt in of.get("prompts").unwrap().as_array().unwrap() {
                let prompt_ids = ids(prompt.get("prompt_ids").unwrap());
                let half = prompt.get("llama_cpp_lora_scale0.5");
                let scales = [
                    (
                        1.0,
                        prompt.get("peft_unmerged_top10"),
                        prompt.get("greedy_ids"),
                    ),
                    (
                        0.5,
                        half.and_then(|half| half.get("top10")),
                        half.and_then(|half| half.get("greedy_ids")),
                    ),
                ];
                for (weight, top, expected) in scales {
                    let (Some(top), Some(expected)) = (top, expected) else {
                        continue;
                    };
                    let expected = ids(expected);
                    let mut stack = engine.new_stack(StackLimits::default());
                    stack.push(Arc::clone(adapter), weight).unwrap();
                    let (logits, found) = generate(&mut engine, stack, &prompt_ids, expected.len());
                    let difference = difference(&logits, top);
                    assert!(difference <= 1e-3, "{name} {form} {weight}: {difference}");
                    assert_eq!(found, expected, "{name} {form} {weight}");
                }
            }
        }
    }
    assert!(n_adapters >= 5, "{n_adapters} adapters");
}

/// The adapters' own held-out cases: exact match as measured when they were trained.
#[test]
fn held_out_cases_are_answered_as_measured() {
    let Some(data) = data() else { return };
    let mut engine = engine(&base(&data));
    let folder = data.join("adapters/stories260K");
    let metrics = json::parse(&read(&folder.join("metrics.json"))).unwrap();
    for (name, suite) in [
        ("colorqa", "colorqa"),
        ("colorqa-rslora", "colorqa"),
        ("fields", "fields"),
        ("moral", "moral"),
        ("moral-ranks", "moral"),
    ] {
        let adapter = load(&engine, &peft_files(&folder.join(name)));
        let cases = read(&data.join(format!("eval/stories260K/{suite}.json")));
        let cases = json::parse(&cases).unwrap();
        let cases = cases.get("cases").unwrap().as_array().unwrap();
        let mut n_right = 0;
        for case in cases {
            let mut expected = ids(case.get("expected_ids").unwrap());
            expected.push(case.get("end_id").unwrap().as_u32().unwrap());
            let mut stack = engine.new_stack(StackLimits::default());
            stack.push(Arc::clone(&adapter), 1.0).unwrap();
            let prompt = ids(case.get("prompt_ids").unwrap());
            let (_, found) = generate(&mut engine, stack, &prompt, expected.len());
            n_right += usize::from(found == expected);
        }
        let after = metrics.get(name).and_then(|of| of.get("exact_after"));
        let after = after.and_then(JsonValue::as_f64).unwrap();
        let found = n_right as f64 / cases.len() as f64;
        assert!(
            (found - after).abs() < 1e-9,
            "{name}: {found}, measured {after}"
        );
    }
}
