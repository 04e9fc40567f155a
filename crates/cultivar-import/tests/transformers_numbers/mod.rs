//! What transformers computed for `fixtures/architectures`, and our logits to hold against it.

// Each test binary uses a part of this.
#![allow(dead_code)]

use cultivar_core::adapter::Stack;
use cultivar_core::json::{self, JsonValue};
use cultivar_core::kernels::Backend;
use cultivar_core::kv_cache::KvFormat;
use cultivar_core::model::{Engine, EngineOptions, Row};
use cultivar_core::package::Package;
use cultivar_testdata::loading::load_engine;
use cultivar_testdata::reference;
use std::path::{Path, PathBuf};

/// `fixtures/architectures`.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/architectures")
}

/// A file that must be there.
pub fn read(path: PathBuf) -> Vec<u8> {
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What transformers computed.
pub struct Reference {
    pub ids: Vec<u32>,
    positions: Vec<usize>,
    /// `[positions][vocab_size]`.
    logits: Vec<Vec<f32>>,
}

impl Reference {
    /// Those of a folder.
    pub fn of(name: &str) -> Self {
        Self::with_logits(name, folder().join(name).join("logits.f32"))
    }

    /// The same ids and positions with other logits.
    pub fn with_logits(name: &str, file: PathBuf) -> Self {
        let value = json::parse(&read(folder().join(name).join("reference.json"))).unwrap();
        let numbers = |key: &str| -> Vec<u64> {
            let list = value.get(key).and_then(JsonValue::as_array).unwrap();
            list.iter().map(|n| n.as_f64().unwrap() as u64).collect()
        };
        let vocab_size = value.get("vocab_size").unwrap().as_f64().unwrap() as usize;
        let bytes = read(file);
        let words = bytes.as_chunks::<4>().0.iter();
        let logits: Vec<f32> = words.map(|word| f32::from_le_bytes(*word)).collect();
        Self {
            ids: numbers("ids").iter().map(|id| *id as u32).collect(),
            positions: numbers("positions").iter().map(|p| *p as usize).collect(),
            logits: logits.chunks(vocab_size).map(<[f32]>::to_vec).collect(),
        }
    }

    /// The largest difference to logits of all positions.
    pub fn difference(&self, logits: &[Vec<f32>]) -> f32 {
        let rows = self.positions.iter().map(|p| &logits[*p]);
        largest_difference(rows.flatten(), self.logits.iter().flatten())
    }

    /// The package's logits are these, and they vary enough to say so.
    pub fn check_logits(&self, name: &str, package: &[u8]) {
        assert!(self.deviation() >= 1.0, "{name}");
        let difference = self.difference(&logits(package, &self.ids));
        assert!(difference <= 1e-4, "{name}: {difference:e}");
    }

    /// The same by the naive forward pass in f64.
    pub fn check_naive(&self, name: &str, package: &[u8]) {
        let rows = reference::forward(&Package::parse(package).unwrap(), &self.ids);
        let narrow = |row: &Vec<f64>| row.iter().map(|l| *l as f32).collect();
        let rows: Vec<Vec<f32>> = rows.iter().map(narrow).collect();
        let difference = self.difference(&rows);
        assert!(difference <= 1e-4, "{name}: {difference:e}");
    }

    /// The standard deviation of the logits.
    pub fn deviation(&self) -> f64 {
        let all = || self.logits.iter().flatten().map(|l| f64::from(*l));
        let n = all().count() as f64;
        let mean = all().sum::<f64>() / n;
        (all().map(|l| (l - mean).powi(2)).sum::<f64>() / n).sqrt()
    }
}

/// The largest difference of two rows of numbers.
pub fn largest_difference<'a>(
    a: impl Iterator<Item = &'a f32>,
    b: impl Iterator<Item = &'a f32>,
) -> f32 {
    a.zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// An engine of a package that takes seven rows at once.
pub fn engine(package: &[u8]) -> Engine {
    let options = EngineOptions {
        max_rows: 7,
        max_logit_rows: 7,
        backend: Backend::Fast,
    };
    load_engine(package, options)
}

/// Logits at every position, computed in chunks of seven.
pub fn logits(package: &[u8], ids: &[u32]) -> Vec<Vec<f32>> {
    logits_of(&mut engine(package), None, ids)
}

/// Logits at every position, with adapters if there are any.
pub fn logits_of(engine: &mut Engine, stack: Option<Stack>, ids: &[u32]) -> Vec<Vec<f32>> {
    let id = stack.map(|stack| engine.add_stack(stack).unwrap());
    let sequence = engine.open_sequence(ids.len(), KvFormat::F32).unwrap();
    engine.use_stack(sequence, id).unwrap();
    let mut logits = Vec::new();
    for (i, chunk) in ids.chunks(7).enumerate() {
        let row = |(t, &token): (usize, &u32)| Row {
            sequence,
            position: (7 * i + t) as u32,
            token,
            wants_logits: true,
        };
        let rows: Vec<Row> = chunk.iter().enumerate().map(row).collect();
        engine.forward(&rows).unwrap();
        logits.extend((0..chunk.len()).map(|t| engine.logits(t).to_vec()));
    }
    logits
}
