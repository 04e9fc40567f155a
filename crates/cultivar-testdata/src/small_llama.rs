//! Llamas of one layer, as a Hugging Face folder and as a GGUF file hold them.
//!
//! The folder's 1024 ids leave room for any small vocabulary; its tokenizer is the test's own.

use crate::foreign_files::{GgufBuilder, safetensors_of};

/// 32 wide, 1024 ids, tied.
pub const CONFIG: &str = r#"{"architectures":["LlamaForCausalLM"],"hidden_size":32,
"intermediate_size":64,"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,
"vocab_size":1024,"max_position_embeddings":64,"rms_norm_eps":1e-5,"tie_word_embeddings":true}"#;

/// Every tensor with its shape.
pub const TENSORS: &[(&str, &[u64])] = &[
    ("model.embed_tokens.weight", &[1024, 32]),
    ("model.layers.0.input_layernorm.weight", &[32]),
    ("model.layers.0.self_attn.q_proj.weight", &[32, 32]),
    ("model.layers.0.self_attn.k_proj.weight", &[16, 32]),
    ("model.layers.0.self_attn.v_proj.weight", &[16, 32]),
    ("model.layers.0.self_attn.o_proj.weight", &[32, 32]),
    ("model.layers.0.post_attention_layernorm.weight", &[32]),
    ("model.layers.0.mlp.gate_proj.weight", &[64, 32]),
    ("model.layers.0.mlp.up_proj.weight", &[64, 32]),
    ("model.layers.0.mlp.down_proj.weight", &[32, 64]),
    ("model.norm.weight", &[32]),
];

/// A safetensors file of these tensors, every element being these bytes.
pub fn weights(tensors: &[(&str, &[u64])], dtype: &str, element: &[u8]) -> Vec<u8> {
    let data: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, shape)| element.repeat(shape.iter().product::<u64>() as usize))
        .collect();
    let list: Vec<_> = tensors
        .iter()
        .zip(&data)
        .map(|((name, shape), data)| (*name, dtype, *shape, &data[..]))
        .collect();
    safetensors_of(&list)
}

/// The same where every element differs: half floats that count through 0.5 to 1.
pub fn counting_weights() -> Vec<u8> {
    let mut n = 0u16;
    let data: Vec<Vec<u8>> = TENSORS
        .iter()
        .map(|(_, shape)| {
            let elements = 0..shape.iter().product::<u64>();
            let next = |_| {
                n = (n + 37) % 1024;
                (0x3800 + n).to_le_bytes()
            };
            elements.flat_map(next).collect()
        })
        .collect();
    let list: Vec<_> = TENSORS
        .iter()
        .zip(&data)
        .map(|((name, shape), data)| (*name, "F16", *shape, &data[..]))
        .collect();
    safetensors_of(&list)
}

/// A tensor of a GGUF file: name, shape (outermost first), ggml's type id, bytes.
pub type GgufTensor = (&'static str, &'static [u64], u32, Vec<u8>);

/// Ids of ggml's types that [`gguf_tensors`] uses.
const F32: u32 = 0;
const Q8_0: u32 = 8;

/// Bytes of `n` blocks of q8_0 with a scale of 2^-7 and small codes.
fn q8_0_blocks(n: u64) -> Vec<u8> {
    let block = |idx: u64| {
        let codes = (0..32).map(move |i| (idx * 7 + i * 3) as u8 % 61);
        [0, 0x20].into_iter().chain(codes)
    };
    (0..n).flat_map(block).collect()
}

/// The tensors of a Llama of one layer, 256 wide, of 262 ids, tied: norms f32, matrices q8_0.
pub fn gguf_tensors() -> Vec<GgufTensor> {
    const SHAPES: &[(&str, &[u64])] = &[
        ("token_embd.weight", &[262, 256]),
        ("blk.0.attn_norm.weight", &[256]),
        ("blk.0.attn_q.weight", &[256, 256]),
        ("blk.0.attn_k.weight", &[64, 256]),
        ("blk.0.attn_v.weight", &[64, 256]),
        ("blk.0.attn_output.weight", &[256, 256]),
        ("blk.0.ffn_norm.weight", &[256]),
        ("blk.0.ffn_gate.weight", &[256, 256]),
        ("blk.0.ffn_up.weight", &[256, 256]),
        ("blk.0.ffn_down.weight", &[256, 256]),
        ("output_norm.weight", &[256]),
    ];
    let tensor = |(name, shape): &(&'static str, &'static [u64])| {
        let (kind, bytes) = match shape {
            [_] => (F32, 1f32.to_le_bytes().repeat(256)),
            _ => (Q8_0, q8_0_blocks(shape.iter().product::<u64>() / 32)),
        };
        (*name, *shape, kind, bytes)
    };
    SHAPES.iter().map(tensor).collect()
}

/// The metadata of that model: options, and a SentencePiece vocabulary of three markers, all
/// bytes, `a`, `b` and `ab`. Keys in `without` are left out, for the caller to set otherwise.
pub fn gguf_metadata(without: &[&str]) -> GgufBuilder {
    let has = |key: &str| !without.contains(&key);
    let mut file = GgufBuilder::new();
    for (key, value) in [
        ("general.architecture", "llama"),
        ("general.name", "small"),
        ("general.license", "mit"),
        ("general.source.url", "https://example.org/small"),
        ("tokenizer.ggml.model", "llama"),
    ] {
        if has(key) {
            file = file.text(key, value);
        }
    }
    for (key, value) in [
        ("llama.context_length", 64),
        ("llama.embedding_length", 256),
        ("llama.block_count", 1),
        ("llama.feed_forward_length", 256),
        ("llama.attention.head_count", 4),
        ("llama.attention.head_count_kv", 1),
    ] {
        if has(key) {
            file = file.u32(key, value);
        }
    }
    let names: Vec<String> = ["<unk>", "<s>", "</s>"]
        .map(String::from)
        .into_iter()
        .chain((0..=255).map(|byte: u8| format!("<0x{byte:02X}>")))
        .chain(["a", "b", "ab"].map(String::from))
        .collect();
    let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    let kind = |id: usize| match id {
        0 => 2,
        1 | 2 => 3,
        3..259 => 6,
        _ => 1,
    };
    let kinds: Vec<i32> = (0..names.len()).map(kind).collect();
    if has("llama.attention.layer_norm_rms_epsilon") {
        file = file.f32("llama.attention.layer_norm_rms_epsilon", 1e-5);
    }
    if has("tokenizer.ggml.tokens") {
        file = file.texts("tokenizer.ggml.tokens", &names);
    }
    if has("tokenizer.ggml.scores") {
        file = file.f32s("tokenizer.ggml.scores", &vec![0.0; names.len()]);
    }
    if has("tokenizer.ggml.token_type") {
        file = file.i32s("tokenizer.ggml.token_type", &kinds);
    }
    file
}

/// The metadata's file with these tensors.
pub fn gguf_of(metadata: GgufBuilder, tensors: &[GgufTensor]) -> Vec<u8> {
    let with = |file: GgufBuilder, (name, shape, kind, bytes): &GgufTensor| {
        file.tensor(name, shape, *kind, bytes)
    };
    tensors.iter().fold(metadata, with).build()
}
