//! What is read is written again to the same bytes, by a writer that shares no code with the
//! builder of the files, and identities depend on exactly what they name.

use cultivar_core::digest::{Digest, Sha256, sha256};
use cultivar_core::package::{
    AdapterMode, AssemblyPart, Package, SectionId, identity, metadata_key,
};
use cultivar_testdata::byte_builder::{
    RawPackage, count_record, record, record_section, text_record,
};
use cultivar_testdata::small_packages::{config_records, small_model, tokenizer_records};

fn check_round_trip(package: &RawPackage) {
    let file = package.build();
    let parsed = Package::parse(&file).expect("the package is valid");
    parsed.verify_tensors().expect("its tensors are valid");
    assert_eq!(parsed.to_bytes().expect("it can be written"), file);
}

#[test]
fn parse_then_write_gives_the_same_bytes() {
    check_round_trip(&small_model());
    let mut bare = small_model();
    bare.sections.retain(|section| section.flags == 1);
    check_round_trip(&bare);
    let mut only_signed = bare.clone();
    only_signed
        .sections
        .push(small_model().section(0xF0).clone());
    check_round_trip(&only_signed);
    let mut tied = small_model();
    let mut records = config_records();
    records.insert(6, record("tied_output", 4, [1]));
    tied.section(0x10).bytes = record_section(&records);
    tied.tensors.retain(|tensor| tensor.name != b"output");
    check_round_trip(&tied);
}

#[test]
fn a_quantized_tensor_survives() {
    let mut package = small_model();
    let mut records = config_records();
    records[2] = count_record("d_model", 32);
    records.insert(3, count_record("head_dim", 2));
    package.section(0x10).bytes = record_section(&records);
    for tensor in &mut package.tensors {
        for dim in &mut tensor.dims {
            if *dim == 4 && !matches!(tensor.name.as_slice(), b"layers.0.w_q" | b"layers.0.w_o") {
                *dim = 32;
            }
        }
        match tensor.name.as_slice() {
            b"layers.0.w_q" => tensor.dims = vec![4, 32],
            b"layers.0.w_o" => tensor.dims = vec![32, 4],
            _ => {}
        }
        tensor.bytes = vec![0; 4 * tensor.dims.iter().product::<u64>() as usize];
    }
    // Five rows make two tiles of 136 bytes (q8_0) or of 72 bytes (q4_0).
    for (name, dtype, tile_bytes) in [("token_embedding", 16, 136), ("output", 17, 72)] {
        let tensor = package.tensor(name);
        (tensor.dtype, tensor.layout, tensor.bytes) = (dtype, 1, vec![0; 2 * tile_bytes]);
    }
    check_round_trip(&package);
}

#[test]
fn the_parts_are_what_was_put() {
    let file = small_model().build();
    let package = Package::parse(&file).expect("the small model is valid");
    let head = &package.head;
    assert_eq!(
        (
            head.config.d_model,
            head.config.head_dim,
            head.config.n_kv_heads
        ),
        (4, 2, 1)
    );
    assert_eq!(head.config.check_supported(), Ok(()));
    assert_eq!(head.tokenizer.vocab_size(), 5);
    assert_eq!(head.tokenizer.pieces.get(4), Some("é".as_bytes()));
    assert!(head.tokenizer.add_bos && head.tokenizer.bos_id == Some(1));
    assert_eq!(head.chat_template.as_deref(), Some("{{ messages }}"));
    assert_eq!(head.metadata.text(metadata_key::NAME), Some("Small model"));
    assert_eq!(head.metadata.text(metadata_key::AUTHOR), None);
    assert_eq!(
        head.unknown,
        [(SectionId(0x44), b"unknown, before the data".to_vec())]
    );
    assert_eq!(
        package.tail.section(SectionId::GENOME),
        Some(&b"genome"[..])
    );
    let n_parameters = head.directory.n_parameters();
    assert_eq!(n_parameters, 3 * 4 + 32 * 3 + 8 * 2 + 16 * 2 + 20 * 2);
    let w_down = package
        .tensor("layers.0.w_down")
        .expect("the tensor is there");
    assert_eq!((w_down.d_out, w_down.d_in, w_down.bytes.len()), (4, 8, 128));
    let norm = package.tensor("final_norm").expect("the tensor is there");
    assert_eq!((norm.d_out, norm.d_in), (1, 4));
    assert!(package.tensor("final_norms").is_none());
}

/// Which of the five identities differ from those of the small model.
fn changed(change: impl FnOnce(&mut RawPackage)) -> [bool; 5] {
    let identities = |package: &RawPackage| {
        let file = package.build();
        let parsed = Package::parse(&file).expect("the package is valid");
        let of = parsed.head.identities;
        [
            of.tensor_schema,
            of.architecture,
            of.tokenizer,
            of.weights,
            parsed.tail.content,
        ]
    };
    let mut package = small_model();
    let before = identities(&package);
    change(&mut package);
    let after = identities(&package);
    core::array::from_fn(|i| before[i] != after[i])
}

#[test]
fn identities_depend_on_exactly_what_they_name() {
    // In order: tensor_schema, architecture, tokenizer, weights, content.
    assert_eq!(changed(|_| {}), [false; 5]);
    let config = |records: Vec<_>| {
        move |p: &mut RawPackage| {
            p.section(0x10).bytes = record_section(&records);
        }
    };
    let mut longer_context = config_records();
    longer_context[0] = count_record("context_len", 32);
    assert_eq!(
        changed(config(longer_context)),
        [false, false, false, true, true]
    );
    let mut other_theta = config_records();
    other_theta.insert(6, record("rope_theta", 3, 500.0_f64.to_le_bytes()));
    assert_eq!(
        changed(config(other_theta)),
        [false, true, false, true, true]
    );

    let tokenizer = |i: usize, with| {
        move |p: &mut RawPackage| {
            let mut records = tokenizer_records();
            records[i] = with;
            p.section(0x20).bytes = record_section(&records);
        }
    };
    let scores = record("scores", 8, [0; 20]);
    assert_eq!(
        changed(tokenizer(5, scores)),
        [false, false, false, true, true]
    );
    let types = record("types", 6, [2, 3, 3, 1, 4]);
    assert_eq!(
        changed(tokenizer(6, types)),
        [false, false, true, true, true]
    );

    let template = |p: &mut RawPackage| p.section(0x30).bytes.push(b'!');
    assert_eq!(changed(template), [false, false, false, false, true]);
    let metadata = |p: &mut RawPackage| {
        p.section(0x40).bytes = record_section(&[text_record("name", "Another name")]);
    };
    assert_eq!(changed(metadata), [false, false, false, false, true]);
    let one_weight = |p: &mut RawPackage| p.tensor("output").bytes[0] ^= 1;
    assert_eq!(changed(one_weight), [false, false, false, true, true]);
    let dtype = |p: &mut RawPackage| {
        let output = p.tensor("output");
        (output.dtype, output.bytes) = (2, vec![0; 40]);
    };
    assert_eq!(changed(dtype), [false, false, false, true, true]);
    let genome = |p: &mut RawPackage| p.section(0x80).bytes.push(b'!');
    assert_eq!(changed(genome), [false, false, false, false, true]);
    let signatures = |p: &mut RawPackage| p.section(0xF0).bytes.push(b'!');
    assert_eq!(changed(signatures), [false; 5]);
}

#[test]
fn identities_have_the_preimages_of_the_specification() {
    let file = small_model().build();
    let package = Package::parse(&file).expect("the small model is valid");
    let identities = package.head.identities;

    let mut schema = b"cultivar.tensor_schema.v1\0".to_vec();
    schema.extend_from_slice(&12_u32.to_le_bytes());
    for tensor in &small_model().tensors {
        schema.extend_from_slice(&(tensor.name.len() as u16).to_le_bytes());
        schema.extend_from_slice(&tensor.name);
        schema.push(tensor.dims.len() as u8);
        tensor
            .dims
            .iter()
            .for_each(|dim| schema.extend_from_slice(&dim.to_le_bytes()));
    }
    assert_eq!(identities.tensor_schema, sha256(&schema));

    let mut architecture = b"cultivar.architecture.v1\0".to_vec();
    architecture.extend_from_slice(&record_section(&config_records()[1..]));
    assert_eq!(identities.architecture, sha256(&architecture));

    let mut tokenizer = b"cultivar.tokenizer.v1\0\x05\0\0\0".to_vec();
    let pieces: [&[u8]; 5] = [b"<unk>", b"<s>", b"</s>", b"a", b"\xC3\xA9"];
    for (piece, piece_type) in pieces.iter().zip([2, 3, 3, 1, 1]) {
        tokenizer.extend_from_slice(&(piece.len() as u32).to_le_bytes());
        tokenizer.extend_from_slice(piece);
        tokenizer.push(piece_type);
    }
    assert_eq!(identities.tokenizer, sha256(&tokenizer));

    let digest_of = |id: u32| {
        // Rows of the section table: the digest is the last 32 of 64 bytes.
        let rows = file[64..].chunks(64);
        let mut row = rows.filter(|row| row[..4] == id.to_le_bytes());
        row.next().expect("the section is there")[32..].to_vec()
    };
    let mut weights = b"cultivar.weights.v1\0\x01\0\0\0".to_vec();
    [0x10, 0x20, 0x50]
        .iter()
        .for_each(|id| weights.extend_from_slice(&digest_of(*id)));
    assert_eq!(identities.weights, sha256(&weights));

    let mut content = b"cultivar.content.v1\0\x01\0\0\0".to_vec();
    for row in file[64..64 + 64 * 11]
        .chunks(64)
        .filter(|row| row[0] != 0xF0)
    {
        content.extend_from_slice(&row[..8]);
        content.extend_from_slice(&row[16..24]);
        content.extend_from_slice(&row[32..]);
    }
    assert_eq!(package.tail.content, sha256(&content));
}

#[test]
fn an_assembly_depends_on_order_scale_and_mode() {
    let base = sha256(b"base");
    let (a, b) = (sha256(b"a"), sha256(b"b"));
    let live = AdapterMode::Live;
    let part = |&(weights, scale, mode): &(Digest, f32, AdapterMode)| AssemblyPart {
        weights,
        scale,
        mode,
        delta_scales: Vec::new(),
    };
    let of = |adapters: &[(Digest, f32, AdapterMode)]| {
        let parts: Vec<AssemblyPart> = adapters.iter().map(part).collect();
        identity::assembly(&base, &parts)
    };
    let mut preimage = Sha256::new();
    preimage
        .update(b"cultivar.assembly.v1\0")
        .update(&base.0)
        .update(&1_u32.to_le_bytes());
    preimage
        .update(&a.0)
        .update(&0.5_f32.to_le_bytes())
        .update(&1_u32.to_le_bytes());
    assert_eq!(of(&[(a, 0.5, live)]), preimage.finish());
    let all = [
        of(&[]),
        of(&[(a, 0.5, live)]),
        of(&[(a, 1.0, live)]),
        of(&[(a, 0.5, AdapterMode::Baked)]),
        of(&[(a, 0.5, live), (b, 0.5, live)]),
        of(&[(b, 0.5, live), (a, 0.5, live)]),
    ];
    for (i, one) in all.iter().enumerate() {
        assert!(!all[..i].contains(one));
    }

    // An adapter whose deltas have weights of their own names each of them.
    let mut refined = part(&(a, 0.5, live));
    refined.delta_scales = vec![0.5, 0.25];
    let mut preimage = Sha256::new();
    preimage.update(b"cultivar.assembly.v1\0").update(&base.0);
    preimage.update(&1_u32.to_le_bytes()).update(&a.0);
    preimage.update(&0.5_f32.to_le_bytes());
    for number in [0x101_u32, 2, 0.5_f32.to_bits(), 0.25_f32.to_bits()] {
        preimage.update(&number.to_le_bytes());
    }
    assert_eq!(identity::assembly(&base, &[refined]), preimage.finish());
}

/// The bytes of version 1.0 never change: these values stand in `docs/package-format.md` too.
#[test]
fn the_test_vector_of_the_specification() {
    use cultivar_core::adapter::Adapter;
    let model_file = small_model().build();
    let model = Package::parse(&model_file).expect("the small model is valid");
    let adapter_file = cultivar_testdata::hostile_adapters::bound_adapter().build();
    let adapter = Adapter::parse(&adapter_file).expect("the small adapter is valid");
    let of = model.head.identities;
    let found = [
        ("model, bytes", model_file.len().to_string()),
        (
            "model, head_bytes",
            model.head.header.head_bytes.to_string(),
        ),
        (
            "model, SHA-256 of the file",
            sha256(&model_file).to_string(),
        ),
        ("model, tensor_schema", of.tensor_schema.to_string()),
        ("model, architecture", of.architecture.to_string()),
        ("model, tokenizer", of.tokenizer.to_string()),
        ("model, weights", of.weights.to_string()),
        ("model, content", model.tail.content.to_string()),
        ("adapter, bytes", adapter_file.len().to_string()),
        (
            "adapter, SHA-256 of the file",
            sha256(&adapter_file).to_string(),
        ),
        ("adapter, weights", adapter.head.weights.to_string()),
        ("adapter, content", adapter.tail.content.to_string()),
    ];
    let specification = include_str!("../../../docs/package-format.md");
    for (what, value) in found {
        let row = format!("| {what} | {value} |");
        assert!(
            specification.contains(&row),
            "the specification lacks: {row}"
        );
    }
}

#[test]
fn a_writer_refuses_what_a_reader_would() {
    use cultivar_core::package::{Metadata, ModelParts, PackageErrorKind, PackageWriter};
    use cultivar_core::package::{RecordWriter, TensorPlan};
    let file = small_model().build();
    let head = Package::parse(&file)
        .expect("the small model is valid")
        .head;
    let plans = head.directory.entries().iter().map(|entry| TensorPlan {
        name: entry.name.clone(),
        format: entry.format,
        shape: entry.shape.clone(),
    });
    let plans: Vec<TensorPlan> = plans.collect();
    let check = |expected, change: &dyn Fn(&mut ModelParts, &mut Vec<TensorPlan>)| {
        let mut parts = ModelParts {
            config: head.config.clone(),
            tokenizer: head.tokenizer.clone(),
            chat_template: head.chat_template.clone(),
            metadata: head.metadata.clone(),
            unknown: head.unknown.clone(),
        };
        let mut plans = plans.clone();
        change(&mut parts, &mut plans);
        let refusal = PackageWriter::model(&parts, plans, &[])
            .map(|_| ())
            .map_err(|e| e.kind);
        assert_eq!(refusal, expected);
    };
    let refused = |kind| Err(kind);
    check(Ok(()), &|_, _| {});
    check(refused(PackageErrorKind::NotFinite), &|parts, _| {
        parts.config.norm_eps = f64::NAN
    });
    check(refused(PackageErrorKind::VocabSize), &|parts, _| {
        assert!(parts.tokenizer.pieces.push(b"surplus"));
    });
    check(refused(PackageErrorKind::NotFinite), &|parts, _| {
        parts.tokenizer.scores[0] = f32::INFINITY;
    });
    check(refused(PackageErrorKind::ValueRange), &|parts, _| {
        parts.tokenizer.types[0] = 0
    });
    check(refused(PackageErrorKind::NotFinite), &|parts, _| {
        let mut records = RecordWriter::new();
        records.f64("score", f64::NAN);
        parts.metadata = Metadata::from_records(&records);
    });
    check(refused(PackageErrorKind::SectionOrder), &|parts, _| {
        parts
            .unknown
            .push((SectionId::GENOME, b"in the head".to_vec()));
    });
    check(refused(PackageErrorKind::SectionOrder), &|parts, _| {
        parts.unknown.push((SectionId(0x44), b"again".to_vec()));
    });
    check(refused(PackageErrorKind::MissingTensor), &|_, plans| {
        plans.remove(0);
    });
    check(refused(PackageErrorKind::TensorOrder), &|_, plans| {
        plans.push(plans[0].clone())
    });
    check(refused(PackageErrorKind::TensorName), &|_, plans| {
        plans[0].name = "a b".into()
    });
    check(refused(PackageErrorKind::TensorDims), &|_, plans| {
        plans[0].shape = vec![0]
    });
    check(refused(PackageErrorKind::TensorCount), &|_, plans| {
        plans.clear()
    });
}
