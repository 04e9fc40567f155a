//! Names of tensors in Hugging Face's files, by family.
//!
//! Source: transformers `modeling_*.py`; the parameters of each class.

use super::Family;
use super::names::{Fused, NameRow, Names};

const LLAMA: &[NameRow] = &[
    ("token_embedding", "model.embed_tokens.weight", Fused::No),
    ("attention_norm", "input_layernorm.weight", Fused::No),
    ("w_q", "self_attn.q_proj.weight", Fused::No),
    ("b_q", "self_attn.q_proj.bias", Fused::No),
    ("w_k", "self_attn.k_proj.weight", Fused::No),
    ("b_k", "self_attn.k_proj.bias", Fused::No),
    ("w_v", "self_attn.v_proj.weight", Fused::No),
    ("b_v", "self_attn.v_proj.bias", Fused::No),
    ("q_norm", "self_attn.q_norm.weight", Fused::No),
    ("k_norm", "self_attn.k_norm.weight", Fused::No),
    ("w_o", "self_attn.o_proj.weight", Fused::No),
    ("b_o", "self_attn.o_proj.bias", Fused::No),
    ("ffn_norm", "post_attention_layernorm.weight", Fused::No),
    ("w_gate", "mlp.gate_proj.weight", Fused::No),
    ("b_gate", "mlp.gate_proj.bias", Fused::No),
    ("w_up", "mlp.up_proj.weight", Fused::No),
    ("b_up", "mlp.up_proj.bias", Fused::No),
    ("w_down", "mlp.down_proj.weight", Fused::No),
    ("b_down", "mlp.down_proj.bias", Fused::No),
    ("final_norm", "model.norm.weight", Fused::No),
    ("output", "lm_head.weight", Fused::No),
];

const GEMMA: &[NameRow] = &[
    (
        "attention_post_norm",
        "post_attention_layernorm.weight",
        Fused::No,
    ),
    ("ffn_norm", "pre_feedforward_layernorm.weight", Fused::No),
    (
        "ffn_post_norm",
        "post_feedforward_layernorm.weight",
        Fused::No,
    ),
];

const PHI3: &[NameRow] = &[
    ("w_q", "self_attn.qkv_proj.weight", Fused::Qkv),
    ("w_k", "self_attn.qkv_proj.weight", Fused::Qkv),
    ("w_v", "self_attn.qkv_proj.weight", Fused::Qkv),
    ("w_gate", "mlp.gate_up_proj.weight", Fused::GateUp),
    ("w_up", "mlp.gate_up_proj.weight", Fused::GateUp),
];

const GPT2: &[NameRow] = &[
    ("token_embedding", "transformer.wte.weight", Fused::No),
    ("position_embedding", "transformer.wpe.weight", Fused::No),
    ("attention_norm", "ln_1.weight", Fused::No),
    ("attention_norm_bias", "ln_1.bias", Fused::No),
    ("w_q", "attn.c_attn.weight", Fused::QkvColumns),
    ("b_q", "attn.c_attn.bias", Fused::Qkv),
    ("w_k", "attn.c_attn.weight", Fused::QkvColumns),
    ("b_k", "attn.c_attn.bias", Fused::Qkv),
    ("w_v", "attn.c_attn.weight", Fused::QkvColumns),
    ("b_v", "attn.c_attn.bias", Fused::Qkv),
    ("w_o", "attn.c_proj.weight", Fused::Columns),
    ("b_o", "attn.c_proj.bias", Fused::No),
    ("ffn_norm", "ln_2.weight", Fused::No),
    ("ffn_norm_bias", "ln_2.bias", Fused::No),
    ("w_up", "mlp.c_fc.weight", Fused::Columns),
    ("b_up", "mlp.c_fc.bias", Fused::No),
    ("w_down", "mlp.c_proj.weight", Fused::Columns),
    ("b_down", "mlp.c_proj.bias", Fused::No),
    ("final_norm", "transformer.ln_f.weight", Fused::No),
    ("final_norm_bias", "transformer.ln_f.bias", Fused::No),
    ("output", "lm_head.weight", Fused::No),
];

const GPT_NEOX: &[NameRow] = &[
    ("token_embedding", "gpt_neox.embed_in.weight", Fused::No),
    ("attention_norm", "input_layernorm.weight", Fused::No),
    ("attention_norm_bias", "input_layernorm.bias", Fused::No),
    ("w_q", "attention.query_key_value.weight", Fused::HeadQkv),
    ("b_q", "attention.query_key_value.bias", Fused::HeadQkv),
    ("w_k", "attention.query_key_value.weight", Fused::HeadQkv),
    ("b_k", "attention.query_key_value.bias", Fused::HeadQkv),
    ("w_v", "attention.query_key_value.weight", Fused::HeadQkv),
    ("b_v", "attention.query_key_value.bias", Fused::HeadQkv),
    ("w_o", "attention.dense.weight", Fused::No),
    ("b_o", "attention.dense.bias", Fused::No),
    ("ffn_norm", "post_attention_layernorm.weight", Fused::No),
    ("ffn_norm_bias", "post_attention_layernorm.bias", Fused::No),
    ("w_up", "mlp.dense_h_to_4h.weight", Fused::No),
    ("b_up", "mlp.dense_h_to_4h.bias", Fused::No),
    ("w_down", "mlp.dense_4h_to_h.weight", Fused::No),
    ("b_down", "mlp.dense_4h_to_h.bias", Fused::No),
    ("final_norm", "gpt_neox.final_layer_norm.weight", Fused::No),
    (
        "final_norm_bias",
        "gpt_neox.final_layer_norm.bias",
        Fused::No,
    ),
    ("output", "embed_out.weight", Fused::No),
];

/// Buffers that older versions stored beside the parameters, and the output matrix of a tied
/// model, which transformers does not read either.
const IGNORED: &[&str] = &[
    ".rotary_emb.inv_freq",
    ".attn.bias",
    ".attn.masked_bias",
    ".attention.bias",
    ".attention.masked_bias",
];

/// The names of a family.
pub(crate) fn names_of_hf(family: Family) -> Names {
    let llama = |own| Names {
        layer_prefix: "model.layers.",
        own,
        shared: LLAMA,
        ignored: IGNORED,
        optional_prefix: "",
        adds_one: family.stores_norms_less_one(),
    };
    match family {
        Family::Llama | Family::Qwen2 | Family::Qwen3 => llama(&[]),
        Family::Gemma2 | Family::Gemma3 => llama(GEMMA),
        Family::Phi3 => llama(PHI3),
        Family::Gpt2 => Names {
            layer_prefix: "transformer.h.",
            shared: GPT2,
            optional_prefix: "transformer.",
            ..llama(&[])
        },
        Family::GptNeox => Names {
            layer_prefix: "gpt_neox.layers.",
            shared: GPT_NEOX,
            ..llama(&[])
        },
    }
}
