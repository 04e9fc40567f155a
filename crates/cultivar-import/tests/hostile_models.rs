//! Models that were damaged on purpose, through the whole import: scales that are no numbers in
//! every element type, files cut anywhere, sizes beyond 2 and 4 GiB, vocabularies that do not fit.
//! Each is refused with its file and what is wrong there, and no damage makes the importer panic.

mod made;

use cultivar_core::bytes::Reader;
use cultivar_import::ggml::GgmlType;
use cultivar_import::{
    ImportError, ImportErrorKind as Kind, ImportOptions, ImportStep, Importer, SourceInfo,
    TargetFormat,
};
use cultivar_testdata::family;
use cultivar_testdata::foreign_files::{GgufBuilder, safetensors_file};
use cultivar_testdata::random_text::RandomText;
use cultivar_testdata::small_llama::{
    CONFIG, TENSORS, counting_weights, gguf_metadata, gguf_of, gguf_tensors,
};
use made::{import, options};

fn refusal(files: &[(&str, &[u8])]) -> ImportError {
    let made = import(files, options(TargetFormat::Keep), 1 << 16);
    made.map(|package| package.len()).unwrap_err()
}

/// Blocks of a type, written by `fixtures/make/ggml_blocks.py`.
fn reference_blocks(wanted: &GgmlType) -> Vec<u8> {
    let mut reader = Reader::new(include_bytes!("../../../fixtures/ggml/blocks.bin"));
    loop {
        let kind = GgmlType::find(reader.u32().unwrap()).unwrap();
        let n_blocks = reader.u32().unwrap() as usize;
        let blocks = reader.take(n_blocks * kind.block_bytes as usize).unwrap();
        reader.take(n_blocks * kind.block_len as usize * 4).unwrap();
        if kind == wanted {
            return blocks.to_vec();
        }
    }
}

/// Where the scales and minima of a block lie, as half floats.
const SCALES: &[(&str, &[usize])] = &[
    ("f16", &[0]),
    ("q4_0", &[0]),
    ("q4_1", &[0, 2]),
    ("q5_0", &[0]),
    ("q5_1", &[0, 2]),
    ("q8_0", &[0]),
    ("q2_k", &[80, 82]),
    ("q3_k", &[108]),
    ("q4_k", &[0, 2]),
    ("q5_k", &[0, 2]),
    ("q6_k", &[208]),
    ("iq4_nl", &[0]),
    ("iq4_xs", &[0]),
    ("tq1_0", &[52]),
    ("tq2_0", &[64]),
];

#[test]
fn a_scale_that_is_no_number_is_refused_in_every_type() {
    for (name, places) in SCALES {
        let kind = GgmlType::by_name(name).unwrap();
        let row_bytes = kind.row_bytes(256).unwrap() as usize;
        let blocks = match *name {
            "f16" => vec![0; 512],
            _ => reference_blocks(kind),
        };
        let good: Vec<u8> = blocks.into_iter().cycle().take(256 * row_bytes).collect();
        for place in *places {
            for bits in [0x7E00_u16, 0xFE01, 0x7C00, 0xFC00] {
                let mut bytes = good.clone();
                let at = 200 * row_bytes + place;
                bytes[at..at + 2].copy_from_slice(&bits.to_le_bytes());
                let mut tensors = gguf_tensors();
                (tensors[9].2, tensors[9].3) = (kind.id, bytes);
                let file = gguf_of(gguf_metadata(&[]), &tensors);
                let error = refusal(&[("m.gguf", &file)]);
                let is_named = matches!(error.kind, Kind::NotFinite | Kind::ScaleNotFinite);
                assert!(is_named, "{name} {place} {bits:x}: {error}");
                let about = (error.file.as_str(), error.field.as_str());
                assert_eq!(about, ("m.gguf", "layers.0.w_down"), "{name}");
                let row = match error.kind {
                    Kind::NotFinite => error.numbers[0] / 256,
                    _ => error.numbers[0],
                };
                assert_eq!(row, 200, "{name} {place}: {error}");
            }
        }
    }
}

#[test]
fn a_model_cut_anywhere_is_refused_with_its_file() {
    let gguf = gguf_of(gguf_metadata(&[]), &gguf_tensors());
    let weights = counting_weights();
    let tokenizer = family::file("hf/tokenizer.json");
    let places = |len: usize| {
        (0..len.min(400))
            .chain((400..len).step_by(1499))
            .chain(len - 40..len)
    };
    for n in places(gguf.len()) {
        let error = refusal(&[("m.gguf", &gguf[..n])]);
        assert_eq!(error.file.as_str(), "m.gguf", "{n}: {error}");
    }
    for n in places(weights.len()) {
        let error = refusal(&[
            ("config.json", CONFIG.as_bytes()),
            ("model.safetensors", &weights[..n]),
            ("tokenizer.json", &tokenizer),
        ]);
        assert_eq!(error.file.as_str(), "model.safetensors", "{n}: {error}");
    }
    for (name, whole) in [
        ("config.json", CONFIG.as_bytes()),
        ("tokenizer.json", &tokenizer),
    ] {
        for n in places(whole.trim_ascii_end().len()) {
            let mut files = [
                ("config.json", CONFIG.as_bytes()),
                ("model.safetensors", &weights[..]),
                ("tokenizer.json", &tokenizer[..]),
            ];
            let cut = files.iter_mut().find(|(file, _)| *file == name).unwrap();
            cut.1 = &whole[..n];
            let error = refusal(&files);
            assert_eq!(error.file.as_str(), name, "{n}: {error}");
        }
    }
}

#[test]
fn random_damage_is_imported_or_refused() {
    let good = gguf_of(gguf_metadata(&[]), &gguf_tensors());
    let head_len = good.len() - gguf_tensors().iter().map(|t| t.3.len()).sum::<usize>();
    let mut random = RandomText::default();
    let mut n_refused = 0;
    for round in 0..1500 {
        let mut bytes = good.clone();
        for _ in 0..=round % 3 {
            let at = random.below(head_len as u64) as usize;
            bytes[at] = random.below(256) as u8;
        }
        if let Err(error) = import(&[("m.gguf", &bytes)], options(TargetFormat::Keep), 1 << 20) {
            assert!(!error.to_string().is_empty());
            n_refused += 1;
        }
    }
    assert!(n_refused > 300, "{n_refused}");
}

/// What an importer says once it has seen the first bytes of files that claim these lengths.
fn refusal_of_heads(files: &[(&str, &[u8], u64)]) -> ImportError {
    let info = |(name, _, bytes): &(&str, &[u8], u64)| SourceInfo {
        name: name.to_string(),
        bytes: *bytes,
    };
    let sources = files.iter().map(info).collect();
    let mut importer = Importer::new(sources, ImportOptions::default()).unwrap();
    loop {
        match importer.step(1 << 16) {
            Err(error) => return error,
            Ok(ImportStep::Read {
                source,
                offset,
                len,
            }) => {
                let (name, bytes, _) = files[source];
                let end = (offset + len) as usize;
                let range = bytes.get(offset as usize..end);
                let range = range.unwrap_or_else(|| panic!("{name}: weights were asked for"));
                importer.supply(range).map_or_else(|_| (), |()| ());
            }
            Ok(step) => panic!("{step:?} of a model that is too large"),
        }
    }
}

/// The head of a GGUF file of f32 tensors of these shapes, and the length that it claims.
fn gguf_head(d_model: u64, d_ff: u64, n_layers: u64) -> (Vec<u8>, u64) {
    let without = [
        "llama.embedding_length",
        "llama.feed_forward_length",
        "llama.block_count",
    ];
    let mut file = gguf_metadata(&without);
    for (key, value) in without.iter().zip([d_model, d_ff, n_layers]) {
        file = file.u32(key, value as u32);
    }
    let mut end = 0;
    let mut add = |file: GgufBuilder, name: &str, shape: &[u64]| {
        let file = file.info(name, shape, 0, end);
        end += shape.iter().product::<u64>() * 4;
        file
    };
    file = add(file, "token_embd.weight", &[262, d_model]);
    for layer in 0..n_layers {
        for (name, shape) in [
            ("attn_norm", &[d_model][..]),
            ("attn_q", &[d_model, d_model]),
            ("attn_k", &[d_model / 4, d_model]),
            ("attn_v", &[d_model / 4, d_model]),
            ("attn_output", &[d_model, d_model]),
            ("ffn_norm", &[d_model]),
            ("ffn_gate", &[d_ff, d_model]),
            ("ffn_up", &[d_ff, d_model]),
            ("ffn_down", &[d_model, d_ff]),
        ] {
            file = add(file, &format!("blk.{layer}.{name}.weight"), shape);
        }
    }
    file = add(file, "output_norm.weight", &[d_model]);
    let mut head = file.build();
    let file_bytes = head.len() as u64 + end;
    // What a first read may ask for lies beyond the header.
    head.resize(head.len() + (1 << 18), 0);
    (head, file_bytes)
}

#[test]
fn models_beyond_the_limits_are_refused_before_a_weight_is_read() {
    // A tensor of 4 GiB, whose length in 32 bits is 0; then a model of 6 GiB of smaller ones.
    for (d_model, d_ff, n_layers) in [(1024, 1 << 20, 1), (256, 1 << 20, 2)] {
        let (head, file_bytes) = gguf_head(d_model, d_ff, n_layers);
        assert!(file_bytes > 1 << 32);
        let error = refusal_of_heads(&[("m.gguf", &head, file_bytes)]);
        assert!(matches!(error.kind, Kind::Package(_)), "{error}");
        assert_eq!(error.file.as_str(), "m.gguf", "{error}");
        // The same claims of a file that is 4 GiB shorter: what a 32-bit sum would take for right.
        let error = refusal_of_heads(&[("m.gguf", &head, file_bytes - (1 << 32))]);
        assert_eq!(
            (error.kind.clone(), error.file.as_str()),
            (Kind::TensorPlace, "m.gguf")
        );
    }
    let big = CONFIG.replace("\"intermediate_size\":64", "\"intermediate_size\":1048576");
    let big = big.replace("\"num_hidden_layers\":1", "\"num_hidden_layers\":20");
    let (mut header, mut end) = (String::from("{"), 0);
    let mut put = |name: &str, shape: &[u64]| {
        let begin = end;
        end += shape.iter().product::<u64>() * 2;
        header += &format!("\"{name}\":{{\"dtype\":\"F16\",\"shape\":{shape:?},");
        header += &format!("\"data_offsets\":[{begin},{end}]}},");
    };
    for layer in 0..20 {
        for (name, shape) in TENSORS.iter().filter(|(name, _)| name.contains(".0.")) {
            let name = name.replace(".0.", &format!(".{layer}."));
            let shape: Vec<u64> = shape
                .iter()
                .map(|n| if *n == 64 { 1 << 20 } else { *n })
                .collect();
            put(&name, &shape);
        }
    }
    for (name, shape) in TENSORS.iter().filter(|(name, _)| !name.contains(".0.")) {
        put(name, shape);
    }
    header.pop();
    let file = safetensors_file(&(header + "}"), &[]);
    let file_bytes = file.len() as u64 + end;
    let tokenizer = family::file("hf/tokenizer.json");
    let with = |file_bytes: u64| {
        refusal_of_heads(&[
            ("config.json", big.as_bytes(), big.len() as u64),
            ("model.safetensors", &file, file_bytes),
            ("tokenizer.json", &tokenizer, tokenizer.len() as u64),
        ])
    };
    let error = with(file_bytes);
    assert!(matches!(error.kind, Kind::Package(_)), "{error}");
    assert_eq!(error.file.as_str(), "model.safetensors");
    for shorter in [1, 1 << 20, 1 << 31] {
        let error = with(file_bytes - shorter);
        assert_eq!(
            (error.kind.clone(), error.file.as_str()),
            (Kind::TensorPlace, "model.safetensors")
        );
    }
}

#[test]
fn vocabularies_of_folders_that_do_not_fit_are_named() {
    let weights = counting_weights();
    let many: Vec<String> = (0..1025).map(|id| format!("\"t{id}\":{id}")).collect();
    let of = |vocabulary: &str, merges: &str| {
        refusal(&[
            ("config.json", CONFIG.as_bytes()),
            ("model.safetensors", &weights),
            ("vocab.json", vocabulary.as_bytes()),
            ("merges.txt", merges.as_bytes()),
        ])
    };
    let error = of(&format!("{{{}}}", many.join(",")), "#version: 0.2\n");
    assert_eq!(
        (error.kind.clone(), error.field.as_str()),
        (Kind::SizesDisagree, "vocabulary")
    );
    let abc = r#"{"a":0,"b":1,"ab":2}"#;
    for (vocabulary, merges, says) in [
        (abc, "a b\na b\n", "merge 1 repeats an earlier one"),
        // A circle needs a piece that is longer than itself: what it makes is no piece.
        (abc, "a b\nab a\n", "merge 1 joins is no piece"),
        (abc, "a c\n", "merge 0"),
        (abc, "a b c\n", "merge 0"),
        (r#"{"a":0,"b":0}"#, "\n", "b"),
        (r#"{"a":0,"a":1}"#, "\n", "a"),
    ] {
        let error = of(vocabulary, merges).to_string();
        assert!(error.contains(says), "{vocabulary} {merges:?}: {error}");
        let names_file = ["merges.txt", "vocab.json"]
            .iter()
            .any(|name| error.contains(name));
        assert!(names_file, "{error}");
    }
}
