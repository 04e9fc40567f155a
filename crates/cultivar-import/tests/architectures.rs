//! Tiny random models of every supported architecture, made with transformers, imported from
//! their Hugging Face files: logits must be transformers', and each option must matter.
//!
//! `fixtures/make/architectures.py` says how they were made.

use cultivar_core::package::{
    Activation, FfnKind, ModelConfig, ModelParts, NormKind, NormPlace, Package, PositionKind,
    QkNorm, RopeScalingKind, TensorPlan, schema, write_model,
};
use cultivar_import::TargetFormat;
use made::{import, options};
use transformers_numbers::{Reference, folder, largest_difference, logits, read};

mod made;
mod transformers_numbers;

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

#[test]
fn logits_are_those_of_transformers() {
    for name in NAMES {
        Reference::of(name).check_logits(name, &imported(name));
    }
}

#[test]
fn the_naive_forward_pass_agrees() {
    for name in NAMES {
        Reference::of(name).check_naive(name, &imported(name));
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
