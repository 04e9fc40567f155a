//! Mutated adapter packages, from a seed: whatever they hold, they are refused by a rule or are
//! valid, and then they can be applied. Nothing panics.
//!
//! Three of four are sealed again after the change, so that it is not a digest that refuses them.
//! `CULTIVAR_FUZZ` says how many (20,000); the report of a long run stands in `docs/security.md`.

use cultivar_core::adapter::{Adapter, Compatibility, FieldStatus, StackError, StackLimits};
use cultivar_core::kv_cache::KvFormat;
use cultivar_core::model::{Engine, EngineOptions, Row};
use cultivar_core::rng::{self, Purpose};
use cultivar_testdata::byte_builder::{RawPackage, RawTensor};
use cultivar_testdata::hostile_adapters::{bound_adapter, hostile_adapters};
use cultivar_testdata::loading::load_engine;
use cultivar_testdata::small_packages::small_model;
use std::collections::BTreeMap;

/// Numbers that counts, offsets and floats break on.
const NUMBERS: [u64; 16] = [
    0,
    1,
    2,
    3,
    7,
    63,
    64,
    255,
    256,
    4096,
    4097,
    0x7f80_0000,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 32,
    u64::MAX,
];

/// Names that a changed tensor may get.
const NAMES: [&str; 14] = [
    "layers.0.w_q#lora_a",
    "layers.0.w_q#lora_b",
    "layers.0.w_q#scales",
    "layers.0.w_k#indices",
    "layers.0.w_k#values",
    "layers.0.w_k#delta",
    "output#delta",
    "token_embedding#lora_a",
    "layers.0.w_q#magnitude",
    "layers.0.w_q",
    "layers.0.w_q#lora_bt",
    "#delta",
    "a#b#delta",
    "final_norm#values",
];

struct Draws {
    seed: u64,
    index: u64,
}

impl Draws {
    fn word(&mut self) -> u32 {
        self.index += 1;
        rng::draw(self.seed, Purpose::TestWeights, self.index)[0]
    }

    fn below(&mut self, n: usize) -> usize {
        self.word() as usize % n.max(1)
    }

    fn number(&mut self) -> u64 {
        match self.below(3) {
            0 => u64::from(self.word() % 20),
            1 => u64::from(self.word()) << (self.below(5) * 8),
            _ => NUMBERS[self.below(NUMBERS.len())],
        }
    }

    /// Changes bytes in place, or how many there are.
    fn change_bytes(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        match self.below(8) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            2 if at < bytes.len() => bytes[at] = self.word() as u8,
            3 => {
                let number = self.number().to_le_bytes();
                let n = [1, 2, 4, 8][self.below(4)];
                for (byte, new) in bytes.iter_mut().skip(at).take(n).zip(number) {
                    *byte = new;
                }
            }
            4 => bytes.truncate(at),
            5 => bytes.insert(at, self.word() as u8),
            6 => {
                let end = (at + self.below(32)).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                let end = (at + self.below(32)).min(bytes.len());
                let copied = bytes[at..end].to_vec();
                let to = self.below(bytes.len() + 1);
                bytes.splice(to..to, copied);
            }
        }
    }

    fn change_tensor(&mut self, tensor: &mut RawTensor) {
        match self.below(9) {
            0 => tensor.name = NAMES[self.below(NAMES.len())].into(),
            1 => self.change_bytes(&mut tensor.name),
            2 => tensor.dtype = [self.below(30), 16][self.below(2)] as u16,
            3 => tensor.layout = self.below(4) as u16,
            4 => {
                let at = self.below(tensor.dims.len());
                let number = self.number();
                if let Some(dim) = tensor.dims.get_mut(at) {
                    *dim = number;
                }
            }
            5 => tensor.dims.push(1 + self.number() % 3),
            // Another shape with the bytes that it calls for.
            6 => {
                tensor.dims = (0..1 + self.below(3))
                    .map(|_| 1 + self.number() % 9)
                    .collect();
                let n = tensor.dims.iter().product::<u64>() as usize;
                tensor.bytes.resize(n * 4, 0x3d);
            }
            7 => tensor.len = Some(self.number()),
            _ => self.change_bytes(&mut tensor.bytes),
        }
    }

    /// Changes a package before it is sealed.
    fn change_package(&mut self, package: &mut RawPackage) {
        let n_sections = package.sections.len();
        let n_tensors = package.tensors.len();
        match self.below(16) {
            0 => package.kind = self.number() as u32,
            1 => package.version.0 = self.number() as u16,
            2 => package.n_sections = Some(self.number() as u32),
            3 => package.file_bytes = Some(self.number()),
            4 => package.head_bytes = Some(self.number() as u32),
            5 => package.n_tensors = Some(self.number() as u32),
            6 => self.change_bytes(&mut package.directory_extra),
            7 => self.change_bytes(&mut package.trailing),
            8 | 9 if n_sections > 0 => {
                let at = self.below(n_sections);
                let number = self.number();
                let section = &mut package.sections[at];
                match self.below(5) {
                    0 => section.id = number as u32,
                    1 => section.flags = number as u32,
                    2 => section.len = Some(number),
                    3 => section.offset = Some(number),
                    _ => self.change_bytes(&mut section.bytes),
                }
            }
            10 if n_tensors > 1 => {
                package.tensors.remove(self.below(n_tensors));
            }
            11 if n_tensors > 0 => {
                let mut copy = package.tensors[self.below(n_tensors)].clone();
                self.change_tensor(&mut copy);
                package.tensors.push(copy);
                package.tensors.sort_by(|a, b| a.name.cmp(&b.name));
            }
            _ if n_tensors > 0 => {
                let at = self.below(n_tensors);
                let mut tensor = package.tensors[at].clone();
                self.change_tensor(&mut tensor);
                package.tensors[at] = tensor;
            }
            _ => package.padding = 1,
        }
    }
}

/// Everything that is done with an adapter, up to computing a row with it: its code, 0 if valid.
fn use_adapter(engine: &mut Engine, file: &[u8], weight: f32) -> i32 {
    let adapter = match Adapter::parse(file) {
        Ok(adapter) => adapter,
        Err(error) => return error.code(),
    };
    let report = Compatibility::new(&adapter, &engine.model.head);
    let limits = StackLimits::default();
    let loaded = match engine.load_adapter(&adapter, limits) {
        Ok(loaded) => loaded,
        Err(error) => {
            let is_fused = matches!(error, StackError::Rule(_));
            assert!(
                is_fused || report.verdict() == FieldStatus::Refused,
                "{error}"
            );
            return error.code();
        }
    };
    assert_ne!(
        report.verdict(),
        FieldStatus::Refused,
        "{}",
        report.to_json()
    );
    assert_eq!(
        adapter.to_bytes().as_deref(),
        Ok(file),
        "what is accepted is canonical"
    );
    let mut stack = engine.new_stack(limits);
    if let Err(error) = stack.push(loaded, weight) {
        return error.code();
    }
    let sequence = engine.open_sequence(2, KvFormat::F32).expect("room");
    let id = engine.add_stack(stack).expect("room");
    engine
        .use_stack(sequence, Some(id))
        .expect("both are there");
    let row = |position| Row {
        sequence,
        position,
        token: 3,
        wants_logits: true,
    };
    engine
        .forward(&[row(0), row(1)])
        .expect("a row is computed");
    engine.close_sequence(sequence);
    engine.remove_stack(id);
    0
}

#[test]
fn mutated_adapters_are_refused_or_usable() {
    let n: u64 = std::env::var("CULTIVAR_FUZZ").map_or(20_000, |n| n.parse().expect("a number"));
    let first: u64 =
        std::env::var("CULTIVAR_FUZZ_FROM").map_or(0, |n| n.parse().expect("a number"));
    let options = EngineOptions {
        max_rows: 2,
        max_logit_rows: 2,
        ..EngineOptions::default()
    };
    let mut engine = load_engine(&small_model().build(), options);
    let (good, package) = (bound_adapter().build(), bound_adapter());
    let hostile: Vec<Vec<u8>> = hostile_adapters()
        .into_iter()
        .map(|case| case.bytes)
        .collect();
    let mut codes: BTreeMap<i32, u64> = BTreeMap::new();
    let mut n_sealed = 0;
    for index in first..first + n {
        let mut draws = Draws {
            seed: index,
            index: 0,
        };
        let n_changes = 1 + draws.below(4);
        let file = if index % 4 == 0 {
            let start = match draws.below(4) {
                0 => &hostile[draws.below(hostile.len())],
                _ => &good,
            };
            let mut file = start.clone();
            (0..n_changes).for_each(|_| draws.change_bytes(&mut file));
            file
        } else {
            n_sealed += 1;
            let mut changed = package.clone();
            (0..n_changes).for_each(|_| draws.change_package(&mut changed));
            changed.build()
        };
        let weight = draws.below(9) as f32 * 0.5 - 2.0;
        *codes
            .entry(use_adapter(&mut engine, &file, weight))
            .or_default() += 1;
    }
    assert!(n_sealed * 2 >= n);
    // Many rules were reached, and some changes leave an adapter valid.
    assert!(n < 20_000 || codes.len() > 40, "{codes:?}");
    assert!(n < 20_000 || codes.contains_key(&0), "{codes:?}");
    if std::env::var_os("CULTIVAR_FUZZ").is_some() {
        println!(
            "{n} adapters from {first}, {n_sealed} sealed again, {} outcomes:",
            codes.len()
        );
        codes.iter().for_each(|(code, n)| println!("{code}: {n}"));
    }
}
