//! Names of tensors in GGUF files, by family.
//!
//! ggml's converter permutes the query and key rows of llama for a rotation of neighbours; all
//! other families keep Hugging Face's order, with fused tensors as `[q; k; v]` and norms already
//! plus one. Source: gguf-py `constants.py`, llama.cpp `convert_hf_to_gguf.py`.

use super::Family;
use super::names::{Fused, NameRow, Names};

const SHARED: &[NameRow] = &[
    ("token_embedding", "token_embd.weight", Fused::No),
    ("position_embedding", "position_embd.weight", Fused::No),
    ("attention_norm", "attn_norm.weight", Fused::No),
    ("attention_norm_bias", "attn_norm.bias", Fused::No),
    ("w_q", "attn_q.weight", Fused::No),
    ("b_q", "attn_q.bias", Fused::No),
    ("w_k", "attn_k.weight", Fused::No),
    ("b_k", "attn_k.bias", Fused::No),
    ("w_v", "attn_v.weight", Fused::No),
    ("b_v", "attn_v.bias", Fused::No),
    ("q_norm", "attn_q_norm.weight", Fused::No),
    ("k_norm", "attn_k_norm.weight", Fused::No),
    ("w_o", "attn_output.weight", Fused::No),
    ("b_o", "attn_output.bias", Fused::No),
    (
        "attention_post_norm",
        "post_attention_norm.weight",
        Fused::No,
    ),
    ("ffn_norm", "ffn_norm.weight", Fused::No),
    ("ffn_norm_bias", "ffn_norm.bias", Fused::No),
    ("w_gate", "ffn_gate.weight", Fused::No),
    ("b_gate", "ffn_gate.bias", Fused::No),
    ("w_up", "ffn_up.weight", Fused::No),
    ("b_up", "ffn_up.bias", Fused::No),
    ("w_down", "ffn_down.weight", Fused::No),
    ("b_down", "ffn_down.bias", Fused::No),
    ("ffn_post_norm", "post_ffw_norm.weight", Fused::No),
    ("final_norm", "output_norm.weight", Fused::No),
    ("final_norm_bias", "output_norm.bias", Fused::No),
    ("output", "output.weight", Fused::No),
];

const LLAMA: &[NameRow] = &[
    ("w_q", "attn_q.weight", Fused::Rotary),
    ("b_q", "attn_q.bias", Fused::Rotary),
    ("w_k", "attn_k.weight", Fused::Rotary),
    ("b_k", "attn_k.bias", Fused::Rotary),
];

const FUSED_QKV: &[NameRow] = &[
    ("w_q", "attn_qkv.weight", Fused::Qkv),
    ("b_q", "attn_qkv.bias", Fused::Qkv),
    ("w_k", "attn_qkv.weight", Fused::Qkv),
    ("b_k", "attn_qkv.bias", Fused::Qkv),
    ("w_v", "attn_qkv.weight", Fused::Qkv),
    ("b_v", "attn_qkv.bias", Fused::Qkv),
];

const PHI3: &[NameRow] = &[
    ("w_q", "attn_qkv.weight", Fused::Qkv),
    ("w_k", "attn_qkv.weight", Fused::Qkv),
    ("w_v", "attn_qkv.weight", Fused::Qkv),
    ("w_gate", "ffn_up.weight", Fused::GateUp),
    ("w_up", "ffn_up.weight", Fused::GateUp),
];

/// The names of a family.
pub(crate) fn names_of_gguf(family: Family) -> Names {
    Names {
        layer_prefix: "blk.",
        own: match family {
            Family::Llama => LLAMA,
            Family::Phi3 => PHI3,
            Family::Gpt2 | Family::GptNeox => FUSED_QKV,
            _ => &[],
        },
        shared: SHARED,
        // Read by the mapping of options where it means something.
        ignored: &["rope_freqs.weight", ".attn_rot_embd"],
        optional_prefix: "",
        adds_one: false,
    }
}
