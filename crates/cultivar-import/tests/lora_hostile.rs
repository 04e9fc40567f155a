//! Adapters of others that must be refused: one case per rule, and damage everywhere.

use cultivar_core::adapter::{Adapter, DeltaKind};
use cultivar_core::json::{self, JsonValue};
use cultivar_core::package::{Head, Package};
use cultivar_import::{LoraFile, LoraOptions, LoraRule, import_adapter};
use cultivar_testdata::foreign_files::safetensors_file;
use cultivar_testdata::models::ModelSpec;

const CONFIG: &str = r#"{"peft_type":"LORA","lora_alpha":4,"r":2}"#;
const Q: &str = "base_model.model.model.layers.0.self_attn.q_proj";

fn base(spec: &ModelSpec) -> Head {
    Package::parse(&spec.build()).unwrap().head
}

/// A tensor of a safetensors file: name, element type, shape.
type Plan<'a> = (&'a str, &'a str, &'a [u64]);

fn safetensors(tensors: &[Plan<'_>]) -> Vec<u8> {
    let mut header = String::from("{");
    let mut data = Vec::new();
    for (i, (name, dtype, shape)) in tensors.iter().enumerate() {
        let n = shape.iter().product::<u64>() as usize;
        let start = data.len();
        for i in 0..n {
            let value = (i % 13) as f32 / 64.0 - 0.1;
            match *dtype {
                "F32" => data.extend(value.to_le_bytes()),
                "BF16" => data.extend(&value.to_le_bytes()[2..]),
                _ => data.extend(f64::from(value).to_le_bytes()),
            }
        }
        let comma = if i == 0 { "" } else { "," };
        header += &format!(
            "{comma}\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape:?},\
             \"data_offsets\":[{start},{}]}}",
            data.len()
        );
    }
    header.push('}');
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.extend(data);
    file
}

fn gguf(values: &[(&str, &str)], alpha: Option<f32>, tensors: &[(&str, u32, &[u64])]) -> Vec<u8> {
    let mut file = b"GGUF".to_vec();
    file.extend(3_u32.to_le_bytes());
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend((values.len() as u64 + u64::from(alpha.is_some())).to_le_bytes());
    let text = |file: &mut Vec<u8>, text: &str| {
        file.extend((text.len() as u64).to_le_bytes());
        file.extend(text.bytes());
    };
    for (key, value) in values {
        text(&mut file, key);
        file.extend(8_u32.to_le_bytes());
        text(&mut file, value);
    }
    if let Some(alpha) = alpha {
        text(&mut file, "adapter.lora.alpha");
        file.extend(6_u32.to_le_bytes());
        file.extend(alpha.to_le_bytes());
    }
    let mut offset = 0_u64;
    for (name, ggml_type, shape) in tensors {
        text(&mut file, name);
        file.extend((shape.len() as u32).to_le_bytes());
        shape
            .iter()
            .rev()
            .for_each(|dim| file.extend(dim.to_le_bytes()));
        file.extend(ggml_type.to_le_bytes());
        file.extend(offset.to_le_bytes());
        offset += (shape.iter().product::<u64>() * 4).next_multiple_of(32);
    }
    file.resize(file.len().next_multiple_of(32) + offset as usize, 0);
    file
}

fn code(files: &[(&str, &[u8])], base: &Head) -> i32 {
    let files: Vec<_> = files
        .iter()
        .map(|&(name, bytes)| LoraFile { name, bytes })
        .collect();
    match import_adapter(&files, base, &LoraOptions::default()) {
        Ok(_) => 0,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            error.code()
        }
    }
}

fn pair(rank: u64) -> Vec<u8> {
    let (a, b) = (format!("{Q}.lora_A.weight"), format!("{Q}.lora_B.weight"));
    safetensors(&[(&a, "F32", &[rank, 64]), (&b, "BF16", &[64, rank])])
}

#[test]
fn each_rule_has_a_file_that_breaks_it() {
    let base = base(&ModelSpec::tiny("f32"));
    let config = ("adapter_config.json", CONFIG.as_bytes());
    let good = pair(2);
    let good = ("adapter_model.safetensors", good.as_slice());
    assert_eq!(code(&[good, config], &base), 0);
    let refused = |rule: LoraRule, files: &[(&str, &[u8])]| {
        assert_eq!(code(files, &base), rule.code(), "{rule:?}");
    };
    refused(LoraRule::NoFile, &[]);
    refused(LoraRule::NoConfig, &[good]);
    refused(LoraRule::NoWeights, &[config]);
    refused(
        LoraRule::Unrecognised,
        &[config, ("adapter_model.bin", b"PK\x03\x04")],
    );
    refused(LoraRule::TwoOfAKind, &[config, config, good]);
    let other = br#"{"peft_type":"IA3"}"#;
    refused(LoraRule::OtherKind, &[("adapter_config.json", other), good]);
    let dora = br#"{"peft_type":"LORA","lora_alpha":4,"use_dora":true}"#;
    refused(LoraRule::Variant, &[("adapter_config.json", dora), good]);
    let no_alpha = br#"{"peft_type":"LORA"}"#;
    refused(
        LoraRule::ConfigField,
        &[("adapter_config.json", no_alpha), good],
    );
}

#[test]
fn tensors_that_do_not_belong_are_refused_by_name() {
    let base = base(&ModelSpec::tiny("f32"));
    let config = ("adapter_config.json", CONFIG.as_bytes());
    let with = |rule: LoraRule, tensors: &[Plan<'_>]| {
        let file = safetensors(tensors);
        assert_eq!(
            code(&[config, ("w", &file)], &base),
            rule.code(),
            "{rule:?} {tensors:?}"
        );
    };
    let (a, b) = (format!("{Q}.lora_A.weight"), format!("{Q}.lora_B.weight"));
    let (a, b) = (a.as_str(), b.as_str());
    let magnitude = format!("{Q}.lora_magnitude_vector");
    with(LoraRule::NoFile, &[]);
    with(LoraRule::Variant, &[(&magnitude, "F32", &[64])]);
    with(
        LoraRule::UnknownTensor,
        &[("base_model.model.lm_head.weight", "F32", &[2, 64])],
    );
    with(
        LoraRule::UnknownTensor,
        &[(&a[5..], "F32", &[2, 64]), (b, "F32", &[64, 2])],
    );
    let default_a = format!("{Q}.lora_A.default.weight");
    with(
        LoraRule::UnknownTensor,
        &[(a, "F32", &[2, 64]), (&default_a, "F32", &[2, 64])],
    );
    let rotary = a.replace("q_proj", "rotary");
    with(LoraRule::UnknownTensor, &[(&rotary, "F32", &[2, 64])]);
    let deep = [a.replace(".0.", ".3."), b.replace(".0.", ".3.")];
    with(
        LoraRule::UnknownTensor,
        &[(&deep[0], "F32", &[2, 64]), (&deep[1], "F32", &[64, 2])],
    );
    with(LoraRule::FactorMissing, &[(a, "F32", &[2, 64])]);
    with(LoraRule::FactorMissing, &[(b, "F32", &[64, 2])]);
    with(
        LoraRule::FactorShape,
        &[(a, "F32", &[2, 64]), (b, "F32", &[64, 3])],
    );
    with(
        LoraRule::FactorShape,
        &[(a, "F32", &[2, 60]), (b, "F32", &[64, 2])],
    );
    with(
        LoraRule::FactorShape,
        &[(a, "F32", &[2, 64]), (b, "F32", &[60, 2])],
    );
    with(
        LoraRule::FactorShape,
        &[(a, "F32", &[128]), (b, "F32", &[64, 2])],
    );
    with(
        LoraRule::FactorShape,
        &[(a, "F32", &[0, 64]), (b, "F32", &[64, 0])],
    );
    with(
        LoraRule::FactorFormat,
        &[(a, "F64", &[2, 64]), (b, "F32", &[64, 2])],
    );
    let tied = "base_model.model.model.embed_tokens.lora_embedding_";
    let (e_a, e_b) = (format!("{tied}A"), format!("{tied}B"));
    let embedding = [
        (e_a.as_str(), "F32", &[2, 258][..]),
        (e_b.as_str(), "F32", &[64, 2]),
    ];
    with(LoraRule::TiedEmbedding, &embedding);

    // A rank beyond the format's and a value that is not finite: the package's own rules.
    assert_eq!(code(&[config, ("w", &pair(4097))], &base), 455);
    let mut infinite = pair(2);
    let end = infinite.len();
    infinite[end - 2..].copy_from_slice(&[0x80, 0x7f]);
    assert_eq!(code(&[config, ("w", &infinite)], &base), 513);
    let mut cut = pair(2);
    cut.truncate(end - 1);
    assert!((500..570).contains(&code(&[config, ("w", &cut)], &base)));
}

/// What a good GGUF adapter says of itself.
const GGUF_VALUES: [(&str, &str); 3] = [
    ("general.architecture", "llama"),
    ("general.type", "adapter"),
    ("adapter.type", "lora"),
];
/// Its two factors: name, type, dimensions.
const GGUF_FACTORS: [(&str, u32, &[u64]); 2] = [
    ("blk.0.attn_q.weight.lora_a", 0, &[2, 64]),
    ("blk.0.attn_q.weight.lora_b", 0, &[64, 2]),
];

#[test]
fn gguf_files_are_refused_by_name() {
    let base = base(&ModelSpec::tiny("f32"));
    let (values, factors) = (GGUF_VALUES, GGUF_FACTORS);
    let [(a, ..), (b, ..)] = factors;
    let of = |file: Vec<u8>| code(&[("lora.gguf", &file)], &base);
    assert_eq!(of(gguf(&values, Some(4.0), &factors)), 0);
    let rule = |rule: LoraRule, file: Vec<u8>| assert_eq!(of(file), rule.code(), "{rule:?}");
    let change = |idx: usize, value| {
        let mut changed = values;
        changed[idx].1 = value;
        gguf(&changed, Some(4.0), &factors)
    };
    rule(LoraRule::GgufArchitecture, change(0, "mamba"));
    rule(LoraRule::ConfigField, change(1, "model"));
    rule(LoraRule::OtherKind, change(2, "control_vector"));
    rule(LoraRule::ConfigField, gguf(&values, None, &factors));
    rule(LoraRule::NoFile, gguf(&values, Some(4.0), &[]));
    rule(
        LoraRule::FactorMissing,
        gguf(&values, Some(4.0), &factors[..1]),
    );
    let strange: [(&str, u32, &[u64]); 1] = [("output_norm.weight", 0, &[64])];
    rule(LoraRule::UnknownTensor, gguf(&values, Some(4.0), &strange));
    let integers: [(&str, u32, &[u64]); 2] = [(a, 26, &[2, 64]), (b, 0, &[64, 2])];
    rule(LoraRule::FactorFormat, gguf(&values, Some(4.0), &integers));
    let config = ("adapter_config.json", CONFIG.as_bytes());
    let whole = gguf(&values, Some(4.0), &factors);
    assert_eq!(
        code(&[("lora.gguf", &whole), config], &base),
        LoraRule::TwoOfAKind.code()
    );
}

#[test]
fn every_truncation_and_many_changes_are_refused_or_valid() {
    let base = base(&ModelSpec::tiny("q8_0"));
    let config = ("adapter_config.json", CONFIG.as_bytes());
    let good = pair(2);
    for n_bytes in 0..good.len() {
        assert_ne!(
            code(&[config, ("w", &good[..n_bytes])], &base),
            0,
            "{n_bytes}"
        );
    }
    let mut changed = good.clone();
    for at in 0..good.len() {
        for change in [1, 0x20, 0x80, 0xFF] {
            changed[at] ^= change;
            code(&[config, ("w", &changed)], &base);
            changed[at] = good[at];
        }
    }
}

/// What a refusal says, which must be the file at fault and, of a tensor, its name.
fn says(files: &[(&str, &[u8])], base: &Head) -> String {
    let files: Vec<_> = files
        .iter()
        .map(|&(name, bytes)| LoraFile { name, bytes })
        .collect();
    let made = import_adapter(&files, base, &LoraOptions::default());
    made.map(|package| package.len()).unwrap_err().to_string()
}

#[test]
fn refusals_name_the_file_and_the_tensor() {
    let base = base(&ModelSpec::tiny("f32"));
    let config = ("adapter_config.json", CONFIG.as_bytes());
    let name = "adapter_model.safetensors";
    let (a, b) = (format!("{Q}.lora_A.weight"), format!("{Q}.lora_B.weight"));
    let header = |a_end: u64, b_begin: u64| {
        format!(
            "{{\"{a}\":{{\"dtype\":\"F32\",\"shape\":[2,64],\"data_offsets\":[0,{a_end}]}},\
             \"{b}\":{{\"dtype\":\"F32\",\"shape\":[64,2],\
             \"data_offsets\":[{b_begin},{}]}}}}",
            b_begin + 512
        )
    };
    let of = |header: &str, n_bytes: usize| {
        let file = safetensors_file(header, &vec![0; n_bytes]);
        says(&[config, (name, &file)], &base)
    };
    for (said, about) in [
        (of(&header(512, 256), 768), "lora_B.weight begins at"),
        (of(&header(512, 640), 1152), "belong to no tensor"),
        (of(&header(512, 512), 1000), "lora_B"),
        (of(&header(512, 1 << 40), 1024), "belong to no tensor"),
        (of(&header(511, 511), 1023), "lora_A"),
    ] {
        assert!(said.starts_with(name), "{said}");
        assert!(said.contains(about), "{about}: {said}");
    }
    // A base of another width, and a layer that it lacks.
    let deep = [a.replace(".0.", ".9."), b.replace(".0.", ".9.")];
    for (names, rows, about) in [
        ([&a, &b], 60, "layers.0.self_attn.q_proj"),
        ([&deep[0], &deep[1]], 64, "layers.9.self_attn.q_proj"),
    ] {
        let (a, b) = ([2, 64], [rows, 2]);
        let file = safetensors(&[(names[0], "F32", &a), (names[1], "F32", &b)]);
        let said = says(&[config, (name, &file)], &base);
        assert!(said.starts_with(name) && said.contains(about), "{said}");
    }
    let infinite = CONFIG.replace(":4", ":1e999");
    let negative = CONFIG.replace(":4", ":\"4\"");
    for wrong in ["{", "[]", infinite.as_str(), negative.as_str()] {
        let file = ("adapter_config.json", wrong.as_bytes());
        let said = says(&[file, (name, &pair(2))], &base);
        assert!(said.starts_with("adapter_config.json"), "{wrong}: {said}");
    }
}

#[test]
fn a_gguf_adapter_cut_anywhere_is_refused() {
    let base = base(&ModelSpec::tiny("f32"));
    let (values, factors) = (GGUF_VALUES, GGUF_FACTORS);
    let good = gguf(&values, Some(4.0), &factors);
    for n_bytes in 4..good.len() {
        let said = says(&[("lora.gguf", &good[..n_bytes])], &base);
        assert!(said.starts_with("lora.gguf"), "{n_bytes}: {said}");
    }
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut bad = good.clone();
        let at = good.len() - 64;
        bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let said = says(&[("lora.gguf", &bad)], &base);
        assert!(
            said.starts_with("lora.gguf: weight 112 of tensor blk.0.attn_q"),
            "{said}"
        );
        let alpha = gguf(&values, Some(value), &factors);
        let said = says(&[("lora.gguf", &alpha)], &base);
        assert!(said.starts_with("lora.gguf: adapter.lora.alpha"), "{said}");
    }
}

/// Embedding factors change places; an untied base takes them.
#[test]
fn an_embedding_of_an_untied_base_is_taken() {
    let base = base(&ModelSpec::untied("f32"));
    let name = "base_model.model.model.embed_tokens.lora_embedding_";
    let (a, b) = (format!("{name}A"), format!("{name}B"));
    let file = safetensors(&[(&a, "F32", &[3, 258]), (&b, "F32", &[96, 3])]);
    let config = LoraFile {
        name: "adapter_config.json",
        bytes: CONFIG.as_bytes(),
    };
    let weights = LoraFile {
        name: "adapter_model.safetensors",
        bytes: &file,
    };
    let options = LoraOptions {
        name: "names".to_string(),
        exact_base: true,
        ..LoraOptions::default()
    };
    let package = import_adapter(&[config, weights], &base, &options).unwrap();
    let adapter = Adapter::parse(&package).unwrap();
    assert_eq!(adapter.head.metadata.text("name"), Some("names"));
    assert!(adapter.head.binding.exact_base);
    let delta = &adapter.head.deltas[0];
    assert_eq!(delta.target, "token_embedding");
    let DeltaKind::LowRank { lora_a, rank, .. } = delta.kind else {
        panic!("not low-rank")
    };
    assert_eq!(rank, 3);
    // lora_a[0][1] is lora_embedding_B[1][0]: element 3 of its values.
    let stored = adapter.tensor(lora_a).unwrap().bytes;
    let value = f32::from_le_bytes(stored[4..8].try_into().unwrap());
    assert_eq!(value, 3.0 / 64.0 - 0.1);
}

/// The adapter that these files make with this base and these options.
fn imported(files: &[(&str, &[u8])], base: &Head, options: &LoraOptions) -> Vec<u8> {
    let files: Vec<_> = files
        .iter()
        .map(|&(name, bytes)| LoraFile { name, bytes })
        .collect();
    import_adapter(&files, base, options).unwrap()
}

#[test]
fn licence_source_and_notes_are_kept_and_the_genome_names_base_and_files() {
    let base = base(&ModelSpec::tiny("f32"));
    let (weights, license) = (pair(2), "---\nlicense: mit\n---\n# Mine\n");
    let config = ("adapter_config.json", CONFIG.as_bytes());
    let weights = ("adapter_model.safetensors", weights.as_slice());
    let readme = ("README.md", license.as_bytes());
    let stated: Vec<_> = GGUF_VALUES
        .iter()
        .copied()
        .chain([("general.license", "cc0-1.0")])
        .collect();
    let gguf = gguf(&stated, Some(4.0), &GGUF_FACTORS);
    let told = LoraOptions {
        license: "Apache-2.0".into(),
        source: "https://example.org/a".into(),
        notes: "second try".into(),
        ..LoraOptions::default()
    };
    let untold = LoraOptions::default();
    let said = |files: &[(&str, &[u8])], options| {
        let package = imported(files, &base, options);
        let adapter = Adapter::parse(&package).unwrap();
        let text = |key| String::from(adapter.head.metadata.text(key).unwrap_or_default());
        let genome = adapter.genome().unwrap();
        let genome = json::parse(genome.as_bytes()).unwrap();
        ([text("license"), text("source"), text("notes")], genome)
    };
    assert_eq!(said(&[config, weights], &untold).0, ["", "", ""]);
    assert_eq!(said(&[config, weights, readme], &untold).0[0], "mit");
    assert_eq!(said(&[("lora.gguf", &gguf)], &untold).0[0], "cc0-1.0");
    let (texts, genome) = said(&[config, weights, readme], &told);
    assert_eq!(texts, ["Apache-2.0", "https://example.org/a", "second try"]);
    assert_eq!(
        genome.get("operator").unwrap().as_str(),
        Some("import_adapter")
    );
    let parent = &genome.get("parents").unwrap().as_array().unwrap()[0];
    let weights_of_base = base.identities.weights.to_string();
    assert_eq!(
        parent.get("weights").unwrap().as_str(),
        Some(&*weights_of_base)
    );
    let parameters = genome.get("parameters").unwrap();
    assert_eq!(parameters.get("kind").unwrap().as_str(), Some("peft"));
    let sources = parameters.get("sources").unwrap().as_array().unwrap();
    let name = |source: &JsonValue| source.get("name").unwrap().as_str().unwrap().to_string();
    let names: Vec<String> = sources.iter().map(name).collect();
    assert_eq!(
        names,
        [
            "README.md",
            "adapter_config.json",
            "adapter_model.safetensors"
        ]
    );
    // A readme alone is no adapter, and two are one too many.
    assert_eq!(code(&[readme], &base), LoraRule::Unrecognised.code());
    assert_eq!(code(&[readme, config], &base), LoraRule::NoWeights.code());
    let twice = [config, weights, readme, readme];
    assert_eq!(code(&twice, &base), LoraRule::TwoOfAKind.code());
}
