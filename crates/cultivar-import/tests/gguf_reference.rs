//! GGUF files of real models, imported and computed, against the same weights dequantized and
//! multiplied in float32 by transformers, and against llama.cpp.
//!
//! Needs `CULTIVAR_DATA`; says so and passes without it. `docs/numerics.md` quotes the figures.

mod made;
mod numerics;

use cultivar_core::json::JsonValue;
use cultivar_core::model::Engine;
use cultivar_core::package::Package;
use cultivar_import::{TargetFormat, gguf};
use made::{import, options};
use numerics::*;
use std::path::Path;

/// Model folder, file stem, reference file, variants.
const MODELS: &[(&str, &str, &str, &[&str])] = &[
    (
        "models/stories260K/gguf",
        "stories260K",
        "stories260K.json",
        &["f32", "f16", "q8_0", "q4_0"],
    ),
    (
        "models/rot256/gguf",
        "TinyStories-656K-rot256",
        "TinyStories-656K-rot256.json",
        &["f32", "q8_0", "q6_k", "q4_k_m", "pure-q4_k", "q4_0"],
    ),
];

fn imported(file: &[u8], name: &str, format: TargetFormat) -> Vec<u8> {
    import(&[(name, file)], options(format), 1 << 20).unwrap()
}

/// How an import compares with its reference.
struct Figures {
    nll_off: f64,
    top10_off: f64,
    llama_cpp_off: f64,
    /// The first greedy id that differs, and the reference's gap between its two best there.
    differs_at: Option<(usize, f64)>,
}

fn figures(engine: &mut Engine, exact: &mut Engine, text: &[u32], variant: &JsonValue) -> Figures {
    let reference = variant.get("dequantized_f32_hf").unwrap();
    let got = negative_log_likelihood(&all_logits(engine, text), text);
    let expected = reference.get("eval_nll_sum").unwrap().as_f64().unwrap();
    let prompt = ids_of(variant, "prompt_ids");
    let expected_ids = ids_of(reference, "greedy_ids");
    let (ids, taken) = greedy(engine, &prompt, expected_ids.len());
    let top = list(reference, "top10");
    let llama_cpp = list(variant.get("llama_cpp").unwrap(), "top10");
    let of_llama_cpp = |id: u32| {
        let pairs = llama_cpp.iter().filter_map(JsonValue::as_array);
        pairs
            .filter(|pair| pair[0].as_u32() == Some(id))
            .find_map(|pair| pair[1].as_f64())
    };
    let differs_at = (0..ids.len()).find(|&i| ids[i] != expected_ids[i]);
    Figures {
        nll_off: got / expected - 1.0,
        top10_off: largest_difference(top, |id| Some(f64::from(taken[0][id as usize]))),
        llama_cpp_off: largest_difference(top, of_llama_cpp),
        differs_at: differs_at.map(|at| {
            // The reference's logits there: the same weights in f32, on the way that both took.
            let whole = [&prompt[..], &expected_ids[..at]].concat();
            let mut logits = all_logits(exact, &whole).pop().unwrap();
            logits.sort_by(|a, b| b.total_cmp(a));
            (at, f64::from(logits[0] - logits[1]))
        }),
    }
}

#[test]
fn imports_are_as_near_to_their_own_weights_as_promised() {
    let Some(folder) = data() else { return };
    for (models, stem, reference_file, variants) in MODELS {
        let reference = reference(&folder, reference_file);
        let text = ids_of(reference.get("eval").unwrap(), "token_ids");
        for variant in *variants {
            let name = format!("{stem}-{variant}.gguf");
            let file = std::fs::read(folder.join(models).join(&name)).unwrap();
            let package = imported(&file, &name, TargetFormat::Keep);
            let mut engine = engine_of(&package);
            let mut exact = engine_of(&imported(&file, &name, TargetFormat::F32));
            let stated = reference.get("gguf_variants").unwrap().get(&name).unwrap();
            let figures = figures(&mut engine, &mut exact, &text, stated);
            println!(
                "{name}: {} bytes, nll {:+.4} %, top-10 {:.4} (llama.cpp {:.4}), differs {:?}",
                package.len(),
                100.0 * figures.nll_off,
                figures.top10_off,
                figures.llama_cpp_off,
                figures.differs_at
            );
            assert!(figures.nll_off.abs() <= 0.002, "{name}");
            // Both at the rounding of float32 is near enough.
            let allowed = (2.0 * figures.llama_cpp_off).max(1e-4);
            assert!(figures.top10_off <= allowed, "{name}");
            let gap = figures.differs_at.map_or(0.0, |(_, gap)| gap);
            assert!(gap <= figures.top10_off, "{name}: {:?}", figures.differs_at);
        }
    }
}

/// The rows of the package's tensor, as blocks in ggml's order and with rotary rows put back.
fn back_in_row_order(package: &Package<'_>, name: &str, head_dim: usize) -> Vec<u8> {
    let tensor = package.tensor(name).unwrap();
    let rotary = name.ends_with("w_q") || name.ends_with("w_k");
    let n_bytes = tensor.d_in / (32 * tensor.format.super_blocks) * tensor.format.block_bytes;
    let mut rows = vec![0; n_bytes * tensor.d_out];
    cultivar_core::tensor::tile::tiles_to_rows(
        &mut rows,
        tensor.format,
        tensor.bytes,
        tensor.d_out,
        tensor.d_in,
    )
    .unwrap();
    let half = head_dim / 2;
    let order = |row: usize| match rotary {
        true => row / head_dim * head_dim + row % 2 * half + row % head_dim / 2,
        false => row,
    };
    let source = (0..tensor.d_out).map(|row| &rows[order(row) * n_bytes..][..n_bytes]);
    source.flatten().copied().collect()
}

#[test]
fn kept_blocks_are_those_of_the_file() {
    let Some(folder) = data() else { return };
    for name in ["q8_0", "q4_0", "q6_k", "q4_k_m", "pure-q4_k"] {
        let name = format!("TinyStories-656K-rot256-{name}.gguf");
        let file =
            std::fs::read(Path::new(&folder).join("models/rot256/gguf").join(&name)).unwrap();
        let bytes = imported(&file, &name, TargetFormat::Keep);
        let package = Package::parse(&bytes).unwrap();
        package.verify_tensors().unwrap();
        let gguf::Parsed::Whole(gguf) = gguf::Gguf::parse(&file, file.len() as u64).unwrap() else {
            panic!("{name}");
        };
        for (theirs, ours) in [
            ("blk.1.attn_q.weight", "layers.1.w_q"),
            ("blk.0.attn_k.weight", "layers.0.w_k"),
            ("blk.1.attn_v.weight", "layers.1.w_v"),
            ("blk.1.ffn_down.weight", "layers.1.w_down"),
            ("token_embd.weight", "token_embedding"),
        ] {
            let tensor = gguf.tensor(theirs).unwrap();
            let start = tensor.offset as usize;
            let expected = &file[start..start + tensor.bytes as usize];
            let head_dim = package.head.config.head_dim;
            assert!(
                back_in_row_order(&package, ours, head_dim) == expected,
                "{name} {theirs}"
            );
        }
    }
}
