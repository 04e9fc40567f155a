//! PEFT adapters of modules that files fuse, weave or store transposed, with patterns of ranks
//! and alphas: PEFT's logits with each adapter active.
//!
//! `fixtures/make/peft_adapters.py` says how they were made.

use cultivar_core::adapter::{Adapter, StackLimits};
use cultivar_core::json::{self, JsonValue};
use cultivar_core::model::Engine;
use cultivar_core::package::Package;
use cultivar_import::{LoraFile, LoraOptions, TargetFormat, import_adapter};
use made::{import, options};
use std::path::PathBuf;
use transformers_numbers::{Reference, engine, folder, largest_difference, logits_of, read};

mod made;
mod transformers_numbers;

fn peft(name: &str) -> PathBuf {
    folder().join("../peft").join(name)
}

/// The package of a folder of `fixtures/architectures`.
fn base(name: &str) -> Vec<u8> {
    let config = read(folder().join(name).join("config.json"));
    let weights = read(folder().join(name).join("model.safetensors"));
    let tokenizer = read(folder().join("tokenizer.json"));
    let files = [
        ("config.json", &config[..]),
        ("model.safetensors", &weights),
        ("tokenizer.json", &tokenizer),
    ];
    import(&files, options(TargetFormat::F32), 1 << 20).unwrap()
}

fn adapter(name: &str, base: &[u8], config: &[u8]) -> Vec<u8> {
    let weights = read(peft(name).join("adapter_model.safetensors"));
    let file = |name, bytes| LoraFile { name, bytes };
    let files = [
        file("adapter_config.json", config),
        file("adapter_model.safetensors", &weights[..]),
    ];
    let head = Package::parse(base).unwrap().head;
    import_adapter(&files, &head, &LoraOptions::default())
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Logits with the adapter, and without it.
fn both_logits(name: &str, config: &[u8], ids: &[u32]) -> [Vec<Vec<f32>>; 2] {
    let base = base(name);
    let adapter = adapter(name, &base, config);
    let mut engine = engine(&base);
    let plain = logits_of(&mut engine, None, ids);
    [logits_with(&mut engine, &adapter, ids), plain]
}

/// Logits with an adapter's package.
fn logits_with(engine: &mut Engine, package: &[u8], ids: &[u32]) -> Vec<Vec<f32>> {
    let parsed = Adapter::parse(package).unwrap();
    let limits = StackLimits::default();
    let mut stack = engine.new_stack(limits);
    let loaded = engine.load_adapter(&parsed, limits).unwrap();
    stack.push(loaded, 1.0).unwrap();
    logits_of(engine, Some(stack), ids)
}

#[test]
fn logits_are_those_of_peft() {
    for name in ["phi3", "gpt2", "gpt_neox", "qwen2", "gemma3"] {
        let expected = Reference::with_logits(name, peft(name).join("logits.f32"));
        let config = read(peft(name).join("adapter_config.json"));
        let [with, without] = both_logits(name, &config, &expected.ids);
        let difference = expected.difference(&with);
        assert!(difference <= 1e-4, "{name}: {difference:e}");
        let moved = largest_difference(with.iter().flatten(), without.iter().flatten());
        assert!(moved > 0.1, "{name}: {moved}");
    }
}

#[test]
fn gguf_files_of_the_same_adapters_give_the_same_logits() {
    for name in ["phi3", "gpt2", "gpt_neox", "gemma3"] {
        let expected = Reference::with_logits(name, peft(name).join("logits.f32"));
        let base = base(name);
        let file = read(peft(name).join("adapter.gguf"));
        let files = [LoraFile {
            name: "adapter.gguf",
            bytes: &file[..],
        }];
        let head = Package::parse(&base).unwrap().head;
        let package = import_adapter(&files, &head, &LoraOptions::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let difference =
            expected.difference(&logits_with(&mut engine(&base), &package, &expected.ids));
        assert!(difference <= 1e-4, "{name}: {difference:e}");
    }
}

#[test]
fn every_pattern_of_alphas_matters() {
    for name in ["phi3", "gpt2", "gpt_neox", "qwen2"] {
        let expected = Reference::with_logits(name, peft(name).join("logits.f32"));
        let config = String::from_utf8(read(peft(name).join("adapter_config.json"))).unwrap();
        let value = json::parse(config.as_bytes()).unwrap();
        let patterns = value
            .get("alpha_pattern")
            .and_then(JsonValue::as_object)
            .unwrap();
        assert!(!patterns.is_empty());
        for (pattern, _) in patterns {
            let written = format!("{:?}:", pattern);
            let without = config.replace(&written, "\"nothing\":");
            assert_ne!(without, config, "{written}");
            let [with, _] = both_logits(name, without.as_bytes(), &expected.ids);
            let difference = expected.difference(&with);
            assert!(difference > 1e-2, "{name} {pattern}: {difference:e}");
        }
    }
}
