//! Every buffer of the forward pass, with its shape, allocated once.

use super::dims::Dims;
use super::error::{ModelError, ModelErrorKind};
use super::rope::Rope;
use crate::kernels::Activations;
use alloc::vec::Vec;

/// Buffers for batches of up to `max_rows` rows, `max_logit_rows` of them with logits.
pub struct Workspace {
    pub(super) max_rows: usize,
    pub(super) max_logit_rows: usize,
    /// Residual stream: `[max_rows, d_model]`.
    pub(super) x: Vec<f32>,
    /// Normed input, and the output of a block: `[max_rows, d_model]`.
    pub(super) normed: Vec<f32>,
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

/// Elements of each plain buffer, in the order of allocation.
fn buffer_lens(dims: &Dims, max_rows: usize, max_logit_rows: usize) -> [usize; 10] {
    [
        max_rows * dims.d_model,
        max_rows * dims.d_model,
        max_rows * dims.d_q(),
        max_rows * dims.d_kv(),
        max_rows * dims.d_kv(),
        max_rows * dims.d_q(),
        max_rows * dims.d_ff,
        max_rows * dims.d_ff,
        dims.context_len,
        max_logit_rows * dims.vocab_size,
    ]
}

fn zeros(len: usize) -> Result<Vec<f32>, ModelError> {
    let mut v = Vec::new();
    let bytes = len as u64 * 4;
    v.try_reserve_exact(len)
        .map_err(|_| ModelError::new(ModelErrorKind::OutOfMemory(bytes)))?;
    v.resize(len, 0.0);
    Ok(v)
}

impl Workspace {
    /// Allocates all buffers.
    pub fn new(
        dims: &Dims,
        rope_theta: f64,
        max_rows: usize,
        max_logit_rows: usize,
    ) -> Result<Self, ModelError> {
        let lens = buffer_lens(dims, max_rows, max_logit_rows);
        let [x, normed, q, k, v, attended, gate, up, scores, logits] = lens.map(zeros);
        Ok(Self {
            max_rows,
            max_logit_rows,
            x: x?,
            normed: normed?,
            q: q?,
            k: k?,
            v: v?,
            attended: attended?,
            gate: gate?,
            up: up?,
            scores: scores?,
            logits: logits?,
            activations: Activations::new(max_rows, dims.max_d_in()),
            rope: Rope::new(dims.head_dim, rope_theta, max_rows),
        })
    }

    /// Bytes that [`Workspace::new`] allocates for these numbers.
    pub fn bytes_needed(dims: &Dims, max_rows: usize, max_logit_rows: usize) -> u64 {
        let lens = buffer_lens(dims, max_rows, max_logit_rows);
        let plain: u64 = lens.iter().map(|&len| len as u64 * 4).sum();
        let rope = (max_rows * dims.head_dim * 4 + dims.head_dim * 4) as u64;
        plain + rope + Activations::bytes_needed(max_rows as u64, dims.max_d_in() as u64)
    }
}
