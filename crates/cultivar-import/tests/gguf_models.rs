//! GGUF files of every architecture, written by ggml's own Python package from the models of
//! `fixtures/architectures`: their logits must be transformers'.
//!
//! `fixtures/make/gguf_models.py` says how they were made.

use cultivar_core::package::{ModelConfig, Package, RopeScalingKind};
use cultivar_import::TargetFormat;
use made::{import, options};
use transformers_numbers::{Reference, folder, read};

mod made;
mod transformers_numbers;

const NAMES: [&str; 9] = [
    "llama-scaled",
    "llama-linear",
    "qwen2",
    "qwen3",
    "gemma2",
    "gemma3",
    "phi3",
    "gpt2",
    "gpt_neox",
];

fn imported(name: &str) -> Vec<u8> {
    let file = read(folder().join(format!("../gguf/{name}.gguf")));
    import(
        &[("model.gguf", &file)],
        options(TargetFormat::Keep),
        1 << 20,
    )
    .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn expected(name: &str) -> Reference {
    // Models that GGUF can say only with an option changed have logits of their own.
    let own = folder().join(format!("../gguf/{name}.logits.f32"));
    match own.exists() {
        true => Reference::with_logits(name, own),
        false => Reference::of(name),
    }
}

fn config(name: &str) -> ModelConfig {
    let bytes = imported(name);
    Package::parse(&bytes).unwrap().head.config.clone()
}

#[test]
fn logits_are_those_of_transformers() {
    for name in NAMES {
        expected(name).check_logits(name, &imported(name));
    }
}

#[test]
fn the_naive_forward_pass_agrees() {
    for name in NAMES {
        expected(name).check_naive(name, &imported(name));
    }
}

#[test]
fn the_divisors_of_a_short_context_give_their_numbers_back() {
    let config = config("llama-scaled");
    assert_eq!(config.rope_scaling_kind, RopeScalingKind::Llama3);
    assert_eq!(config.rope_scaling_factor, 8.0);
    assert_eq!(config.rope_scaling_params, [1.0, 4.0, 32.0]);
}

#[test]
fn windows_and_rotated_parts_are_read() {
    let phi3 = config("phi3");
    assert_eq!(
        (phi3.sliding_window, &phi3.attention_kinds[..]),
        (13, &[1, 1][..])
    );
    assert_eq!(phi3.rotary_fraction, 0.5);
    let gemma3 = config("gemma3");
    assert_eq!(gemma3.attention_kinds, [1, 1, 0]);
    assert_eq!(gemma3.rope_scaling_layers, [0, 0, 1]);
    assert_eq!(config("gemma2").attention_kinds, [1, 0]);
    assert_eq!(config("gpt_neox").rotary_fraction, 0.5);
    assert_eq!(config("qwen2").rope_scaling_kind, RopeScalingKind::Yarn);
}
