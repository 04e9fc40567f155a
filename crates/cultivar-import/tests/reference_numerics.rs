//! A real model, imported and computed, against reference numbers by other programs: greedy ids,
//! logits at every position, likelihood of a text in every format.
//!
//! Needs `CULTIVAR_DATA`; says so and passes without it. `docs/numerics.md` quotes the figures.

mod made;

use cultivar_core::json::{self, JsonValue};
use cultivar_core::kernels::Backend;
use cultivar_core::kv_cache::KvFormat;
use cultivar_core::model::{Engine, EngineOptions, Row};
use cultivar_import::TargetFormat;
use cultivar_testdata::loading::load_engine;
use made::{import, options};
use std::path::{Path, PathBuf};

/// The folder of test data, if there is one.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("CULTIVAR_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: CULTIVAR_DATA is not set");
    }
    folder
}

fn engine(folder: &Path, format: TargetFormat) -> Engine {
    let read = |name: &str| std::fs::read(folder.join("models/stories260K").join(name)).unwrap();
    let (checkpoint, tokenizer) = (read("stories260K.bin"), read("tok512.bin"));
    let files = [
        ("stories260K.bin", &checkpoint[..]),
        ("tok512.bin", &tokenizer[..]),
    ];
    let bytes = import(&files, options(format), 1 << 20).unwrap();
    let options = EngineOptions {
        max_rows: 32,
        max_logit_rows: 32,
        backend: Backend::Fast,
    };
    load_engine(&bytes, options)
}

fn reference(folder: &Path) -> JsonValue {
    json::parse(&std::fs::read(folder.join("reference/stories260K.json")).unwrap()).unwrap()
}

fn list<'a>(value: &'a JsonValue, key: &str) -> &'a [JsonValue] {
    value.get(key).unwrap().as_array().unwrap()
}

fn ids_of(value: &JsonValue, key: &str) -> Vec<u32> {
    list(value, key)
        .iter()
        .map(|id| id.as_u32().unwrap())
        .collect()
}

/// Logits at every position of `ids`, KV in f32.
fn all_logits(engine: &mut Engine, ids: &[u32]) -> Vec<Vec<f32>> {
    let sequence = engine.open_sequence(ids.len(), KvFormat::F32).unwrap();
    let mut logits = Vec::new();
    for (start, chunk) in ids.chunks(32).enumerate() {
        let row = |(t, &token): (usize, &u32)| {
            let position = (32 * start + t) as u32;
            Row {
                sequence,
                position,
                token,
                wants_logits: true,
            }
        };
        let rows: Vec<Row> = chunk.iter().enumerate().map(row).collect();
        engine.forward(&rows).unwrap();
        logits.extend((0..rows.len()).map(|t| engine.logits(t).to_vec()));
    }
    engine.close_sequence(sequence);
    logits
}

/// The negative logarithm of the probability of all ids but the first.
fn negative_log_likelihood(logits: &[Vec<f32>], ids: &[u32]) -> f64 {
    let of_one = |(row, id): (&Vec<f32>, &u32)| {
        let max = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let sum: f64 = row.iter().map(|v| (f64::from(*v) - max).exp()).sum();
        max + sum.ln() - f64::from(row[*id as usize])
    };
    logits.iter().zip(&ids[1..]).map(of_one).sum()
}

/// The largest difference of `logit(id)` from `[[id, logit], …]`; ids without a logit count not.
fn largest_difference(top: &[JsonValue], logit: impl Fn(u32) -> Option<f64>) -> f64 {
    let difference = |pair: &JsonValue| {
        let pair = pair.as_array().unwrap();
        let (id, expected) = (pair[0].as_u32().unwrap(), pair[1].as_f64().unwrap());
        logit(id).map_or(0.0, |got| (got - expected).abs())
    };
    top.iter().map(difference).fold(0.0, f64::max)
}

#[test]
fn greedy_ids_are_those_of_the_reference() {
    let Some(folder) = data() else { return };
    let mut engine = engine(&folder, TargetFormat::F32);
    for prompt in list(&reference(&folder), "prompts") {
        let (mut ids, expected) = (ids_of(prompt, "token_ids"), ids_of(prompt, "greedy_ids"));
        let n_prompt = ids.len();
        assert_eq!(expected.len(), 64);
        let room = n_prompt + expected.len();
        let sequence = engine.open_sequence(room, KvFormat::F32).unwrap();
        for position in 0..room - 1 {
            let token = ids[position];
            let row = Row {
                sequence,
                position: position as u32,
                token,
                wants_logits: true,
            };
            engine.forward(&[row]).unwrap();
            if position + 1 >= n_prompt {
                ids.push(cultivar_core::sampler::greedy(engine.logits(0)));
            }
        }
        engine.close_sequence(sequence);
        assert_eq!(ids[n_prompt..], expected, "{:?}", prompt.get("prompt"));
    }
}

#[test]
fn logits_are_those_of_the_reference_at_every_position() {
    let Some(folder) = data() else { return };
    let mut engine = engine(&folder, TargetFormat::F32);
    for (i, prompt) in list(&reference(&folder), "prompts").iter().enumerate() {
        let file = folder.join(format!("reference/stories260K.full-logits/prompt{i}.f32"));
        let bytes = std::fs::read(file).unwrap();
        let expected = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|word| f32::from_le_bytes(*word));
        let got = all_logits(&mut engine, &ids_of(prompt, "token_ids")).concat();
        assert_eq!(got.len(), bytes.len() / 4);
        let differences = got
            .iter()
            .zip(expected)
            .map(|(got, expected)| (got - expected).abs());
        let worst = differences.fold(0.0, f32::max);
        // The promise is 1e-3; rounding alone leaves 2e-5.
        assert!(worst < 1e-4, "prompt {i}: {worst}");
    }
}

#[test]
fn every_format_is_as_near_to_its_own_weights_as_promised() {
    let Some(folder) = data() else { return };
    let reference = reference(&folder);
    let text = ids_of(reference.get("eval").unwrap(), "token_ids");
    // The largest part of its likelihood by which a format may be off.
    for (format, ceiling) in [
        (TargetFormat::F32, 1e-6),
        (TargetFormat::F16, 1e-5),
        (TargetFormat::Q8_0, 0.002),
        (TargetFormat::Q4_0, 0.002),
    ] {
        let name = format!("stories260K-{}.gguf", format.name());
        let file = reference.get("gguf_variants").unwrap().get(&name).unwrap();
        let exact = file.get("dequantized_f32_hf").unwrap();
        let mut engine = engine(&folder, format);

        let got = negative_log_likelihood(&all_logits(&mut engine, &text), &text);
        let expected = exact.get("eval_nll_sum").unwrap().as_f64().unwrap();
        assert!(
            (got / expected - 1.0).abs() <= ceiling,
            "{name}: {got}, reference {expected}"
        );

        let logits = all_logits(&mut engine, &ids_of(file, "prompt_ids"))
            .pop()
            .unwrap();
        let top = list(exact, "top10");
        let here = largest_difference(top, |id| Some(f64::from(logits[id as usize])));
        let llama_cpp = list(file.get("llama_cpp").unwrap(), "top10");
        let there = largest_difference(top, |id| {
            let pairs = llama_cpp.iter().filter_map(JsonValue::as_array);
            pairs
                .filter(|pair| pair[0].as_u32() == Some(id))
                .find_map(|pair| pair[1].as_f64())
        });
        assert!(here <= 2.0 * there, "{name}: {here}, llama.cpp {there}");
    }
}
