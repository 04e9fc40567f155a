//! Imports of made-up llama2.c files: what comes out is the right package, whatever the order of
//! files, the size of chunks and the format.

mod made;

use cultivar_core::json;
use cultivar_core::package::Package;
use cultivar_core::tensor::codec;
use cultivar_import::TargetFormat;
use made::{SMALL, Sizes, import, options, tokenizer_file};

fn small(format: TargetFormat, budget_bytes: u64) -> Vec<u8> {
    let (checkpoint, tokenizer) = (SMALL.checkpoint(), tokenizer_file());
    let files = [("small.bin", &checkpoint[..]), ("tok.bin", &tokenizer[..])];
    import(&files, options(format), budget_bytes).unwrap()
}

/// The weight `idx` places after the header of a made-up checkpoint.
fn weight(idx: usize) -> f32 {
    ((idx * 37) % 1009) as f32 / 512.0 - 1.0
}

#[test]
fn tensors_arrive_in_place_with_rotary_rows_half_split() {
    let bytes = small(TargetFormat::Keep, 1 << 20);
    let package = Package::parse(&bytes).unwrap();
    package.verify_tensors().unwrap();
    let config = &package.head.config;
    assert_eq!((config.d_model, config.d_ff, config.n_layers), (12, 64, 2));
    assert_eq!(
        (config.n_heads, config.n_kv_heads, config.head_dim),
        (2, 1, 6)
    );
    assert_eq!(
        (config.vocab_size, config.context_len, config.tied_output),
        (262, 6, false)
    );
    assert_eq!(package.head.metadata.text("name"), Some("small"));

    let row = |name: &str, row_idx: usize| {
        let tensor = package.tensor(name).unwrap();
        let mut out = vec![0.0; tensor.d_in];
        codec::decode_row(&mut out, tensor, row_idx);
        out
    };
    let run = |start: usize, n: usize| (start..start + n).map(weight).collect::<Vec<f32>>();
    // Places in the file, in the order of run.c.
    let embedding = 262 * 12;
    let w_q = embedding + 2 * 12;
    let w_k = w_q + 2 * 144;
    let w_v = w_k + 2 * 72;
    assert_eq!(row("token_embedding", 261), run(261 * 12, 12));
    assert_eq!(row("layers.1.attention_norm", 0), run(embedding + 12, 12));
    for (row_idx, source_row) in [
        (0, 0),
        (1, 2),
        (2, 4),
        (3, 1),
        (4, 3),
        (5, 5),
        (6, 6),
        (7, 8),
    ] {
        assert_eq!(
            row("layers.1.w_q", row_idx),
            run(w_q + 144 + source_row * 12, 12)
        );
    }
    assert_eq!(row("layers.0.w_k", 3), run(w_k + 12, 12));
    assert_eq!(row("layers.0.w_v", 3), run(w_v + 3 * 12, 12));
    let end = SMALL.n_weights();
    assert_eq!(row("output", 0), run(end - embedding, 12));
    let final_norm = end - embedding - 6 * 6 - 12;
    assert_eq!(row("final_norm", 0), run(final_norm, 12));
    let w_up = final_norm - 2 * 64 * 12;
    assert_eq!(row("layers.0.w_up", 63), run(w_up + 63 * 12, 12));
    assert_eq!(row("layers.1.w_down", 11), run(w_up - 64, 64));
}

#[test]
fn chunks_and_order_of_files_change_nothing() {
    for format in TargetFormat::ALL {
        let whole = small(format, u64::MAX);
        for budget_bytes in [0, 4096, 5000, 20_000] {
            assert!(
                small(format, budget_bytes) == whole,
                "{} {budget_bytes}",
                format.name()
            );
        }
        let (checkpoint, tokenizer) = (SMALL.checkpoint(), tokenizer_file());
        let files = [("tok.bin", &tokenizer[..]), ("small.bin", &checkpoint[..])];
        assert!(
            import(&files, options(format), 4096).unwrap() == whole,
            "{}",
            format.name()
        );
    }
}

#[test]
fn formats_are_chosen_per_row_length() {
    for (format, wide, narrow) in [
        (TargetFormat::F32, "f32", "f32"),
        (TargetFormat::F16, "f16", "f16"),
        (TargetFormat::Q8_0, "q8_0", "f16"),
        (TargetFormat::Q4_0, "q4_0", "f16"),
    ] {
        let bytes = small(format, 1 << 20);
        let package = Package::parse(&bytes).unwrap();
        package.verify_tensors().unwrap();
        let stored = |name: &str| package.head.directory.get(name).unwrap().format.name;
        assert_eq!(stored("layers.0.w_down"), wide, "rows of 64");
        assert_eq!(stored("layers.0.w_gate"), narrow, "rows of 12");
        assert_eq!(stored("layers.0.ffn_norm"), "f32");
        assert_eq!(stored("final_norm"), "f32");
    }
}

#[test]
fn the_record_names_sources_formats_and_losses() {
    let bytes = small(TargetFormat::Q8_0, 1 << 20);
    let package = Package::parse(&bytes).unwrap();
    let record = package.tail.conversion_record.as_deref().unwrap();
    let record = json::parse(record.as_bytes()).unwrap();
    let text = |value: &json::JsonValue, key: &str| {
        value
            .get(key)
            .and_then(|value| value.as_str())
            .unwrap()
            .to_string()
    };
    assert_eq!(text(&record, "schema"), "cultivar.conversion.v1");
    assert_eq!(text(&record, "format"), "q8_0");
    let sources = record.get("sources").unwrap().as_array().unwrap();
    assert_eq!(text(&sources[0], "name"), "small.bin");
    let digest = cultivar_core::digest::sha256(&SMALL.checkpoint());
    assert_eq!(text(&sources[0], "sha256"), digest.to_string());
    let digest = cultivar_core::digest::sha256(&tokenizer_file());
    assert_eq!(text(&sources[1], "sha256"), digest.to_string());
    let tensors = record.get("tensors").unwrap().as_array().unwrap();
    assert_eq!(tensors.len(), package.head.directory.entries().len());
    for tensor in tensors {
        let max = tensor.get("max_abs_error").unwrap().as_f64().unwrap();
        let rms = tensor.get("rms_error").unwrap().as_f64().unwrap();
        match text(tensor, "format").as_str() {
            "f32" => assert_eq!((max, rms), (0.0, 0.0)),
            // Half a step of a 127th of the largest weight, which is below 1, and f16's scale.
            "q8_0" => assert!(rms > 0.0 && rms <= max && max < 0.5 / 127.0 + 1e-3, "{max}"),
            _ => assert!(rms <= max && max <= 1.0 / 2048.0, "{max}"),
        }
    }
}

#[test]
fn a_tied_checkpoint_has_no_output_and_options_name_the_model() {
    let sizes = Sizes {
        vocab_size: 262,
        ..SMALL
    };
    let (checkpoint, tokenizer) = (sizes.checkpoint(), tokenizer_file());
    let mut chosen = options(TargetFormat::F32);
    chosen.name = "Tiny".into();
    chosen.license = "MIT".into();
    chosen.skip_unrecognised = true;
    let files = [
        ("a", &b"read me"[..]),
        ("b", &checkpoint),
        ("c", &[][..]),
        ("d", &tokenizer),
    ];
    let bytes = import(&files, chosen, 0).unwrap();
    let package = Package::parse(&bytes).unwrap();
    assert!(package.head.config.tied_output);
    assert!(package.tensor("output").is_none());
    assert_eq!(package.head.metadata.text("name"), Some("Tiny"));
    assert_eq!(package.head.metadata.text("license"), Some("MIT"));
    assert_eq!(package.head.metadata.text("source"), None);
}
