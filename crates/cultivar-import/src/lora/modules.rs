//! Which matrices of a base a module of a foreign adapter means, by PEFT's and by GGUF's names.
//!
//! A fused module (q, k and v in one) becomes several targets, each with its rows of `lora_B` and
//! all of `lora_A`; that is exact. Rows come out in the package's order: half-split rotary rows.

use alloc::vec::Vec;
use cultivar_core::package::ModelConfig;
use cultivar_core::package::schema::TensorRole;

/// Rows of a module that belong to one target: source row per target row.
pub(super) type RowMap = Vec<u32>;

/// Where the rows of a module go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// One target, rows as they are.
    Whole(TensorRole),
    /// One target whose rotary rows are interleaved by pairs, heads being whole: GGUF's llama.
    Interleaved(TensorRole),
    /// q, then k, then v.
    Qkv,
    /// Per head q, k and v (GPT-NeoX).
    QkvByHead,
    /// The gate, then up.
    GateUp,
}

use TensorRole::{Output, TokenEmbedding, WDown, WGate, WUp, Wk, Wo, Wq, Wv};

/// Modules of a layer as Hugging Face calls them.
const PEFT_LAYER: &[(&str, Split)] = &[
    ("self_attn.q_proj", Split::Whole(Wq)),
    ("self_attn.k_proj", Split::Whole(Wk)),
    ("self_attn.v_proj", Split::Whole(Wv)),
    ("self_attn.o_proj", Split::Whole(Wo)),
    ("self_attn.qkv_proj", Split::Qkv),
    ("mlp.gate_proj", Split::Whole(WGate)),
    ("mlp.up_proj", Split::Whole(WUp)),
    ("mlp.down_proj", Split::Whole(WDown)),
    ("mlp.gate_up_proj", Split::GateUp),
    ("attn.c_attn", Split::Qkv),
    ("attn.c_proj", Split::Whole(Wo)),
    ("mlp.c_fc", Split::Whole(WUp)),
    ("mlp.c_proj", Split::Whole(WDown)),
    ("attention.query_key_value", Split::QkvByHead),
    ("attention.dense", Split::Whole(Wo)),
    ("mlp.dense_h_to_4h", Split::Whole(WUp)),
    ("mlp.dense_4h_to_h", Split::Whole(WDown)),
];

/// Modules outside the layers.
const PEFT_OUTER: &[(&str, Split)] = &[
    ("model.embed_tokens", Split::Whole(TokenEmbedding)),
    ("transformer.wte", Split::Whole(TokenEmbedding)),
    ("gpt_neox.embed_in", Split::Whole(TokenEmbedding)),
    ("lm_head", Split::Whole(Output)),
    ("embed_out", Split::Whole(Output)),
];

/// Modules of a layer in GGUF.
const GGUF_LAYER: &[(&str, Split)] = &[
    ("attn_q", Split::Whole(Wq)),
    ("attn_k", Split::Whole(Wk)),
    ("attn_v", Split::Whole(Wv)),
    ("attn_qkv", Split::Qkv),
    ("attn_output", Split::Whole(Wo)),
    ("ffn_gate", Split::Whole(WGate)),
    ("ffn_up", Split::Whole(WUp)),
    ("ffn_down", Split::Whole(WDown)),
];

/// Architectures in GGUF whose row order is known.
pub(super) const GGUF_ARCHITECTURES: &[&str] = &[
    "llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "gpt2", "gptneox",
];

/// A module: its layer, if it has one, and where its rows go.
pub(super) type Module = (Option<usize>, Split);

/// The module of a PEFT name without its `base_model.model.` and without the factor behind it.
pub(super) fn peft(name: &str) -> Option<Module> {
    if let Some((_, split)) = PEFT_OUTER.iter().find(|(known, _)| *known == name) {
        return Some((None, *split));
    }
    let prefixes = ["model.layers.", "transformer.h.", "gpt_neox.layers."];
    let rest = prefixes
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))?;
    let (layer, module) = rest.split_once('.')?;
    let (_, split) = PEFT_LAYER.iter().find(|(known, _)| *known == module)?;
    Some((Some(number(layer)?), *split))
}

/// The module of a GGUF name without `.weight` and without the factor behind it.
pub(super) fn gguf(name: &str, architecture: &str) -> Option<Module> {
    match name {
        "token_embd" => return Some((None, Split::Whole(TokenEmbedding))),
        "output" => return Some((None, Split::Whole(Output))),
        _ => {}
    }
    let (layer, module) = name.strip_prefix("blk.")?.split_once('.')?;
    let layer = Some(number(layer)?);
    let (_, split) = GGUF_LAYER.iter().find(|(known, _)| *known == module)?;
    let split = match (architecture, *split) {
        ("llama", Split::Whole(role @ (Wq | Wk))) => Split::Interleaved(role),
        ("phi3", Split::Whole(WUp)) => Split::GateUp,
        (_, split) => split,
    };
    Some((layer, split))
}

/// A layer's number in decimal, without sign or leading zeros.
fn number(text: &str) -> Option<usize> {
    let is_plain = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| is_plain)
}

/// The targets of a module with the rows that each takes, and how many rows the module has.
pub(super) fn targets(split: Split, config: &ModelConfig) -> (Vec<(TensorRole, RowMap)>, u64) {
    let d_out = |role: TensorRole| role.d_out_d_in(config).0 as u32;
    let (q, kv, head_dim) = (d_out(Wq), d_out(Wk), config.head_dim as u32);
    let from = |start: u32, n: u32| (start..start.saturating_add(n)).collect::<RowMap>();
    match split {
        Split::Whole(role) => (
            Vec::from([(role, from(0, d_out(role)))]),
            d_out(role).into(),
        ),
        Split::Interleaved(role) => {
            // Row (head, half, i) of the package is row (head, i, half) of GGUF.
            let half = (head_dim / 2).max(1);
            let source = |row: u32| {
                let (head, in_head) = (row / (2 * half), row % (2 * half));
                head * 2 * half + in_head % half * 2 + in_head / half
            };
            let rows = (0..d_out(role)).map(source).collect();
            (Vec::from([(role, rows)]), d_out(role).into())
        }
        Split::Qkv => {
            let parts = [(Wq, from(0, q)), (Wk, from(q, kv)), (Wv, from(q + kv, kv))];
            (Vec::from(parts), u64::from(q) + 2 * u64::from(kv))
        }
        Split::QkvByHead => {
            let head_dim = head_dim.max(1);
            let part = |which: u32| -> RowMap {
                let source = |row: u32| (row / head_dim * 3 + which) * head_dim + row % head_dim;
                (0..q).map(source).collect()
            };
            let parts = [(Wq, part(0)), (Wk, part(1)), (Wv, part(2))];
            (Vec::from(parts), 3 * u64::from(q))
        }
        Split::GateUp => {
            let d_ff = d_out(WGate);
            let parts = [(WGate, from(0, d_ff)), (WUp, from(d_ff, d_ff))];
            (Vec::from(parts), 2 * u64::from(d_ff))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use cultivar_core::package::ModelSize;

    fn config() -> ModelConfig {
        let mut config = ModelConfig::new(ModelSize {
            d_model: 8,
            d_ff: 3,
            n_layers: 1,
            n_heads: 2,
            vocab_size: 5,
            context_len: 16,
        });
        config.n_kv_heads = 1;
        config
    }

    #[test]
    fn names_lead_to_modules() {
        let whole = |layer, role| Some((layer, Split::Whole(role)));
        for (name, module) in [
            ("model.layers.0.self_attn.q_proj", whole(Some(0), Wq)),
            ("model.layers.12.mlp.down_proj", whole(Some(12), WDown)),
            ("transformer.h.3.attn.c_attn", Some((Some(3), Split::Qkv))),
            ("lm_head", whole(None, Output)),
            ("model.layers.00.self_attn.q_proj", None),
            ("model.layers.+1.self_attn.q_proj", None),
            ("model.layers.1.self_attn.rotary", None),
            ("model.norm", None),
        ] {
            assert_eq!(peft(name), module, "{name}");
        }
        assert_eq!(
            gguf("blk.2.attn_q", "llama"),
            Some((Some(2), Split::Interleaved(Wq)))
        );
        assert_eq!(gguf("blk.2.attn_q", "qwen2"), whole(Some(2), Wq));
        assert_eq!(gguf("blk.0.ffn_up", "phi3"), Some((Some(0), Split::GateUp)));
        assert_eq!(gguf("output_norm", "llama"), None);
    }

    #[test]
    fn rows_are_sorted_out() {
        let of = |split| targets(split, &config());
        let rows = |n: core::ops::Range<u32>| n.collect::<RowMap>();
        // Two heads of four rows: pairs (0, 1), (2, 3) become halves (0, 2), (1, 3).
        let (parts, n) = of(Split::Interleaved(Wq));
        assert_eq!((parts, n), (vec![(Wq, vec![0, 2, 1, 3, 4, 6, 5, 7])], 8));
        let (parts, n) = of(Split::Qkv);
        assert_eq!(
            parts,
            [(Wq, rows(0..8)), (Wk, rows(8..12)), (Wv, rows(12..16))]
        );
        assert_eq!(n, 16);
        let (parts, n) = of(Split::GateUp);
        assert_eq!(
            (parts, n),
            (vec![(WGate, rows(0..3)), (WUp, rows(3..6))], 6)
        );
        let (parts, n) = of(Split::QkvByHead);
        assert_eq!(parts[1], (Wk, vec![4, 5, 6, 7, 16, 17, 18, 19]));
        assert_eq!(n, 24);
    }
}
