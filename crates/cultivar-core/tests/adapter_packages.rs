//! Adapters: read, verified, compared with their base, written to the same bytes; one hostile
//! file per rule; damage everywhere.

use cultivar_core::adapter::{
    Adapter, AdapterError, AdapterHead, AdapterRule, BaseFit, Binding, DeltaKind, Part,
};
use cultivar_core::package::{Head, Package};
use cultivar_testdata::byte_builder::{record, record_section};
use cultivar_testdata::hostile_adapters::{BrokenRule, bound_adapter, hostile_adapters};
use cultivar_testdata::small_packages::small_model;

fn base() -> Head {
    let file = small_model().build();
    Package::parse(&file)
        .expect("the small model is valid")
        .head
}

/// Everything that an application does before it applies an adapter.
fn open(file: &[u8], base: &Head) -> Result<BaseFit, AdapterError> {
    let adapter = Adapter::parse(file)?;
    adapter.verify_tensors()?;
    adapter.check_base(base)
}

fn broken_rule(error: AdapterError) -> BrokenRule {
    match error {
        AdapterError::Package(error) => BrokenRule::Package(error.kind),
        AdapterError::Rule(detail) => BrokenRule::Adapter(detail.rule),
    }
}

#[test]
fn each_hostile_adapter_is_refused_by_its_own_rule() {
    let base = base();
    for case in hostile_adapters() {
        let refusal = open(&case.bytes, &base).map_err(broken_rule);
        assert_eq!(refusal, Err(case.expected), "{}", case.name);
    }
}

#[test]
fn every_rule_has_a_case_and_a_sentence() {
    let base = base();
    let cases = hostile_adapters();
    for rule in AdapterRule::ALL {
        let expected = BrokenRule::Adapter(*rule);
        assert!(
            cases.iter().any(|case| case.expected == expected),
            "{rule:?}"
        );
    }
    let codes: Vec<i32> = AdapterRule::ALL.iter().map(|rule| rule.code()).collect();
    assert!(codes.array_windows().all(|[a, b]| a < b));
    for case in cases {
        let Err(error) = open(&case.bytes, &base) else {
            panic!("{} was accepted", case.name)
        };
        assert!(error.to_string().ends_with('.'), "{error}");
        assert!((100..500).contains(&error.code()), "{error}");
    }
}

#[test]
fn parse_then_write_gives_the_same_bytes() {
    let file = bound_adapter().build();
    let adapter = Adapter::parse(&file).expect("the small adapter is valid");
    assert_eq!(adapter.to_bytes().as_ref(), Ok(&file));
    let mut rich = bound_adapter();
    rich.sections.insert(2, small_model().section(0x44).clone());
    rich.sections.push(small_model().section(0x80).clone());
    rich.sections.push(small_model().section(0xF0).clone());
    let file = rich.build();
    let adapter = Adapter::parse(&file).expect("the adapter is valid");
    assert_eq!(adapter.to_bytes().as_ref(), Ok(&file));
}

#[test]
fn the_deltas_are_what_was_put() {
    let file = bound_adapter().build();
    let adapter = Adapter::parse(&file).expect("the small adapter is valid");
    adapter.verify_tensors().expect("its tensors are valid");
    let kinds: Vec<(&str, DeltaKind)> = adapter
        .head
        .deltas
        .iter()
        .map(|delta| (delta.target.as_str(), delta.kind))
        .collect();
    let low_rank = DeltaKind::LowRank {
        lora_a: 3,
        lora_b: 4,
        is_transposed: false,
        scales: 5,
        rank: 2,
    };
    assert_eq!(
        kinds,
        [
            ("final_norm", DeltaKind::Raw { delta: 0 }),
            (
                "layers.0.w_k",
                DeltaKind::Sparse {
                    indices: 1,
                    values: 2
                }
            ),
            ("layers.0.w_q", low_rank),
        ]
    );
    assert_eq!(Part::LoraA.of("layers.0.w_q"), "layers.0.w_q#lora_a");
    let scales = adapter
        .tensor(5)
        .map(|tensor| (tensor.d_out, tensor.d_in, tensor.bytes.len()));
    assert_eq!(scales, Some((1, 2, 8)));
}

#[test]
fn the_binding_decides_how_well_a_base_fits() {
    let base = base();
    assert_eq!(
        open(&bound_adapter().build(), &base),
        Ok(BaseFit::SameWeights)
    );
    assert_eq!(
        Binding::to_base(&base, true).check_base(&base),
        Ok(BaseFit::SameWeights)
    );
    let mut retrained = small_model();
    retrained.tensor("output").bytes[0] ^= 1;
    let retrained = retrained.build();
    let retrained = Package::parse(&retrained)
        .expect("the retrained model is valid")
        .head;
    assert_eq!(
        open(&bound_adapter().build(), &retrained),
        Ok(BaseFit::OtherWeights)
    );
    let exact = Binding::to_base(&base, true);
    assert_eq!(
        exact.check_base(&retrained).map_err(|error| error.code()),
        Err(464)
    );
    let unnamed = Binding {
        base_weights: None,
        exact_base: false,
        ..exact
    };
    assert_eq!(unnamed.check_base(&retrained), Ok(BaseFit::UnknownWeights));

    // The same in bytes: without weights, and with the exact flag.
    let of = base.identities;
    let mut records = vec![
        record("base_architecture", 6, of.architecture.0),
        record("base_tensor_schema", 6, of.tensor_schema.0),
        record("base_tokenizer", 6, of.tokenizer.0),
    ];
    let mut package = bound_adapter();
    package.section(0x10).bytes = record_section(&records);
    assert_eq!(open(&package.build(), &base), Ok(BaseFit::UnknownWeights));
    records.push(record("base_weights", 6, of.weights.0));
    records.push(record("exact_base", 4, [1]));
    package.section(0x10).bytes = record_section(&records);
    let file = package.build();
    assert_eq!(open(&file, &base), Ok(BaseFit::SameWeights));
    let adapter = Adapter::parse(&file).expect("the adapter is valid");
    assert_eq!(adapter.to_bytes().as_ref(), Ok(&file));
}

#[test]
fn every_truncation_and_every_flipped_bit_is_refused() {
    let base = base();
    let mut file = bound_adapter().build();
    assert_eq!(open(&file, &base), Ok(BaseFit::SameWeights));
    for n_bytes in 0..file.len() {
        assert!(open(&file[..n_bytes], &base).is_err(), "{n_bytes} bytes");
        assert!(AdapterHead::parse(&file[..n_bytes], file.len() as u64).is_err() || n_bytes > 64);
    }
    for byte in 0..file.len() {
        for bit in 0..8 {
            file[byte] ^= 1 << bit;
            assert!(open(&file, &base).is_err(), "bit {bit} of byte {byte}");
            file[byte] ^= 1 << bit;
        }
    }
}

#[test]
fn sealed_damage_is_refused_or_canonical() {
    let base = base();
    for section in 0..bound_adapter().sections.len() {
        for byte in 0..bound_adapter().sections[section].bytes.len() {
            for change in [1, 4, 32, 128, 255] {
                let mut package = bound_adapter();
                package.sections[section].bytes[byte] ^= change;
                let file = package.build();
                let _ = open(&file, &base);
                if let Ok(adapter) = Adapter::parse(&file) {
                    assert_eq!(
                        adapter.to_bytes().as_ref(),
                        Ok(&file),
                        "byte {byte} ^ {change}"
                    );
                }
            }
        }
    }
}
