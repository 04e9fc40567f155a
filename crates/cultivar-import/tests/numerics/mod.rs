//! What tests against reference numbers share: logits, likelihoods, greedy ids, differences.

// Each test binary uses a part of this.
#![allow(dead_code)]

use cultivar_core::json::{self, JsonValue};
use cultivar_core::kernels::Backend;
use cultivar_core::kv_cache::KvFormat;
use cultivar_core::model::{Engine, EngineOptions, Row};
use cultivar_testdata::loading::load_engine;
use std::path::{Path, PathBuf};

/// The folder of test data, if there is one.
pub fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("CULTIVAR_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: CULTIVAR_DATA is not set");
    }
    folder
}

/// A file of reference numbers.
pub fn reference(folder: &Path, name: &str) -> JsonValue {
    json::parse(&std::fs::read(folder.join("reference").join(name)).unwrap()).unwrap()
}

/// An array.
pub fn list<'a>(value: &'a JsonValue, key: &str) -> &'a [JsonValue] {
    value.get(key).unwrap().as_array().unwrap()
}

/// An array of ids.
pub fn ids_of(value: &JsonValue, key: &str) -> Vec<u32> {
    list(value, key)
        .iter()
        .map(|id| id.as_u32().unwrap())
        .collect()
}

/// Logits at every position of `ids`, KV in f32.
pub fn all_logits(engine: &mut Engine, ids: &[u32]) -> Vec<Vec<f32>> {
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
pub fn negative_log_likelihood(logits: &[Vec<f32>], ids: &[u32]) -> f64 {
    let of_one = |(row, id): (&Vec<f32>, &u32)| {
        let max = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let sum: f64 = row.iter().map(|v| (f64::from(*v) - max).exp()).sum();
        max + sum.ln() - f64::from(row[*id as usize])
    };
    logits.iter().zip(&ids[1..]).map(of_one).sum()
}

/// The largest difference of `logit(id)` from `[[id, logit], …]`; ids without a logit count not.
pub fn largest_difference(top: &[JsonValue], logit: impl Fn(u32) -> Option<f64>) -> f64 {
    let difference = |pair: &JsonValue| {
        let pair = pair.as_array().unwrap();
        let (id, expected) = (pair[0].as_u32().unwrap(), pair[1].as_f64().unwrap());
        logit(id).map_or(0.0, |got| (got - expected).abs())
    };
    top.iter().map(difference).fold(0.0, f64::max)
}

/// An engine of this package that takes 32 rows at once.
pub fn engine_of(package: &[u8]) -> Engine {
    let options = EngineOptions {
        max_rows: 32,
        max_logit_rows: 32,
        backend: Backend::Fast,
    };
    load_engine(package, options)
}

/// Decodes greedily: `n` ids and the logits that each was taken from.
pub fn greedy(engine: &mut Engine, prompt: &[u32], n: usize) -> (Vec<u32>, Vec<Vec<f32>>) {
    let mut ids = prompt.to_vec();
    let room = prompt.len() + n;
    let sequence = engine.open_sequence(room, KvFormat::F32).unwrap();
    let mut taken = Vec::new();
    for position in 0..room - 1 {
        let row = Row {
            sequence,
            position: position as u32,
            token: ids[position],
            wants_logits: true,
        };
        engine.forward(&[row]).unwrap();
        if position + 1 >= prompt.len() {
            ids.push(cultivar_core::sampler::greedy(engine.logits(0)));
            taken.push(engine.logits(0).to_vec());
        }
    }
    engine.close_sequence(sequence);
    (ids.split_off(prompt.len()), taken)
}
