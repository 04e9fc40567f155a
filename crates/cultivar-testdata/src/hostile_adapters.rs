//! Hostile adapters: for every rule of adapters, files that break it and nothing else.
//!
//! Built like the hostile models, from the small adapter. Rules that compare with a base are
//! broken towards the small model.

use crate::byte_builder::{RawPackage, RawSection, RawTensor, record, record_section};
use crate::small_packages::{D_MODEL, small_adapter, small_model};
use cultivar_core::adapter::AdapterRule;
use cultivar_core::package::{Package, PackageErrorKind};

/// The rule that a hostile adapter breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenRule {
    /// A rule of all packages.
    Package(PackageErrorKind),
    /// A rule of adapters.
    Adapter(AdapterRule),
}

/// An adapter that must be refused, and why.
#[derive(Clone, Debug)]
pub struct HostileAdapter {
    /// What is wrong with it, in a few words.
    pub name: String,
    /// The rule that it breaks.
    pub expected: BrokenRule,
    /// The file.
    pub bytes: Vec<u8>,
}

/// The small adapter, bound to the small model.
pub fn bound_adapter() -> RawPackage {
    let file = small_model().build();
    let model = Package::parse(&file).expect("the small model is valid");
    let of = model.head.identities;
    small_adapter([
        of.architecture.0,
        of.tokenizer.0,
        of.tensor_schema.0,
        of.weights.0,
    ])
}

fn case(name: &str, expected: BrokenRule, change: impl FnOnce(&mut RawPackage)) -> HostileAdapter {
    let mut package = bound_adapter();
    change(&mut package);
    HostileAdapter {
        name: name.into(),
        expected,
        bytes: package.build(),
    }
}

fn rule(name: &str, rule: AdapterRule, change: impl FnOnce(&mut RawPackage)) -> HostileAdapter {
    case(name, BrokenRule::Adapter(rule), change)
}

fn package_rule(
    name: &str,
    kind: PackageErrorKind,
    change: impl FnOnce(&mut RawPackage),
) -> HostileAdapter {
    case(name, BrokenRule::Package(kind), change)
}

/// A binding of these four identities with further records behind.
fn binding(identities: [u8; 4], exact: Option<u8>) -> Vec<u8> {
    let keys = [
        "base_architecture",
        "base_tensor_schema",
        "base_tokenizer",
        "base_weights",
    ];
    let digests = keys
        .iter()
        .zip(identities)
        .map(|(key, byte)| record(key, 6, [byte; 32]));
    let exact = exact.map(|value| record("exact_base", 4, [value]));
    record_section(&digests.chain(exact).collect::<Vec<_>>())
}

/// The small adapter's binding with one of the four digests changed.
fn rebound(package: &mut RawPackage, idx: usize) {
    // Four records: 4 bytes of count, then key length, key, kind, length and 32 bytes each.
    let mut place = 4;
    let bytes = &mut package.section(0x10).bytes;
    for _ in 0..idx {
        place += 1 + usize::from(bytes[place]) + 5 + 32;
    }
    let digest = place + 1 + usize::from(bytes[place]) + 5;
    bytes[digest] ^= 1;
}

/// Every hostile adapter.
pub fn hostile_adapters() -> Vec<HostileAdapter> {
    let mut cases = container_cases();
    cases.extend(binding_cases());
    cases.extend(part_cases());
    cases.extend(base_cases());
    cases
}

fn container_cases() -> Vec<HostileAdapter> {
    vec![
        package_rule("a model", PackageErrorKind::WrongKind, |p| p.kind = 1),
        package_rule("a tokenizer", PackageErrorKind::SectionNotAllowed, |p| {
            p.sections.insert(1, RawSection::new(0x20, 0, "tokenizer"));
        }),
        package_rule(
            "a chat template",
            PackageErrorKind::SectionNotAllowed,
            |p| {
                p.sections.insert(1, RawSection::new(0x30, 0, "template"));
            },
        ),
        package_rule("no binding", PackageErrorKind::MissingSection, |p| {
            p.sections.remove(0);
        }),
        package_rule(
            "an infinite value",
            PackageErrorKind::Payload(not_finite(0)),
            |p| {
                p.tensor("final_norm#delta").bytes[..4]
                    .copy_from_slice(&f32::INFINITY.to_le_bytes());
            },
        ),
        package_rule(
            "a wrong tensor digest",
            PackageErrorKind::TensorDigest,
            |p| {
                p.tensor("final_norm#delta").digest = Some([1; 32]);
            },
        ),
        package_rule(
            "a scale that is not a number",
            PackageErrorKind::Payload(not_finite(4)),
            |p| {
                p.tensor("layers.0.w_q#scales").bytes[4..].copy_from_slice(&f32::NAN.to_le_bytes());
            },
        ),
        package_rule("no delta", PackageErrorKind::SectionLength, |p| {
            p.tensors.clear();
        }),
        package_rule("rank 0", PackageErrorKind::TensorDims, |p| {
            for (part, dims) in [
                ("lora_a", &[0, D_MODEL][..]),
                ("lora_b", &[D_MODEL, 0]),
                ("scales", &[0]),
            ] {
                let name = format!("layers.0.w_q#{part}");
                *p.tensor(&name) = RawTensor::f32(&name, dims, &[]);
            }
        }),
        package_rule("no entries", PackageErrorKind::TensorDims, |p| {
            *p.tensor("layers.0.w_k#indices") = RawTensor::u32("layers.0.w_k#indices", &[]);
            *p.tensor("layers.0.w_k#values") = RawTensor::f32("layers.0.w_k#values", &[0], &[]);
        }),
    ]
}

fn not_finite(offset: u64) -> cultivar_core::tensor::TensorError {
    let kind = cultivar_core::tensor::TensorErrorKind::NotFinite;
    cultivar_core::tensor::TensorError { kind, offset }
}

fn binding_cases() -> Vec<HostileAdapter> {
    let config = |bytes: Vec<u8>| move |p: &mut RawPackage| p.section(0x10).bytes = bytes;
    let short = record("base_architecture", 6, [0; 31]);
    let typed = record("base_architecture", 5, *b"architecture");
    let alien = record("alpha", 3, 16.0_f64.to_le_bytes());
    let mut unnamed = binding([1, 2, 3, 4], Some(1));
    // The fourth of five records goes: base_weights.
    unnamed[0] = 4;
    let place = unnamed.len() - (1 + 10 + 5 + 1) - (1 + 12 + 5 + 32);
    unnamed.drain(place..place + 1 + 12 + 5 + 32);
    let three = |first| {
        let others = ["base_tensor_schema", "base_tokenizer"].map(|key| record(key, 6, [0; 32]));
        record_section(&[&[first], others.as_slice()].concat())
    };
    vec![
        package_rule(
            "no architecture",
            PackageErrorKind::MissingKey,
            config(three(alien)),
        ),
        package_rule(
            "31 bytes of a digest",
            PackageErrorKind::ValueLength,
            config(three(short)),
        ),
        package_rule(
            "a digest as text",
            PackageErrorKind::WrongValueKind,
            config(three(typed)),
        ),
        package_rule(
            "a false truth value stored",
            PackageErrorKind::RedundantDefault,
            config(binding([1, 2, 3, 4], Some(0))),
        ),
        package_rule("an unknown option", PackageErrorKind::UnknownKey, |p| {
            let bytes = &mut p.section(0x10).bytes;
            bytes[0] += 1;
            let surplus = record_section(&[record("zeta", 4, [1])]);
            bytes.extend_from_slice(&surplus[4..]);
        }),
        rule(
            "exact without weights",
            AdapterRule::NoBaseWeights,
            config(unnamed),
        ),
    ]
}

fn part_cases() -> Vec<HostileAdapter> {
    let renamed = |from: &'static str, to: &'static str| {
        move |p: &mut RawPackage| p.tensor(from).name = to.into()
    };
    vec![
        rule(
            "no part",
            AdapterRule::PartName,
            renamed("final_norm#delta", "final_norm"),
        ),
        rule(
            "an unknown part",
            AdapterRule::PartName,
            renamed("final_norm#delta", "final_norm#d"),
        ),
        rule(
            "no target",
            AdapterRule::PartName,
            renamed("final_norm#delta", "#delta"),
        ),
        rule(
            "two marks",
            AdapterRule::PartName,
            renamed("final_norm#delta", "final_norm##delta"),
        ),
        rule(
            "magnitudes",
            AdapterRule::Magnitude,
            renamed("final_norm#delta", "final_norm#magnitude"),
        ),
        rule("no lora_b", AdapterRule::PartMissing, |p| {
            p.tensors
                .retain(|tensor| tensor.name != b"layers.0.w_q#lora_b");
        }),
        rule("no values", AdapterRule::PartMissing, |p| {
            p.tensors
                .retain(|tensor| tensor.name != b"layers.0.w_k#values");
        }),
        rule("dense and sparse at once", AdapterRule::PartMix, |p| {
            p.tensors
                .insert(1, RawTensor::f32("layers.0.w_k#delta", &[2, 4], &[0.0; 8]));
        }),
        rule("fewer values than indices", AdapterRule::PartShape, |p| {
            let values = p.tensor("layers.0.w_k#values");
            values.dims = vec![2];
            values.bytes.truncate(8);
        }),
        rule("a scale too many", AdapterRule::PartShape, |p| {
            *p.tensor("layers.0.w_q#scales") =
                RawTensor::f32("layers.0.w_q#scales", &[3], &[1.0; 3]);
        }),
        rule("ranks that differ", AdapterRule::PartShape, |p| {
            *p.tensor("layers.0.w_q#lora_a") =
                RawTensor::f32("layers.0.w_q#lora_a", &[1, D_MODEL], &[1.0; 4]);
        }),
        rule("factors with one dimension", AdapterRule::PartShape, |p| {
            p.tensor("layers.0.w_q#lora_a").dims = vec![8];
        }),
        rule("4097 components", AdapterRule::Rank, |p| {
            let rank = 4097;
            let factor = |name: &str, dims: &[u64], n: u64| {
                RawTensor::f32(name, dims, &vec![0.0; n as usize])
            };
            *p.tensor("layers.0.w_q#lora_a") =
                factor("layers.0.w_q#lora_a", &[rank, D_MODEL], rank * D_MODEL);
            *p.tensor("layers.0.w_q#lora_b") =
                factor("layers.0.w_q#lora_b", &[D_MODEL, rank], rank * D_MODEL);
            *p.tensor("layers.0.w_q#scales") = factor("layers.0.w_q#scales", &[rank], rank);
        }),
        rule("indices as floats", AdapterRule::PartFormat, |p| {
            p.tensor("layers.0.w_k#indices").dtype = 1;
        }),
        rule("scales in f16", AdapterRule::PartFormat, |p| {
            let scales = p.tensor("layers.0.w_q#scales");
            scales.dtype = 2;
            scales.bytes.truncate(4);
        }),
        rule("factors as integers", AdapterRule::PartFormat, |p| {
            p.tensor("layers.0.w_q#lora_a").dtype = 4;
        }),
        rule("a dense delta of integers", AdapterRule::PartFormat, |p| {
            p.tensor("final_norm#delta").dtype = 4;
        }),
        rule("indices that descend", AdapterRule::IndexOrder, |p| {
            *p.tensor("layers.0.w_k#indices") = RawTensor::u32("layers.0.w_k#indices", &[2, 1, 7]);
        }),
        rule("an index twice", AdapterRule::IndexOrder, |p| {
            *p.tensor("layers.0.w_k#indices") = RawTensor::u32("layers.0.w_k#indices", &[1, 2, 2]);
        }),
    ]
}

fn base_cases() -> Vec<HostileAdapter> {
    vec![
        rule(
            "another architecture",
            AdapterRule::OtherArchitecture,
            |p| rebound(p, 0),
        ),
        rule(
            "another tensor schema",
            AdapterRule::OtherTensorSchema,
            |p| rebound(p, 1),
        ),
        rule("another tokenizer", AdapterRule::OtherTokenizer, |p| {
            rebound(p, 2)
        }),
        rule("bound to other weights", AdapterRule::OtherWeights, |p| {
            rebound(p, 3);
            let bytes = &mut p.section(0x10).bytes;
            bytes[0] += 1;
            let exact = record_section(&[record("exact_base", 4, [1])]);
            bytes.extend_from_slice(&exact[4..]);
        }),
        rule("an unknown target", AdapterRule::UnknownTarget, |p| {
            p.tensor("final_norm#delta").name = b"final_norms#delta".to_vec();
        }),
        rule("a delta of another shape", AdapterRule::TargetShape, |p| {
            p.tensor("final_norm#delta").dims = vec![2, 2];
        }),
        rule(
            "a low-rank delta that is too wide",
            AdapterRule::TargetShape,
            |p| {
                *p.tensor("layers.0.w_q#lora_a") =
                    RawTensor::f32("layers.0.w_q#lora_a", &[2, 5], &[1.0; 10]);
            },
        ),
        rule(
            "a low-rank delta of a norm",
            AdapterRule::TargetShape,
            |p| {
                p.tensors.remove(0);
                for part in ["lora_a", "lora_b", "scales"] {
                    p.tensor(&format!("layers.0.w_q#{part}")).name =
                        format!("layers.0.ffn_norm#{part}").into();
                }
                p.tensors.rotate_left(2);
            },
        ),
        rule(
            "more indices than elements",
            AdapterRule::TargetShape,
            |p| {
                let indices: Vec<u32> = (0..9).collect();
                *p.tensor("layers.0.w_k#indices") =
                    RawTensor::u32("layers.0.w_k#indices", &indices);
                *p.tensor("layers.0.w_k#values") =
                    RawTensor::f32("layers.0.w_k#values", &[9], &[1.0; 9]);
            },
        ),
        rule("an index outside", AdapterRule::IndexBounds, |p| {
            *p.tensor("layers.0.w_k#indices") = RawTensor::u32("layers.0.w_k#indices", &[1, 2, 8]);
        }),
    ]
}
