//! Every buffer of the forward pass, with its shape, allocated once.

use super::dims::Dims;
use super::error::ModelError;
use super::rope::Rope;
use crate::kernels::Activations;
use crate::memory::filled;
use crate::package::ModelConfig;
use alloc::vec::Vec;

/// Buffers for batches of up to `max_rows` rows, `max_logit_rows` of them with logits.
pub struct Workspace {
    pub(super) max_rows: usize,
    pub(super) max_logit_rows: usize,
    /// Residual stream: `[max_rows, d_model]`.
    pub(super) x: Vec<f32>,
    /// Normed input, and the output of a block: `[max_rows, d_model]`.
    pub(super) normed: Vec<f32>,
    /// Input of the feed-forward layer, where it reads what attention reads: `[max_rows,
    /// d_model]`, else empty.
    pub(super) ffn_input: Vec<f32>,
    /// `[max_rows, n_heads * head_dim]`.
    pub(super) q: Vec<f32>,
    /// `[max_rows, n_kv_heads * head_dim]`.
    pub(super) k: Vec<f32>,
    /// `[max_rows, n_kv_heads * head_dim]`.
    pub(super) v: Vec<f32>,
    /// Attention output before `w_o`: `[max_rows, n_heads * head_dim]`.
    pub(super) attended: Vec<f32>,
    /// `[max_rows, d_ff]`.
    pub(super) gate: Vec<f32>,
    /// `[max_rows, d_ff]`.
    pub(super) up: Vec<f32>,
    /// Attention scores of one head: `[context_len]`.
    pub(super) scores: Vec<f32>,
    /// `[max_logit_rows, vocab_size]`.
    pub(super) logits: Vec<f32>,
    /// Rows quantized for the matrix that reads them next.
    pub(super) activations: Activations,
    /// Angles of the rows' positions.
    pub(super) rope: Rope,
}

/// Elements of each plain buffer, in the order of allocation; saturating, so that a product that
/// no address space holds is refused when it is allocated.
fn buffer_lens(dims: &Dims, max_rows: usize, max_logit_rows: usize) -> [usize; 11] {
    let rows = |width: usize| max_rows.saturating_mul(width);
    [
        rows(dims.d_model),
        rows(dims.d_model),
        if dims.is_parallel {
            rows(dims.d_model)
        } else {
            0
        },
        rows(dims.d_q()),
        rows(dims.d_kv()),
        rows(dims.d_kv()),
        rows(dims.d_q()),
        rows(dims.d_ff),
        rows(dims.d_ff),
        dims.context_len,
        max_logit_rows.saturating_mul(dims.vocab_size),
    ]
}

impl Workspace {
    /// Allocates all buffers.
    pub fn new(
        dims: &Dims,
        config: &ModelConfig,
        max_rows: usize,
        max_logit_rows: usize,
    ) -> Result<Self, ModelError> {
        let n_bytes = Self::bytes_needed(dims, max_rows, max_logit_rows);
        Self::allocate(dims, config, max_rows, max_logit_rows)
            .ok_or_else(|| ModelError::out_of_memory(n_bytes))
    }

    fn allocate(
        dims: &Dims,
        config: &ModelConfig,
        max_rows: usize,
        max_logit_rows: usize,
    ) -> Option<Self> {
        let lens = buffer_lens(dims, max_rows, max_logit_rows);
        let [
            x,
            normed,
            ffn_input,
            q,
            k,
            v,
            attended,
            gate,
            up,
            scores,
            logits,
        ] = lens.map(|len| filled(0.0, len));
        Some(Self {
            max_rows,
            max_logit_rows,
            x: x?,
            normed: normed?,
            ffn_input: ffn_input?,
            q: q?,
            k: k?,
            v: v?,
            attended: attended?,
            gate: gate?,
            up: up?,
            scores: scores?,
            logits: logits?,
            activations: Activations::new(max_rows, dims.max_d_in())?,
            rope: Rope::new(config, max_rows)?,
        })
    }

    /// Bytes that [`Workspace::new`] allocates for these numbers.
    pub fn bytes_needed(dims: &Dims, max_rows: usize, max_logit_rows: usize) -> u64 {
        let lens = buffer_lens(dims, max_rows, max_logit_rows);
        let plain: u64 = lens.iter().map(|&len| (len as u64).saturating_mul(4)).sum();
        let rope = (max_rows as u64 + 1) * (dims.n_rotations * dims.rotary_dim) as u64 * 4;
        plain + rope + Activations::bytes_needed(max_rows as u64, dims.max_d_in() as u64)
    }
}
