//! Hostile options: of the configuration and of the tokenizer.

use super::{HostileCase, Kind, case, config_case, put_records, tokenizer_case, without};
use crate::byte_builder::{
    RawRecord, count_record, real_record, record, strings_payload, text_record,
};
use crate::small_packages::{config_records, tokenizer_records};
use cultivar_core::package::ConfigErrorKind;

/// Every case of this file.
pub(super) fn cases() -> Vec<HostileCase> {
    [
        option_cases(),
        config_range_cases(),
        config_agreement_cases(),
        tokenizer_cases(),
        token_id_cases(),
    ]
    .concat()
}

fn option_cases() -> Vec<HostileCase> {
    vec![
        config_case(
            "an unknown option",
            Kind::UnknownKey,
            &[count_record("d_modal", 4)],
        ),
        case("no d_model", Kind::MissingKey, |p| {
            put_records(p, 0x10, &without(config_records(), "d_model"));
        }),
        case("no tokenizer kind", Kind::MissingKey, |p| {
            put_records(p, 0x20, &without(tokenizer_records(), "kind"));
        }),
        config_case(
            "d_model as a float",
            Kind::WrongValueKind,
            &[real_record("d_model", 4.0)],
        ),
        config_case(
            "rope_theta as an integer",
            Kind::WrongValueKind,
            &[count_record("rope_theta", 500)],
        ),
        config_case(
            "an option at its default",
            Kind::RedundantDefault,
            &[real_record("rope_theta", 10000.0)],
        ),
        config_case(
            "head_dim at its default",
            Kind::RedundantDefault,
            &[count_record("head_dim", 2)],
        ),
        config_case(
            "an empty list stored",
            Kind::RedundantDefault,
            &[record("attention_kinds", 7, [])],
        ),
        tokenizer_case(
            "a false truth value stored",
            Kind::RedundantDefault,
            &[record("add_bos", 4, [0])],
        ),
        config_case(
            "an unknown norm",
            Kind::UnknownChoice,
            &[text_record("norm_kind", "batch")],
        ),
        config_case(
            "d_model of 2^32",
            Kind::ValueRange,
            &[count_record("d_model", 1 << 32)],
        ),
        config_case(
            "d_model of 2^64 - 1",
            Kind::ValueRange,
            &[count_record("d_model", u64::MAX)],
        ),
    ]
}

fn config_range_cases() -> Vec<HostileCase> {
    let config =
        |name: &str, kind, records: &[RawRecord]| config_case(name, Kind::Config(kind), records);
    vec![
        config(
            "no layers",
            ConfigErrorKind::Range,
            &[count_record("n_layers", 0)],
        ),
        config(
            "2^30 layers",
            ConfigErrorKind::Range,
            &[count_record("n_layers", 1 << 30)],
        ),
        config(
            "no heads",
            ConfigErrorKind::Range,
            &[count_record("n_heads", 0)],
        ),
        config(
            "no key heads",
            ConfigErrorKind::Range,
            &[count_record("n_kv_heads", 0)],
        ),
        config(
            "heads that do not share d_model",
            ConfigErrorKind::Range,
            &[count_record("n_heads", 3)],
        ),
        config(
            "an eps of 0",
            ConfigErrorKind::Range,
            &[real_record("norm_eps", 0.0)],
        ),
        config(
            "a theta below 0",
            ConfigErrorKind::Range,
            &[real_record("rope_theta", -1.0)],
        ),
    ]
}

fn config_agreement_cases() -> Vec<HostileCase> {
    let config =
        |name: &str, kind, records: &[RawRecord]| config_case(name, Kind::Config(kind), records);
    let floats = |values: &[f64]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    vec![
        config(
            "heads not divisible",
            ConfigErrorKind::HeadsNotDivisible,
            &[count_record("n_heads", 4), count_record("n_kv_heads", 3)],
        ),
        config(
            "an odd head",
            ConfigErrorKind::RotaryDim,
            &[count_record("head_dim", 3)],
        ),
        config(
            "a third of the head rotated",
            ConfigErrorKind::RotaryDim,
            &[real_record("rotary_fraction", 1.0 / 3.0)],
        ),
        config(
            "two thetas for one layer",
            ConfigErrorKind::LayerList,
            &[record("rope_theta_per_layer", 9, floats(&[1e4, 1e6]))],
        ),
        config(
            "two kinds for one layer",
            ConfigErrorKind::LayerList,
            &[record("attention_kinds", 7, [1, 0, 0, 0, 0, 0, 0, 0])],
        ),
        config(
            "a window without sliding layers",
            ConfigErrorKind::NoEffect,
            &[count_record("sliding_window", 8)],
        ),
        config(
            "a scaling factor without scaling",
            ConfigErrorKind::NoEffect,
            &[real_record("rope_scaling_factor", 2.0)],
        ),
        config(
            "llama3 scaling without its numbers",
            ConfigErrorKind::Range,
            &[text_record("rope_scaling_kind", "llama3")],
        ),
        config(
            "yarn with a ramp that ends before it begins",
            ConfigErrorKind::Range,
            &[
                text_record("rope_scaling_kind", "yarn"),
                record(
                    "rope_scaling_params",
                    9,
                    floats(&[1.0, 32.0, 16.0, 1.0, 1.0]),
                ),
            ],
        ),
        config(
            "scaling of two layers where there is one",
            ConfigErrorKind::LayerList,
            &[
                text_record("rope_scaling_kind", "linear"),
                record("rope_scaling_layers", 7, [1, 0, 0, 0, 0, 0, 0, 0]),
            ],
        ),
        config(
            "a scaling of one layer that is all of them",
            ConfigErrorKind::NoEffect,
            &[
                text_record("rope_scaling_kind", "linear"),
                record("rope_scaling_layers", 7, [1, 0, 0, 0]),
            ],
        ),
        config(
            "per-layer thetas that are all the same",
            ConfigErrorKind::NoEffect,
            &[record("rope_theta_per_layer", 9, floats(&[1e4]))],
        ),
        config(
            "a matrix of 2^36 elements",
            ConfigErrorKind::TooLarge,
            &[
                count_record("d_model", 1 << 16),
                count_record("d_ff", 1 << 20),
                count_record("n_heads", 64),
            ],
        ),
    ]
}

fn tokenizer_cases() -> Vec<HostileCase> {
    let ids = |values: &[u32]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    vec![
        tokenizer_case(
            "a piece too few",
            Kind::VocabSize,
            &[record(
                "pieces",
                10,
                strings_payload(&[b"<unk>", b"<s>", b"</s>", b"a"]),
            )],
        ),
        tokenizer_case(
            "a bytes tokenizer of 5 pieces",
            Kind::VocabSize,
            &[text_record("kind", "bytes")],
        ),
        tokenizer_case(
            "a piece of 1025 bytes",
            Kind::PieceTooLong,
            &[record(
                "pieces",
                10,
                strings_payload(&[b"", b"", b"", b"", &[b'a'; 1025]]),
            )],
        ),
        tokenizer_case(
            "a type too few",
            Kind::TokenizerList,
            &[record("types", 6, [2, 3, 3, 1])],
        ),
        tokenizer_case(
            "a score too many",
            Kind::TokenizerList,
            &[record("scores", 8, [0; 24])],
        ),
        tokenizer_case(
            "a replaced text without what stands for it",
            Kind::TokenizerList,
            &[
                record("map_from", 10, strings_payload(&[b"a"])),
                record("normalizer", 11, strings_payload(&[b"map"])),
            ],
        ),
        tokenizer_case(
            "half a merge",
            Kind::TokenizerList,
            &[record("merges", 7, ids(&[3]))],
        ),
        tokenizer_case(
            "65 steps of nothing",
            Kind::ValueRange,
            &[record("decoder", 11, strings_payload(&[&b""[..]; 65]))],
        ),
        tokenizer_case(
            "a type of 7",
            Kind::ValueRange,
            &[record("types", 6, [2, 3, 3, 1, 7])],
        ),
    ]
}

fn token_id_cases() -> Vec<HostileCase> {
    let ids = |values: &[u32]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    vec![
        tokenizer_case("bos outside", Kind::TokenId, &[count_record("bos_id", 5)]),
        tokenizer_case(
            "unk of 2^32",
            Kind::TokenId,
            &[count_record("unk_id", 1 << 32)],
        ),
        tokenizer_case(
            "eos outside",
            Kind::TokenId,
            &[record("eos_ids", 7, ids(&[2, 5]))],
        ),
        tokenizer_case(
            "eos twice",
            Kind::TokenId,
            &[record("eos_ids", 7, ids(&[2, 2]))],
        ),
        tokenizer_case(
            "a merge outside",
            Kind::TokenId,
            &[record("merges", 7, ids(&[3, 5]))],
        ),
        tokenizer_case(
            "an unknown kind",
            Kind::UnknownChoice,
            &[text_record("kind", "words")],
        ),
        tokenizer_case(
            "an unknown option",
            Kind::UnknownKey,
            &[record("add_eos", 4, [1])],
        ),
        tokenizer_case(
            "kind as bytes",
            Kind::WrongValueKind,
            &[record("kind", 6, *b"bytes")],
        ),
    ]
}
