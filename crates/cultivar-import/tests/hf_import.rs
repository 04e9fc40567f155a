//! Hugging Face folders: the same model as by the other roads, and every contradiction refused with
//! file and field.
//!
//! The demo family needs nothing; stories260K needs `CULTIVAR_DATA`.

mod made;

use cultivar_core::package::{Head, Package};
use cultivar_import::ImportErrorKind as Kind;
use cultivar_import::{ImportError, ImportStep, Importer, SourceInfo, TargetFormat};
use cultivar_testdata::family;
use cultivar_testdata::small_llama::{CONFIG, TENSORS, weights};
use made::{import, options};

fn head(files: &[(&str, &[u8])]) -> Result<Head, ImportError> {
    let bytes = import(files, options(TargetFormat::Keep), 1 << 16)?;
    Ok(Package::parse(&bytes).unwrap().head)
}

#[test]
fn the_family_is_the_same_model_by_both_roads() {
    let files = [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "generation_config.json",
    ];
    let read: Vec<Vec<u8>> = files
        .iter()
        .map(|name| family::file(&format!("hf/{name}")))
        .collect();
    let files: Vec<(&str, &[u8])> = files.iter().zip(&read).map(|(n, b)| (*n, &b[..])).collect();
    let hf = head(&files).unwrap();
    let shipped = family::file("sprout.slm");
    let llama2c = Package::parse(&shipped).unwrap().head;
    assert_eq!(hf.config, llama2c.config);
    assert_eq!(
        hf.directory.entries().len(),
        llama2c.directory.entries().len()
    );
    for (a, b) in hf
        .directory
        .entries()
        .iter()
        .zip(llama2c.directory.entries())
    {
        assert_eq!((&a.name, a.digest), (&b.name, b.digest));
    }
    assert_eq!(hf.identities.tokenizer, llama2c.identities.tokenizer);
}

#[test]
fn stories260k_is_the_same_model_by_three_roads() {
    let Some(folder) = std::env::var_os("CULTIVAR_DATA").map(std::path::PathBuf::from) else {
        eprintln!("skipped: CULTIVAR_DATA is not set");
        return;
    };
    let read = |name: &str| std::fs::read(folder.join("models/stories260K").join(name)).unwrap();
    let (config, weights) = (read("hf/config.json"), read("hf/model.safetensors"));
    let (json, model) = (read("hf/tokenizer.json"), read("hf/tokenizer.model"));
    let gguf = read("gguf/stories260K-f32.gguf");
    let common = [
        ("config.json", &config[..]),
        ("model.safetensors", &weights),
    ];
    let of_json = head(&[common[0], common[1], ("tokenizer.json", &json)]).unwrap();
    let of_model = head(&[("tokenizer.model", &model), common[1], common[0]]).unwrap();
    let of_gguf = head(&[("m.gguf", &gguf)]).unwrap();
    for other in [&of_model, &of_gguf] {
        assert_eq!(other.config, of_json.config);
        assert_eq!(other.identities.tokenizer, of_json.identities.tokenizer);
        let digests = |head: &Head| -> Vec<_> {
            head.directory
                .entries()
                .iter()
                .map(|entry| entry.digest)
                .collect()
        };
        assert_eq!(digests(other), digests(&of_json));
    }
}

fn import_small(config: &str, weights: &[u8]) -> Result<Head, ImportError> {
    let tokenizer = family::file("hf/tokenizer.json");
    head(&[
        ("config.json", config.as_bytes()),
        ("model.safetensors", weights),
        ("tokenizer.json", &tokenizer),
    ])
}

#[test]
fn a_small_folder_is_imported_in_every_type() {
    for (dtype, value, stored) in [
        ("F32", &0.5_f32.to_le_bytes()[..], "f32"),
        ("F16", &[0, 0x38], "f16"),
        ("BF16", &[0, 0x3f], "bf16"),
    ] {
        let head = import_small(CONFIG, &weights(TENSORS, dtype, value)).unwrap();
        let format = |name: &str| head.directory.get(name).unwrap().format.name;
        assert_eq!(
            (format("layers.0.w_q"), format("final_norm")),
            (stored, "f32")
        );
    }
}

#[test]
fn licence_and_source_are_taken_over_and_known_before_the_weights() {
    let tokenizer = family::file("hf/tokenizer.json");
    let weights = weights(TENSORS, "F16", &[0, 0x38]);
    for (path, readme, license, source) in [
        ("a/b", "---\nlicense: mit\n---\n", "mit", "a/b"),
        (
            "a/b",
            "---\r\ntags:\r\n- x\r\nlicense: \"mit\"\r\n---\r\n",
            "mit",
            "a/b",
        ),
        (
            "/a/b",
            "---\nlicense: other\nlicense_name: own\n---",
            "own",
            "",
        ),
        ("./b", "---\nlicense:\n---\nlicense: mit\n", "", ""),
        ("b", "# A model\nlicense: mit\n", "", ""),
        ("", "---\n", "", ""),
    ] {
        let path = format!("{{\"_name_or_path\":\"{path}\",");
        let config = CONFIG.replacen('{', &path, 1);
        let files = [
            ("config.json", config.as_bytes()),
            ("model.safetensors", &weights[..]),
            ("tokenizer.json", &tokenizer),
            ("README.md", readme.as_bytes()),
        ];
        let head = head(&files).unwrap();
        let said = |key| head.metadata.text(key).unwrap_or("");
        assert_eq!(
            (said("license"), said("source")),
            (license, source),
            "{readme:?}"
        );
        let plan = plan_of(&files);
        let says = |key, text| plan.contains(&format!("\"{key}\":\"{text}\""));
        assert!(says("license", license) && says("source", source), "{plan}");
        assert!(
            says("name", said("name")) && !said("name").is_empty(),
            "{plan}"
        );
    }
}

/// The plan of an import that stops before its weights.
fn plan_of(files: &[(&str, &[u8])]) -> String {
    let info = |(name, bytes): &(&str, &[u8])| SourceInfo {
        name: name.to_string(),
        bytes: bytes.len() as u64,
    };
    let sources = files.iter().map(info).collect();
    let mut importer = Importer::new(sources, options(TargetFormat::Keep)).unwrap();
    while importer.plan_json().is_empty() {
        if let ImportStep::Read {
            source,
            offset,
            len,
        } = importer.step(1 << 16).unwrap()
        {
            let range = offset as usize..(offset + len) as usize;
            importer.supply(&files[source].1[range]).unwrap();
        }
    }
    importer.plan_json().to_string()
}

#[test]
fn a_configuration_that_cannot_be_is_named() {
    let weights = weights(TENSORS, "F16", &[0, 0x38]);
    for (from, to, kind, field) in [
        (
            "Llama",
            "Mamba",
            Kind::ArchitectureUnknown,
            "MambaForCausalLM",
        ),
        ("\"hidden_size\":32,", "", Kind::FieldMissing, "hidden_size"),
        (
            "\"architectures\"",
            "\"x\"",
            Kind::FieldMissing,
            "architectures",
        ),
        ("32,", "\"32\",", Kind::FieldValue, "hidden_size"),
        ("32,", "-32,", Kind::FieldValue, "hidden_size"),
        ("32,", "64,", Kind::TensorShape, "model.embed_tokens.weight"),
        (
            "layers\":1",
            "layers\":2",
            Kind::TensorMissing,
            "model.layers.1.input_layernorm.weight",
        ),
        (
            "layers\":1",
            "layers\":4000000000",
            Kind::CountTooLarge,
            "the number of layers",
        ),
        (
            "1e-5",
            "1e-5,\"hidden_act\":\"xielu\"",
            Kind::OptionUnsupported,
            "hidden_act: xielu",
        ),
        (
            "1e-5",
            "1e-5,\"rope_scaling\":{\"rope_type\":\"longrope\"}",
            Kind::OptionUnsupported,
            "rope_scaling.rope_type: longrope",
        ),
        (
            "1e-5",
            "1e-5,\"quantization_config\":{}",
            Kind::OptionUnsupported,
            "quantization_config",
        ),
        (
            "1e-5",
            "1e-5,\"attention_bias\":true",
            Kind::TensorMissing,
            "model.layers.0.self_attn.q_proj.bias",
        ),
        ("true}", "false}", Kind::TensorMissing, "lm_head.weight"),
    ] {
        let config = CONFIG.replacen(from, to, 1);
        assert_ne!(config, CONFIG);
        let error = import_small(&config, &weights).unwrap_err();
        assert_eq!(
            (error.kind.clone(), error.field.as_str()),
            (kind.clone(), field),
            "{error}"
        );
        assert!(
            ["config.json", "model.safetensors"].contains(&error.file.as_str()),
            "{error}"
        );
        if kind == Kind::ArchitectureUnknown {
            assert!(error.to_string().contains("supported are llama"), "{error}");
        }
    }
    let error = import_small(&CONFIG.replace("1e-5", "2"), &weights).unwrap_err();
    assert!(matches!(error.kind, Kind::Config(_)), "{error}");
    let error = import_small("{", &weights).unwrap_err();
    assert!(matches!(error.kind, Kind::Json(_)) && error.file.as_str() == "config.json");
}

#[test]
fn weights_that_disagree_are_named() {
    let half = &[0, 0x38][..];
    let with = |idx: usize, name: &'static str, shape: &'static [u64]| {
        let mut tensors = TENSORS.to_vec();
        tensors[idx] = (name, shape);
        weights(&tensors, "F16", half)
    };
    let q = "model.layers.0.self_attn.q_proj.weight";
    let mut surplus = TENSORS.to_vec();
    surplus.push(("model.layers.0.extra", &[1]));
    let mut buffers = TENSORS.to_vec();
    buffers.push(("model.layers.0.self_attn.rotary_emb.inv_freq", &[8]));
    buffers.push(("lm_head.weight", &[1024, 32]));
    for (file, kind, field) in [
        (with(2, q, &[32, 31]), Kind::TensorShape, q),
        (with(2, q, &[32, 32, 1]), Kind::TensorRank, q),
        (with(2, "other", &[32, 32]), Kind::TensorMissing, q),
        (
            weights(&surplus, "F16", half),
            Kind::TensorSurplus,
            "model.layers.0.extra",
        ),
        (
            weights(TENSORS, "I32", &[0; 4]),
            Kind::TensorTypeUnread("I32"),
            "model.embed_tokens.weight",
        ),
        (
            weights(TENSORS, "F16", &[0, 0x7c]),
            Kind::NotFinite,
            "token_embedding",
        ),
        (
            weights(TENSORS, "F32", &f32::NAN.to_le_bytes()),
            Kind::NotFinite,
            "token_embedding",
        ),
    ] {
        let error = import_small(CONFIG, &file).unwrap_err();
        assert_eq!(
            (error.kind.clone(), error.field.as_str()),
            (kind, field),
            "{error}"
        );
        assert_eq!(error.file.as_str(), "model.safetensors", "{error}");
    }
    import_small(CONFIG, &weights(&buffers, "F16", half)).unwrap();
}

#[test]
fn files_that_are_missing_are_named() {
    let (config, weights) = (CONFIG.as_bytes(), weights(TENSORS, "F16", &[0, 0x38]));
    let tokenizer = family::file("hf/tokenizer.json");
    let (first, second) = (TENSORS.split_at(5).0, TENSORS.split_at(5).1);
    let shard = |tensors: &[(&str, &[u64])]| {
        cultivar_testdata::small_llama::weights(tensors, "F16", &[0, 0x38])
    };
    let (first_file, second_file) = (shard(first), shard(second));
    let map = |list: &[(&str, &[u64])], file: &str| -> Vec<String> {
        list.iter()
            .map(|(name, _)| format!("\"{name}\":\"{file}\""))
            .collect()
    };
    let both = [map(first, "a.safetensors"), map(second, "b.safetensors")]
        .concat()
        .join(",");
    let index = format!("{{\"weight_map\":{{{both}}}}}");
    let wrong = index.replacen("a.safetensors", "b.safetensors", 1);
    let config = ("config.json", config);
    let tokenizer = ("tokenizer.json", &tokenizer[..]);
    let index_name = "model.safetensors.index.json";
    let (a, b) = (
        ("a.safetensors", &first_file[..]),
        ("b.safetensors", &second_file[..]),
    );
    for (files, kind, field) in [
        (
            vec![("model.safetensors", &weights[..]), tokenizer],
            Kind::PartMissing,
            "config.json",
        ),
        (
            vec![config, tokenizer],
            Kind::PartMissing,
            "a file of weights (GGUF or safetensors)",
        ),
        (
            vec![config, ("model.safetensors", &weights)],
            Kind::PartMissing,
            "tokenizer.json or tokenizer.model",
        ),
        (vec![config, tokenizer, a, b], Kind::PartMissing, index_name),
        (
            vec![config, tokenizer, a, (index_name, index.as_bytes())],
            Kind::ShardMissing,
            "b.safetensors",
        ),
        (
            vec![config, tokenizer, a, b, (index_name, wrong.as_bytes())],
            Kind::ShardsDisagree,
            "a.safetensors",
        ),
    ] {
        let error = head(&files).unwrap_err();
        assert_eq!(
            (error.kind.clone(), error.field.as_str()),
            (kind, field),
            "{error}"
        );
    }
    let files = [config, tokenizer, b, a, (index_name, index.as_bytes())];
    assert_eq!(
        head(&files).unwrap().directory.entries().len(),
        TENSORS.len()
    );
}
