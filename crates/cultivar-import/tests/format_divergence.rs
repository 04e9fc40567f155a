//! What formats cost a real model: Kullback-Leibler divergence of its next-token distributions
//! from those of its f32 weights, over a text, and the bytes of its tensors.
//!
//! The demo family needs nothing; the other models need `CULTIVAR_DATA`. `docs/numerics.md` quotes
//! the figures.

mod made;
mod numerics;

use cultivar_core::package::Package;
use cultivar_import::TargetFormat;
use cultivar_testdata::family::{self, SKILLS};
use made::{import, options};
use numerics::*;

const FORMATS: [TargetFormat; 6] = [
    TargetFormat::Q8_0,
    TargetFormat::Q6K,
    TargetFormat::Q5_0,
    TargetFormat::Q4K,
    TargetFormat::Q4_0,
    TargetFormat::Q4KM,
];

/// A model: its files, and the ids of texts.
struct Model {
    name: &'static str,
    files: Vec<(String, Vec<u8>)>,
    texts: Vec<Vec<u32>>,
}

fn models() -> Vec<Model> {
    let named = |name: &str, bytes: Vec<u8>| (name.to_string(), bytes);
    let cases = SKILLS
        .iter()
        .flat_map(|skill| family::cases(skill, "public").into_iter().step_by(8));
    let written = cases.map(|case| [case.prompt_ids, case.expected_ids].concat());
    let mut models = vec![Model {
        name: "sprout",
        files: vec![
            named("sprout.bin", family::file("llama2c/sprout.bin")),
            named("sprout-tok.bin", family::file("llama2c/sprout-tok.bin")),
        ],
        texts: written.collect(),
    }];
    let Some(folder) = data() else { return models };
    for (name, file, reference_file) in [
        (
            "stories260K",
            "models/stories260K/gguf/stories260K-f32.gguf",
            "stories260K.json",
        ),
        (
            "TinyStories-656K-rot256",
            "models/rot256/gguf/TinyStories-656K-rot256-f32.gguf",
            "TinyStories-656K-rot256.json",
        ),
    ] {
        let reference = reference(&folder, reference_file);
        models.push(Model {
            name,
            files: vec![named(
                "model.gguf",
                std::fs::read(folder.join(file)).unwrap(),
            )],
            texts: vec![ids_of(reference.get("eval").unwrap(), "token_ids")],
        });
    }
    models
}

/// Mean over positions of `sum p ln(p / q)`, in nats.
fn divergence(of: &[Vec<f32>], from: &[Vec<f32>]) -> f64 {
    let logarithms = |row: &Vec<f32>| -> Vec<f64> {
        let max = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let sum: f64 = row.iter().map(|v| (f64::from(*v) - max).exp()).sum();
        row.iter().map(|v| f64::from(*v) - max - sum.ln()).collect()
    };
    let of_one = |(q, p): (&Vec<f32>, &Vec<f32>)| -> f64 {
        let (q, p) = (logarithms(q), logarithms(p));
        p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum()
    };
    of.iter().zip(from).map(of_one).sum::<f64>() / of.len() as f64
}

#[test]
fn q4_k_is_nearer_than_q4_0() {
    for model in models() {
        let files: Vec<(&str, &[u8])> = model
            .files
            .iter()
            .map(|(name, bytes)| (name.as_str(), &bytes[..]))
            .collect();
        let made = |format: TargetFormat| import(&files, options(format), 1 << 20).unwrap();
        let logits_of = |package: &[u8]| -> Vec<Vec<f32>> {
            let mut engine = engine_of(package);
            let texts = model.texts.iter();
            texts
                .flat_map(|text| all_logits(&mut engine, text))
                .collect()
        };
        let exact = logits_of(&made(TargetFormat::F32));
        let mut figures = Vec::new();
        for format in FORMATS {
            let package = made(format);
            let logits = logits_of(&package);
            let bytes = Package::parse(&package)
                .unwrap()
                .head
                .directory
                .data_bytes();
            let divergence = divergence(&logits, &exact);
            println!(
                "{} {}: {divergence:.6} nats, {bytes} bytes",
                model.name,
                format.name()
            );
            figures.push((format, divergence, bytes));
        }
        let of = |wanted: TargetFormat| figures.iter().find(|(format, _, _)| *format == wanted);
        let (_, q4_k, q4_k_bytes) = of(TargetFormat::Q4K).unwrap();
        let (_, q4_0, q4_0_bytes) = of(TargetFormat::Q4_0).unwrap();
        assert!(q4_k < q4_0, "{}", model.name);
        let ratio = *q4_k_bytes as f64 / *q4_0_bytes as f64;
        assert!(ratio <= 1.03, "{}: {ratio}", model.name);
    }
}
