//! What the tests share: opening models and adapters, running them, driving bake and extraction.
#![allow(dead_code)]

use cultivar_breed::{BakeOptions, Baker, BreedError, BreedStep, Extraction, Extractor, Merged};
use cultivar_core::adapter::{Adapter, LoadedAdapter, Stack, StackLimits};
use cultivar_core::kv_cache::KvFormat;
use cultivar_core::model::{Engine, EngineOptions, Row};
use cultivar_core::package::{Head, Package};
use cultivar_testdata::loading::load_engine;
use std::sync::Arc;

pub const IDS: [u32; 12] = [256, 84, 104, 101, 32, 99, 97, 116, 32, 115, 97, 116];

pub fn engine(model: &[u8]) -> Engine {
    let options = EngineOptions {
        max_rows: 12,
        max_logit_rows: 12,
        ..EngineOptions::default()
    };
    load_engine(model, options)
}

pub fn head(model: &[u8]) -> Head {
    Package::parse(model).expect("a valid package").head
}

pub fn loaded(base: &Head, file: &[u8]) -> Arc<LoadedAdapter> {
    let adapter = Adapter::parse(file).expect("a valid adapter");
    Arc::new(LoadedAdapter::new(&adapter, base, 1 << 30).expect("it fits"))
}

pub fn stack(adapters: &[(&Arc<LoadedAdapter>, f32)]) -> Stack {
    let mut stack = Stack::new(3, StackLimits::default());
    for (adapter, weight) in adapters {
        stack.push(Arc::clone(adapter), *weight).expect("room");
    }
    stack
}

/// Logits of every position with this stack.
pub fn run(model: &[u8], stack: Option<Stack>) -> Vec<f32> {
    let mut engine = engine(model);
    let sequence = engine.open_sequence(IDS.len(), KvFormat::F32).unwrap();
    let id = stack.map(|stack| engine.add_stack(stack).unwrap());
    engine.use_stack(sequence, id).unwrap();
    let row = |(t, &token): (usize, &u32)| Row {
        sequence,
        position: t as u32,
        token,
        wants_logits: true,
    };
    let rows: Vec<Row> = IDS.iter().enumerate().map(row).collect();
    engine.forward(&rows).unwrap();
    (0..IDS.len())
        .flat_map(|t| engine.logits(t).to_vec())
        .collect()
}

pub fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|v| v.to_bits()).collect()
}

pub fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

/// Every element of what a stack adds to one tensor.
pub fn dense(stack: &Stack, base: &Head, target: &str) -> Vec<f32> {
    let entry = base.directory.get(target).unwrap();
    let mut values = vec![0.0; entry.d_out() * entry.d_in()];
    for of in stack.entries() {
        for delta in of
            .adapter()
            .deltas
            .iter()
            .filter(|delta| delta.target == target)
        {
            for (row, out) in values.chunks_exact_mut(entry.d_in()).enumerate() {
                delta.add_row(out, row, of.weight_of(delta));
            }
        }
    }
    values
}

/// Frobenius norm of the difference of what two stacks add, as a part of the first's norm.
pub fn relative_difference(base: &Head, a: &Stack, b: &Stack) -> f64 {
    let (mut lost, mut norm) = (0.0, 0.0);
    for entry in base.directory.entries() {
        let (a, b) = (dense(a, base, &entry.name), dense(b, base, &entry.name));
        for (a, b) in a.iter().zip(&b) {
            lost += f64::from(a - b).powi(2);
            norm += f64::from(*a).powi(2);
        }
    }
    (lost / norm).sqrt()
}

pub fn bake(model: &[u8], stack: Stack, options: BakeOptions) -> Result<Vec<u8>, BreedError> {
    let mut baker = Baker::new(head(model), stack, options)?;
    let mut out: Vec<u8> = Vec::new();
    loop {
        match baker.step()? {
            BreedStep::Read { offset, len, .. } => {
                baker.supply(&model[offset as usize..(offset + len) as usize])?;
            }
            BreedStep::Write { offset } => {
                let end = offset as usize + baker.output().len();
                out.resize(out.len().max(end), 0);
                out[offset as usize..end].copy_from_slice(baker.output());
            }
            BreedStep::Done => return Ok(out),
        }
    }
}

pub fn extract(base: &[u8], child: &[u8], how: Extraction) -> Result<Merged, BreedError> {
    let mut extractor = Extractor::new(head(base), head(child), how, ["extracted", ""])?;
    while let BreedStep::Read {
        source,
        offset,
        len,
    } = extractor.step()
    {
        let file = [base, child][source];
        extractor.supply(&file[offset as usize..(offset + len) as usize])?;
    }
    extractor.finish()
}
