//! The checkpoint: seven 32-bit integers, then all weights as f32 in a fixed order.
//!
//! ```text
//! d_model d_ff n_layers n_heads n_kv_heads vocab_size context_len   (vocab_size < 0: untied)
//! token_embedding, then each of these for all layers: attention_norm w_q w_k w_v w_o ffn_norm
//! w_gate w_down w_up; final_norm; two rotary tables, unused; output if untied
//! ```
//! Source: llama2.c `run.c`, `read_checkpoint` and `memory_map_weights`; `export.py`, version 0.

use crate::error::{ImportError, ImportErrorKind};
use crate::ggml::GgmlType;
use crate::plan::{RowOrder, TensorSource};
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::package::limits;
use cultivar_core::package::schema::{TensorRole, tensor_name};
use cultivar_core::package::{ModelConfig, ModelSize};

/// Bytes of the header.
pub(crate) const HEADER_BYTES: u64 = 28;

/// The fields of the header, with the largest value each may have.
const FIELDS: [(&str, usize); 7] = [
    ("d_model", limits::D_MODEL_MAX),
    ("d_ff", limits::D_FF_MAX),
    ("n_layers", limits::LAYERS_MAX),
    ("n_heads", limits::HEADS_MAX),
    ("n_kv_heads", limits::HEADS_MAX),
    ("vocab_size", limits::VOCAB_MAX),
    ("context_len", limits::CONTEXT_MAX),
];

/// The header's numbers; sizes are 1 or more and within the limits of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    fields: [u64; 7],
    tied_output: bool,
}

/// Whether the first bytes can be a checkpoint's header.
pub(crate) fn is_plausible(probe: &[u8]) -> bool {
    Header::parse(probe).is_ok()
}

impl Header {
    /// Reads the header; names the field that cannot be.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Header, ImportError> {
        let mut fields = [0u64; 7];
        let mut tied_output = true;
        let words = bytes.as_chunks::<4>().0;
        for (idx, (field, (name, max))) in fields.iter_mut().zip(FIELDS).enumerate() {
            let value = words.get(idx).map_or(0, |word| i32::from_le_bytes(*word));
            let is_vocab = name == "vocab_size";
            let size = if is_vocab {
                value.unsigned_abs()
            } else {
                value.max(0).unsigned_abs()
            };
            if size == 0 || size as usize > max {
                let error = ImportError::new(ImportErrorKind::HeaderField).field(name);
                return Err(error.numbers(i64::from(value) as u64, 0));
            }
            tied_output &= !is_vocab || value > 0;
            *field = u64::from(size);
        }
        let header = Header {
            fields,
            tied_output,
        };
        let [d_model, _, _, n_heads, n_kv_heads, _, _] = fields;
        let refuse = |name: &str, value: u64| {
            Err(ImportError::new(ImportErrorKind::HeaderField)
                .field(name)
                .numbers(value, 0))
        };
        if !d_model.is_multiple_of(n_heads) || !(d_model / n_heads).is_multiple_of(2) {
            return refuse("n_heads", n_heads);
        }
        if !n_heads.is_multiple_of(n_kv_heads) {
            return refuse("n_kv_heads", n_kv_heads);
        }
        Ok(header)
    }

    /// How many pieces the tokenizer file must have.
    pub(crate) fn vocab_size(&self) -> u64 {
        self.fields[5]
    }

    /// The configuration it describes; llama2.c fixes epsilon and theta, which are our defaults.
    pub(crate) fn config(&self) -> ModelConfig {
        let [
            d_model,
            d_ff,
            n_layers,
            n_heads,
            n_kv_heads,
            vocab_size,
            context_len,
        ] = self.fields.map(|field| field as usize);
        let size = ModelSize {
            d_model,
            d_ff,
            n_layers,
            n_heads,
            vocab_size,
            context_len,
        };
        let mut config = ModelConfig::new(size);
        config.n_kv_heads = n_kv_heads;
        config.tied_output = self.tied_output;
        config
    }

    /// Every tensor in the order of the file, and the file's length. All sums fit: the limits of
    /// the fields keep each product below 2^50.
    pub(crate) fn tensors(&self, source: usize) -> (Vec<TensorSource>, u64) {
        let [
            d_model,
            d_ff,
            n_layers,
            n_heads,
            n_kv_heads,
            vocab_size,
            context_len,
        ] = self.fields;
        let head_dim = d_model / n_heads;
        let kv_dim = n_kv_heads * head_dim;
        let rotary = RowOrder::Interleaved {
            head_dim: head_dim as usize,
        };
        let mut list = TensorList {
            tensors: Vec::new(),
            offset: HEADER_BYTES,
            source,
        };
        let plain = RowOrder::Same;
        list.push(
            TensorRole::TokenEmbedding,
            None,
            &[vocab_size, d_model],
            plain,
        );
        let of_layer: [(TensorRole, &[u64], RowOrder); 9] = [
            (TensorRole::AttentionNorm, &[d_model], plain),
            (TensorRole::Wq, &[d_model, d_model], rotary),
            (TensorRole::Wk, &[kv_dim, d_model], rotary),
            (TensorRole::Wv, &[kv_dim, d_model], plain),
            (TensorRole::Wo, &[d_model, d_model], plain),
            (TensorRole::FfnNorm, &[d_model], plain),
            (TensorRole::WGate, &[d_ff, d_model], plain),
            (TensorRole::WDown, &[d_model, d_ff], plain),
            (TensorRole::WUp, &[d_ff, d_model], plain),
        ];
        for (role, shape, row_order) in of_layer {
            for layer_idx in 0..n_layers as usize {
                list.push(role, Some(layer_idx), shape, row_order);
            }
        }
        list.push(TensorRole::FinalNorm, None, &[d_model], plain);
        list.offset += context_len * head_dim * 4;
        if !self.tied_output {
            list.push(TensorRole::Output, None, &[vocab_size, d_model], plain);
        }
        (list.tensors, list.offset)
    }

    /// The tensors of source `source`, if the file has exactly the length that the header calls
    /// for.
    pub(crate) fn checked_tensors(
        &self,
        bytes: u64,
        source: usize,
    ) -> Result<Vec<TensorSource>, ImportError> {
        let (tensors, expected) = self.tensors(source);
        let kind = match bytes.cmp(&expected) {
            core::cmp::Ordering::Less => ImportErrorKind::Truncated,
            core::cmp::Ordering::Greater => ImportErrorKind::Trailing,
            core::cmp::Ordering::Equal => return Ok(tensors),
        };
        Err(ImportError::new(kind).numbers(expected, bytes))
    }
}

struct TensorList {
    tensors: Vec<TensorSource>,
    offset: u64,
    source: usize,
}

impl TensorList {
    fn push(&mut self, role: TensorRole, layer: Option<usize>, shape: &[u64], row_order: RowOrder) {
        let Some(ggml_type) = GgmlType::by_name("f32") else {
            return;
        };
        self.tensors.push(TensorSource {
            name: String::from(tensor_name(role, layer).as_str()),
            role,
            layer,
            shape: shape.to_vec(),
            source: self.source,
            offset: self.offset,
            ggml_type,
            row_order,
            adds_one: false,
        });
        self.offset += shape.iter().product::<u64>() * 4;
    }
}
