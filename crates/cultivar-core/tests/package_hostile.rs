//! One hostile file per rule: each is refused by exactly the rule that it breaks, and every
//! variant of the error has a case.

use cultivar_core::package::{
    ConfigErrorKind, Head, Header, KeptSection, Package, PackageError, PackageErrorKind, SectionId,
};
use cultivar_core::tensor::TensorErrorKind;
use cultivar_testdata::hostile::{HostileCase, hostile_models};
use cultivar_testdata::hostile_adapters::{BrokenRule, hostile_adapters};
use cultivar_testdata::small_packages::small_model;

/// Reads a file as an application does: whole, or its head if the rest is only claimed.
fn open(case: &HostileCase) -> Result<(), PackageError> {
    if case.bytes.len() as u64 == case.file_bytes {
        return Package::parse(&case.bytes)?.verify_tensors();
    }
    let header = Header::of_file(&case.bytes, case.file_bytes)?;
    let n_head_bytes = case.bytes.len().min(header.head_bytes as usize);
    Head::parse(&case.bytes[..n_head_bytes], case.file_bytes).map(|_| ())
}

#[test]
fn each_is_refused_by_its_own_rule() {
    for case in hostile_models() {
        let refusal = open(&case).map_err(|error| error.kind);
        assert_eq!(refusal, Err(case.expected), "{}", case.name);
    }
}

#[test]
fn each_says_what_and_where_in_one_sentence() {
    for case in hostile_models() {
        let Err(error) = open(&case) else {
            panic!("{} was accepted", case.name)
        };
        let text = error.to_string();
        assert!(
            text.ends_with('.') && text.contains("byte "),
            "{}: {text}",
            case.name
        );
        assert!(error.offset <= case.file_bytes, "{}: {text}", case.name);
        assert!((100..250).contains(&error.code()), "{}: {text}", case.name);
    }
}

/// Rules about how the functions are called rather than about files; see the tests below.
const RULES_OF_CALLS: [PackageErrorKind; 4] = [
    PackageErrorKind::HeadLength,
    PackageErrorKind::TailLength,
    PackageErrorKind::MissingDigest,
    PackageErrorKind::TailSections,
];

#[test]
fn every_rule_has_a_case() {
    let cases = hostile_models();
    let adapters = hostile_adapters();
    let has_case = |kind| {
        cases.iter().any(|case| case.expected == kind)
            || adapters
                .iter()
                .any(|case| case.expected == BrokenRule::Package(kind))
    };
    for kind in PackageErrorKind::PLAIN {
        assert!(has_case(*kind) != RULES_OF_CALLS.contains(kind), "{kind:?}");
    }
    for kind in [
        ConfigErrorKind::Range,
        ConfigErrorKind::HeadsNotDivisible,
        ConfigErrorKind::RotaryDim,
        ConfigErrorKind::LayerList,
        ConfigErrorKind::NoEffect,
        ConfigErrorKind::TooLarge,
    ] {
        assert!(has_case(PackageErrorKind::Config(kind)), "{kind:?}");
    }
    for wanted in [TensorErrorKind::NotFinite, TensorErrorKind::Padding] {
        let is_wanted = |kind| matches!(kind, PackageErrorKind::Payload(e) if e.kind == wanted);
        assert!(
            cases.iter().any(|case| is_wanted(case.expected)),
            "{wanted:?}"
        );
    }
}

#[test]
fn codes_are_unique_and_ascend() {
    let codes: Vec<i32> = PackageErrorKind::PLAIN
        .iter()
        .map(|kind| kind.code())
        .collect();
    assert!(codes.array_windows().all(|[a, b]| a < b));
    assert!(codes.iter().all(|code| (100..170).contains(code)));
}

#[test]
fn head_and_tail_must_be_given_whole() {
    let file = small_model().build();
    let package = Package::parse(&file).expect("the small model is valid");
    let file_bytes = file.len() as u64;
    let head_bytes = package.head.header.head_bytes as usize;
    for n_bytes in [64, 128, head_bytes - 1, head_bytes + 1, file.len()] {
        let refusal = Head::parse(&file[..n_bytes], file_bytes)
            .map(|_| ())
            .map_err(|e| e.kind);
        assert_eq!(refusal, Err(PackageErrorKind::HeadLength), "{n_bytes}");
    }
    let tail = &file[package.head.tail_offset() as usize..];
    for tail in [&tail[1..], &tail[..tail.len() - 1], &[]] {
        let refusal = package.head.parse_tail(tail).map_err(|error| error.kind);
        assert_eq!(refusal, Err(PackageErrorKind::TailLength));
    }
}

#[test]
fn a_writer_wants_every_digest_and_the_announced_tail() {
    use cultivar_core::digest::sha256;
    use cultivar_core::package::{ModelParts, PackageWriter, TensorPlan};
    let file = small_model().build();
    let package = Package::parse(&file).expect("the small model is valid");
    let head = package.head.clone();
    let plans = head.directory.entries().iter().map(|entry| TensorPlan {
        name: entry.name.clone(),
        format: entry.format,
        shape: entry.shape.clone(),
    });
    let plans: Vec<TensorPlan> = plans.collect();
    let parts = ModelParts {
        config: head.config.clone(),
        tokenizer: head.tokenizer.clone(),
        chat_template: None,
        metadata: head.metadata.clone(),
        unknown: Vec::new(),
    };
    let tail_ids = [SectionId::CONVERSION_RECORD];
    let mut writer = PackageWriter::model(&parts, plans, &tail_ids).expect("a valid layout");
    let record: KeptSection = (SectionId::CONVERSION_RECORD, b"{}".to_vec());
    let kind = |tail: &[KeptSection], writer: &PackageWriter| {
        writer.finish(tail).map(|_| ()).map_err(|error| error.kind)
    };
    assert_eq!(
        kind(std::slice::from_ref(&record), &writer),
        Err(PackageErrorKind::MissingDigest)
    );
    for idx in 0..writer.entries().len() {
        assert!(writer.set_digest(idx, sha256(b"")));
    }
    assert!(!writer.set_digest(writer.entries().len(), sha256(b"")));
    assert_eq!(kind(&[], &writer), Err(PackageErrorKind::TailSections));
    let genome: KeptSection = (SectionId::GENOME, b"{}".to_vec());
    assert_eq!(
        kind(&[genome], &writer),
        Err(PackageErrorKind::TailSections)
    );
    let empty: KeptSection = (SectionId::CONVERSION_RECORD, Vec::new());
    assert_eq!(kind(&[empty], &writer), Err(PackageErrorKind::TailSections));
    assert_eq!(kind(&[record], &writer), Ok(()));
}
