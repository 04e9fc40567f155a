//! A real model, imported and computed, against reference numbers by other programs: greedy ids,
//! logits at every position, likelihood of a text in every format.
//!
//! Needs `CULTIVAR_DATA`; says so and passes without it. `docs/numerics.md` quotes the figures.

mod made;
mod numerics;

use cultivar_core::json::JsonValue;
use cultivar_core::model::Engine;
use cultivar_import::TargetFormat;
use made::{import, options};
use numerics::*;
use std::path::Path;

fn engine(folder: &Path, format: TargetFormat) -> Engine {
    let read = |name: &str| std::fs::read(folder.join("models/stories260K").join(name)).unwrap();
    let (checkpoint, tokenizer) = (read("stories260K.bin"), read("tok512.bin"));
    let files = [
        ("stories260K.bin", &checkpoint[..]),
        ("tok512.bin", &tokenizer[..]),
    ];
    let bytes = import(&files, options(format), 1 << 20).unwrap();
    engine_of(&bytes)
}

#[test]
fn greedy_ids_are_those_of_the_reference() {
    let Some(folder) = data() else { return };
    let mut engine = engine(&folder, TargetFormat::F32);
    for prompt in list(&reference(&folder, "stories260K.json"), "prompts") {
        let (ids, expected) = (ids_of(prompt, "token_ids"), ids_of(prompt, "greedy_ids"));
        assert_eq!(expected.len(), 64);
        let (got, _) = greedy(&mut engine, &ids, expected.len());
        assert_eq!(got, expected, "{:?}", prompt.get("prompt"));
    }
}

#[test]
fn logits_are_those_of_the_reference_at_every_position() {
    let Some(folder) = data() else { return };
    let mut engine = engine(&folder, TargetFormat::F32);
    for (i, prompt) in list(&reference(&folder, "stories260K.json"), "prompts")
        .iter()
        .enumerate()
    {
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
    let reference = reference(&folder, "stories260K.json");
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
