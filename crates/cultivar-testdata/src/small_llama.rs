//! A Llama of one layer as a Hugging Face folder holds it: configuration and weights.
//!
//! Its 1024 ids leave room for any small vocabulary; the tokenizer is the test's own.

use crate::foreign_files::safetensors_of;

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
