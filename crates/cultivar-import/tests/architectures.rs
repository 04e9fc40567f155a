//! Tiny random models of every supported architecture, made with transformers, imported from
//! their Hugging Face files: logits must be transformers', and each option must matter.
//!
//! `fixtures/make/architectures.py` says how they were made.

use cultivar_core::json::{self, JsonValue};
use cultivar_core::kernels::Backend;
use cultivar_core::kv_cache::KvFormat;
use cultivar_core::model::{EngineOptions, Row};
use cultivar_core::package::{
    Activation, FfnKind, ModelConfig, ModelParts, NormKind, NormPlace, Package, PositionKind,
    QkNorm, RopeScalingKind, TensorPlan, schema, write_model,
};
use cultivar_import::TargetFormat;
use cultivar_testdata::loading::load_engine;
use cultivar_testdata::reference;
use made::{import, options};
use std::path::{Path, PathBuf};

mod made;

const NAMES: [&str; 12] = [
    "llama",
    "llama-scaled",
    "llama-linear",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma2",
    "gemma3",
    "phi3",
    "gpt2",
    "gpt_neox",
    "gpt_neox-serial",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/architectures")
}

fn read(path: PathBuf) -> Vec<u8> {
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What transformers computed.
struct Reference {
    ids: Vec<u32>,
    positions: Vec<usize>,
    /// `[positions][vocab_size]`.
    logits: Vec<Vec<f32>>,
}

impl Reference {
    fn of(name: &str) -> Self {
        let value = json::parse(&read(folder().join(name).join("reference.json"))).unwrap();
        let numbers = |key: &str| -> Vec<u64> {
            let list = value.get(key).and_then(JsonValue::as_array).unwrap();
            list.iter().map(|n| n.as_f64().unwrap() as u64).collect()
        };
        let vocab_size = value.get("vocab_size").unwrap().as_f64().unwrap() as usize;
        let bytes = read(folder().join(name).join("logits.f32"));
        let words = bytes.as_chunks::<4>().0.iter();
        let logits: Vec<f32> = words.map(|word| f32::from_le_bytes(*word)).collect();
        Self {
            ids: numbers("ids").iter().map(|id| *id as u32).collect(),
            positions: numbers("positions").iter().map(|p| *p as usize).collect(),
            logits: logits.chunks(vocab_size).map(<[f32]>::to_vec).collect(),
        }
    }

    /// The largest difference to logits of all positions.
    fn difference(&self, logits: &[Vec<f32>]) -> f32 {
        let rows = self.positions.iter().map(|p| &logits[*p]);
        largest_difference(rows.flatten(), self.logits.iter().flatten())
    }

    /// The standard deviation of the logits.
    fn deviation(&self) -> f64 {
        let all = || self.logits.iter().flatten().map(|l| f64::from(*l));
        let n = all().count() as f64;
        let mean = all().sum::<f64>() / n;
        (all().map(|l| (l - mean).powi(2)).sum::<f64>() / n).sqrt()
    }
}

fn largest_difference<'a>(
    a: impl Iterator<Item = &'a f32>,
    b: impl Iterator<Item = &'a f32>,
) -> f32 {
    a.zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The package of a folder, with weights as they are.
fn imported(name: &str) -> Vec<u8> {
    let file = |file: &str| read(folder().join(name).join(file));
    let files = [
        ("config.json", file("config.json")),
        ("model.safetensors", file("model.safetensors")),
        ("tokenizer.json", read(folder().join("tokenizer.json"))),
    ];
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, b)| (*name, b.as_slice()))
        .collect();
    import(&files, options(TargetFormat::F32), 1 << 20)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Logits at every position, computed in chunks of seven.
fn logits(package: &[u8], ids: &[u32]) -> Vec<Vec<f32>> {
    let options = EngineOptions {
        max_rows: 7,
        max_logit_rows: 7,
        backend: Backend::Fast,
    };
    let mut engine = load_engine(package, options);
    let sequence = engine.open_sequence(ids.len(), KvFormat::F32).unwrap();
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

#[test]
fn logits_are_those_of_transformers() {
    for name in NAMES {
        let expected = Reference::of(name);
        assert!(expected.deviation() >= 1.0, "{name}");
        let difference = expected.difference(&logits(&imported(name), &expected.ids));
        assert!(difference <= 1e-4, "{name}: {difference:e}");
    }
}

#[test]
fn the_naive_forward_pass_agrees() {
    for name in NAMES {
        let expected = Reference::of(name);
        let bytes = imported(name);
        let rows = reference::forward(&Package::parse(&bytes).unwrap(), &expected.ids);
        let narrow = |row: &Vec<f64>| row.iter().map(|l| *l as f32).collect();
        let rows: Vec<Vec<f32>> = rows.iter().map(narrow).collect();
        let difference = expected.difference(&rows);
        assert!(difference <= 1e-4, "{name}: {difference:e}");
    }
}

/// An option, and how it is switched off.
type Switch = (&'static str, fn(&mut ModelConfig));

/// Every option that can be switched off without new weights.
const SWITCHES: &[Switch] = &[
    ("norm_kind", |c| c.norm_kind = NormKind::Rms),
    ("norm_place", |c| c.norm_place = NormPlace::Pre),
    ("activation", |c| {
        c.activation = match c.activation {
            Activation::Silu => Activation::GeluTanh,
            _ => Activation::Silu,
        };
    }),
    ("position_kind", |c| {
        c.position_kind = PositionKind::None;
        c.rope_theta = 10000.0;
        c.rope_theta_per_layer.clear();
        c.rotary_fraction = 1.0;
        unscaled(c);
    }),
    ("rope_theta_per_layer", |c| c.rope_theta_per_layer.clear()),
    ("rope_scaling_kind", unscaled),
    ("rope_scaling_layers", |c| c.rope_scaling_layers.clear()),
    ("yarn's attention factor", |c| {
        if c.rope_scaling_kind == RopeScalingKind::Yarn {
            c.rope_scaling_params[3] = 1.0;
        }
    }),
    ("rotary_fraction", |c| c.rotary_fraction = 1.0),
    ("sliding_window", |c| {
        c.attention_kinds.clear();
        c.sliding_window = 0;
    }),
    ("attention_kinds", |c| {
        if c.sliding_window > 0 {
            c.attention_kinds = vec![1; c.n_layers];
        }
    }),
    ("attention_scale", |c| c.attention_scale = 0.0),
    ("attention_softcap", |c| c.attention_softcap = 0.0),
    ("logits_softcap", |c| c.logits_softcap = 0.0),
    ("qk_norm", |c| c.qk_norm = QkNorm::None),
    ("qkv_bias", |c| c.qkv_bias = false),
    ("attention_out_bias", |c| c.attention_out_bias = false),
    ("ffn_bias", |c| c.ffn_bias = false),
    ("parallel_residual", |c| c.parallel_residual = false),
    ("embedding_scale", |c| c.embedding_scale = 1.0),
];

fn unscaled(config: &mut ModelConfig) {
    config.rope_scaling_kind = RopeScalingKind::None;
    config.rope_scaling_factor = 1.0;
    config.rope_scaling_params.clear();
    config.rope_scaling_layers.clear();
}

/// The package with another configuration, and those of its tensors that this one calls for.
fn changed(bytes: &[u8], config: ModelConfig) -> Vec<u8> {
    let package = Package::parse(bytes).unwrap();
    let head = &package.head;
    let tensors = schema::expected_tensors(&config).map(|expected| {
        let entry = head.directory.get(expected.name.as_str()).unwrap();
        let plan = TensorPlan {
            name: entry.name.clone(),
            format: entry.format,
            shape: entry.shape.clone(),
        };
        (plan, package.tensor_bytes(entry))
    });
    let tensors = tensors.collect();
    let parts = ModelParts {
        config,
        tokenizer: head.tokenizer.clone(),
        chat_template: None,
        metadata: head.metadata.clone(),
        unknown: Vec::new(),
    };
    write_model(&parts, tensors, &[]).unwrap()
}

#[test]
fn every_option_moves_the_logits() {
    let mut n_met = vec![0; SWITCHES.len()];
    for name in NAMES {
        let bytes = imported(name);
        let config = Package::parse(&bytes).unwrap().head.config.clone();
        let ids = Reference::of(name).ids;
        let whole = logits(&bytes, &ids);
        for ((option, switch_off), n_met) in SWITCHES.iter().zip(&mut n_met) {
            let mut without = config.clone();
            switch_off(&mut without);
            if without == config {
                continue;
            }
            let moved = logits(&changed(&bytes, without), &ids);
            let difference = largest_difference(whole.iter().flatten(), moved.iter().flatten());
            assert!(difference > 1e-2, "{name} {option}: {difference:e}");
            *n_met += 1;
        }
    }
    for ((option, _), n_met) in SWITCHES.iter().zip(n_met) {
        assert!(n_met > 0, "no model has {option}");
    }
}

#[test]
fn the_families_are_told_apart_by_their_options() {
    let config = |name: &str| {
        let bytes = imported(name);
        Package::parse(&bytes).unwrap().head.config.clone()
    };
    let gpt2 = config("gpt2");
    assert_eq!(
        (gpt2.ffn_kind, gpt2.position_kind, gpt2.tied_output),
        (FfnKind::Plain, PositionKind::Learned, true)
    );
    let neox = config("gpt_neox");
    assert!(neox.parallel_residual && neox.rotary_fraction == 0.5 && !neox.tied_output);
    let gemma3 = config("gemma3");
    assert_eq!(gemma3.rope_scaling_layers, [0, 0, 1]);
    assert_eq!(gemma3.rope_theta_per_layer, [1000.0, 1000.0, 50000.0]);
}
