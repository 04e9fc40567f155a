//! The smallest packages that use everything: a model and an adapter for it, as raw parts.
//!
//! Small enough to damage at every byte and bit. Every section is there, unknown optional ones
//! before and behind the tensor data too, and one tensor is followed by padding.

use crate::byte_builder::{
    RawPackage, RawSection, RawTensor, count_record, record, record_section, strings_payload,
    text_record,
};

/// Token ids of the small model.
pub const VOCAB_SIZE: u64 = 5;

/// Width of the small model.
pub const D_MODEL: u64 = 4;

/// Width of its feed-forward layer.
pub const D_FF: u64 = 8;

fn values(n: u64, start: f32) -> Vec<f32> {
    (0..n).map(|i| start + i as f32 * 0.125).collect()
}

fn matrix(name: &str, d_out: u64, d_in: u64) -> RawTensor {
    RawTensor::f32(name, &[d_out, d_in], &values(d_out * d_in, -0.5))
}

/// The config records of the small model.
pub fn config_records() -> Vec<crate::byte_builder::RawRecord> {
    vec![
        count_record("context_len", 16),
        count_record("d_ff", D_FF),
        count_record("d_model", D_MODEL),
        count_record("n_heads", 2),
        count_record("n_kv_heads", 1),
        count_record("n_layers", 1),
        count_record("vocab_size", VOCAB_SIZE),
    ]
}

/// The tokenizer records of the small model: SentencePiece BPE with five pieces.
pub fn tokenizer_records() -> Vec<crate::byte_builder::RawRecord> {
    let scores = [0.0_f32, -0.0, -1.0, -2.0, -3.0];
    let scores: Vec<u8> = scores
        .iter()
        .flat_map(|score| score.to_le_bytes())
        .collect();
    vec![
        record("add_bos", 4, [1]),
        count_record("bos_id", 1),
        record("eos_ids", 7, 2_u32.to_le_bytes()),
        text_record("kind", "sentencepiece_bpe"),
        record(
            "pieces",
            10,
            strings_payload(&[b"<unk>", b"<s>", b"</s>", b"a", b"\xC3\xA9"]),
        ),
        record("scores", 8, scores),
        record("types", 6, [2, 3, 3, 1, 1]),
        count_record("unk_id", 0),
    ]
}

/// A model of one layer with five tokens: 13 tensors, all f32.
pub fn small_model() -> RawPackage {
    let mut package = RawPackage::new(1);
    let metadata = [
        text_record("license", "CC0-1.0"),
        text_record("name", "Small model"),
    ];
    package.sections = vec![
        RawSection::new(0x10, 1, record_section(&config_records())),
        RawSection::new(0x20, 1, record_section(&tokenizer_records())),
        RawSection::new(0x30, 0, "{{ messages }}"),
        RawSection::new(0x40, 0, record_section(&metadata)),
        RawSection::new(0x44, 0, "unknown, before the data"),
        RawSection::new(0x70, 0, "{\"schema\":\"cultivar.conversion.v1\"}"),
        RawSection::new(0x80, 0, "genome"),
        RawSection::new(0x90, 0, "unknown, behind the data"),
        RawSection::new(0xF0, 0, "signatures"),
    ];
    package.tensors = vec![
        RawTensor::f32("final_norm", &[D_MODEL], &values(D_MODEL, 1.0)),
        RawTensor::f32("layers.0.attention_norm", &[D_MODEL], &values(D_MODEL, 1.0)),
        RawTensor::f32("layers.0.ffn_norm", &[D_MODEL], &values(D_MODEL, 1.0)),
        matrix("layers.0.w_down", D_MODEL, D_FF),
        matrix("layers.0.w_gate", D_FF, D_MODEL),
        matrix("layers.0.w_k", 2, D_MODEL),
        matrix("layers.0.w_o", D_MODEL, D_MODEL),
        matrix("layers.0.w_q", D_MODEL, D_MODEL),
        matrix("layers.0.w_up", D_FF, D_MODEL),
        matrix("layers.0.w_v", 2, D_MODEL),
        matrix("output", VOCAB_SIZE, D_MODEL),
        matrix("token_embedding", VOCAB_SIZE, D_MODEL),
    ];
    package
}

/// An adapter for the small model: a raw, a sparse and a low-rank delta, bound to the identities
/// `[architecture, tokenizer, tensor_schema, weights]`.
pub fn small_adapter(base: [[u8; 32]; 4]) -> RawPackage {
    let [architecture, tokenizer, tensor_schema, weights] = base;
    let mut package = RawPackage::new(2);
    let binding = [
        record("base_architecture", 6, architecture),
        record("base_tensor_schema", 6, tensor_schema),
        record("base_tokenizer", 6, tokenizer),
        record("base_weights", 6, weights),
    ];
    package.sections = vec![
        RawSection::new(0x10, 1, record_section(&binding)),
        RawSection::new(
            0x40,
            0,
            record_section(&[text_record("name", "Small adapter")]),
        ),
        RawSection::new(0x70, 0, "{}"),
    ];
    package.tensors = vec![
        RawTensor::f32("final_norm#delta", &[D_MODEL], &values(D_MODEL, 0.25)),
        RawTensor::u32("layers.0.w_k#indices", &[1, 2, 7]),
        RawTensor::f32("layers.0.w_k#values", &[3], &values(3, 0.5)),
        RawTensor::f32(
            "layers.0.w_q#lora_a",
            &[2, D_MODEL],
            &values(2 * D_MODEL, 0.0),
        ),
        RawTensor::f32(
            "layers.0.w_q#lora_b",
            &[D_MODEL, 2],
            &values(2 * D_MODEL, 1.0),
        ),
        RawTensor::f32("layers.0.w_q#scales", &[2], &[2.0, 0.5]),
    ];
    package
}
