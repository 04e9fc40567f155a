//! The forward pass of the Llama family over a batch of rows, top to bottom as in the papers:
//! RMSNorm, attention with rotary positions and grouped heads, SwiGLU feed-forward, logits.
//!
//! Every row's result depends only on its own sequence: rows of a batch, the size of a prefill
//! chunk and other sequences change no bit.

use super::engine::Engine;
use super::error::{ModelError, ModelErrorKind};
use super::weights::{LayerWeights, Tensor};
use crate::kernels::{self, Activations, Backend, elementwise};
use crate::kv_cache::{HeadAddress, KvCache, SequenceId};
use crate::tensor::codec;

/// One token at one position of one sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// The sequence that the token extends.
    pub sequence: SequenceId,
    /// Its position: the committed length of the sequence plus the rows before it in the batch.
    pub position: u32,
    /// The token.
    pub token: u32,
    /// Whether logits of the next token are computed.
    pub wants_logits: bool,
}

impl Engine {
    /// Computes a batch of rows and commits their keys and values.
    ///
    /// Logits of the rows that want them stand in [`Engine::logits`] in batch order. On an error
    /// nothing is committed.
    pub fn forward(&mut self, rows: &[Row]) -> Result<(), ModelError> {
        self.check(rows)?;
        for_each_run(rows, |sequence, n| self.kv.prepare(sequence, n))?;
        self.embed(rows)?;
        self.workspace
            .rope
            .prepare(rows.iter().map(|row| row.position));
        for layer_idx in 0..self.model.dims.n_layers {
            self.attention(layer_idx, rows)?;
            self.feed_forward(layer_idx, rows.len());
        }
        self.compute_logits(rows);
        Ok(for_each_run(rows, |sequence, n| {
            self.kv.commit(sequence, n)
        })?)
    }

    fn check(&self, rows: &[Row]) -> Result<(), ModelError> {
        let too_many = |n: usize, max: usize| {
            let kind = ModelErrorKind::TooManyRows(n as u64, max as u64);
            if n > max {
                Err(ModelError::new(kind))
            } else {
                Ok(())
            }
        };
        too_many(rows.len(), self.workspace.max_rows)?;
        let n_logits = rows.iter().filter(|row| row.wants_logits).count();
        too_many(n_logits, self.workspace.max_logit_rows)?;
        let vocab_size = self.model.dims.vocab_size;
        for (t, row) in rows.iter().enumerate() {
            if row.token as usize >= vocab_size {
                let kind = ModelErrorKind::UnknownToken(row.token, vocab_size as u32);
                return Err(ModelError::new(kind));
            }
            let earlier = rows[..t]
                .iter()
                .filter(|other| other.sequence == row.sequence)
                .count();
            let expected = (self.kv.len(row.sequence)? + earlier) as u64;
            if u64::from(row.position) != expected {
                let kind = ModelErrorKind::WrongPosition(row.position, expected);
                return Err(ModelError::new(kind));
            }
        }
        Ok(())
    }

    /// `x[t] = token_embedding[token_t]`.
    fn embed(&mut self, rows: &[Row]) -> Result<(), ModelError> {
        let d_model = self.model.dims.d_model;
        let embedding = self.model.weights.token_embedding.view();
        for (row, x) in rows.iter().zip(self.workspace.x.chunks_exact_mut(d_model)) {
            codec::decode_row(x, embedding, row.token as usize);
        }
        Ok(())
    }

    /// `x += w_o attention(rope(w_q h), rope(w_k h), w_v h)` with `h = rms_norm(x)`.
    fn attention(&mut self, layer_idx: usize, rows: &[Row]) -> Result<(), ModelError> {
        let Engine {
            model,
            kv,
            workspace: ws,
            backend,
            norm_eps,
            attention_scale,
            ..
        } = self;
        let (dims, n, backend) = (model.dims, rows.len(), *backend);
        let layer = &model.weights.layers[layer_idx];
        let (d_model, d_q, d_kv) = (dims.d_model, dims.d_q(), dims.d_kv());
        let x = &mut ws.x[..n * d_model];
        let normed = &mut ws.normed[..n * d_model];
        let (q, k, v) = (
            &mut ws.q[..n * d_q],
            &mut ws.k[..n * d_kv],
            &mut ws.v[..n * d_kv],
        );

        norm_rows(backend, normed, x, &layer.attention_norm, *norm_eps);
        let readers = [&layer.w_q, &layer.w_k, &layer.w_v];
        load(&mut ws.activations, backend, normed, d_model, &readers);
        kernels::matmul(backend, q, layer.w_q.view(), &ws.activations);
        kernels::matmul(backend, k, layer.w_k.view(), &ws.activations);
        kernels::matmul(backend, v, layer.w_v.view(), &ws.activations);

        for t in 0..n {
            let (cos, sin) = ws.rope.row(t);
            let heads = q[t * d_q..(t + 1) * d_q].chunks_exact_mut(dims.head_dim);
            let kv_heads = k[t * d_kv..(t + 1) * d_kv].chunks_exact_mut(dims.head_dim);
            for head in heads.chain(kv_heads) {
                elementwise::rotate_half(head, cos, sin);
            }
        }
        // All rows are stored before any is read, so that a token of this batch is seen by later
        // ones as it is stored.
        store_rows(kv, layer_idx, rows, (k, v), d_kv, dims.head_dim)?;
        let attended = &mut ws.attended[..n * d_q];
        let group = dims.n_heads / dims.n_kv_heads;
        for (t, row) in rows.iter().enumerate() {
            let heads = attended[t * d_q..(t + 1) * d_q].chunks_exact_mut(dims.head_dim);
            let queries = q[t * d_q..(t + 1) * d_q].chunks_exact(dims.head_dim);
            let scores = &mut ws.scores[..row.position as usize + 1];
            for (head_idx, (out, query)) in heads.zip(queries).enumerate() {
                let kv_head = head_idx / group;
                let at = HeadAddress {
                    sequence: row.sequence,
                    layer: layer_idx,
                    kv_head,
                };
                kv.attend(backend, out, query, at, scores, *attention_scale)?;
            }
        }
        load(&mut ws.activations, backend, attended, d_q, &[&layer.w_o]);
        kernels::matmul(backend, normed, layer.w_o.view(), &ws.activations);
        elementwise::add(x, normed);
        Ok(())
    }

    /// `x += w_down (silu(w_gate h) * w_up h)` with `h = rms_norm(x)`.
    fn feed_forward(&mut self, layer_idx: usize, n: usize) {
        let Engine {
            model,
            workspace: ws,
            backend,
            norm_eps,
            ..
        } = self;
        let (d_model, d_ff, backend) = (model.dims.d_model, model.dims.d_ff, *backend);
        let layer: &LayerWeights = &model.weights.layers[layer_idx];
        let x = &mut ws.x[..n * d_model];
        let normed = &mut ws.normed[..n * d_model];
        let (gate, up) = (&mut ws.gate[..n * d_ff], &mut ws.up[..n * d_ff]);

        norm_rows(backend, normed, x, &layer.ffn_norm, *norm_eps);
        let readers = [&layer.w_gate, &layer.w_up];
        load(&mut ws.activations, backend, normed, d_model, &readers);
        kernels::matmul(backend, gate, layer.w_gate.view(), &ws.activations);
        kernels::matmul(backend, up, layer.w_up.view(), &ws.activations);
        elementwise::swiglu(gate, up);
        load(&mut ws.activations, backend, gate, d_ff, &[&layer.w_down]);
        kernels::matmul(backend, normed, layer.w_down.view(), &ws.activations);
        elementwise::add(x, normed);
    }

    /// `logits = output rms_norm(x)` for the rows that want them.
    fn compute_logits(&mut self, rows: &[Row]) {
        let Engine {
            model,
            workspace: ws,
            backend,
            norm_eps,
            ..
        } = self;
        let (d_model, backend) = (model.dims.d_model, *backend);
        let mut n = 0;
        for (t, _) in rows.iter().enumerate().filter(|(_, row)| row.wants_logits) {
            let x = &ws.x[t * d_model..(t + 1) * d_model];
            let normed = &mut ws.normed[n * d_model..(n + 1) * d_model];
            kernels::rms_norm(backend, normed, x, &model.weights.final_norm, *norm_eps);
            n += 1;
        }
        self.n_logit_rows = n;
        if n > 0 {
            let output = model.weights.output();
            load(
                &mut ws.activations,
                backend,
                &ws.normed[..n * d_model],
                d_model,
                &[output],
            );
            let logits = &mut ws.logits[..n * model.dims.vocab_size];
            kernels::matmul(backend, logits, output.view(), &ws.activations);
        }
    }
}

/// Calls `f` once per sequence with its number of rows in the batch.
fn for_each_run<E>(
    rows: &[Row],
    mut f: impl FnMut(SequenceId, usize) -> Result<(), E>,
) -> Result<(), E> {
    for (t, row) in rows.iter().enumerate() {
        if rows[..t].iter().all(|other| other.sequence != row.sequence) {
            f(
                row.sequence,
                rows.iter()
                    .filter(|other| other.sequence == row.sequence)
                    .count(),
            )?;
        }
    }
    Ok(())
}

/// Loads rows for the matrices that read them next; quantizes them if any of those needs it.
fn load(
    activations: &mut Activations,
    backend: Backend,
    rows: &[f32],
    d_in: usize,
    readers: &[&Tensor],
) {
    let quantize = readers.iter().any(|tensor| tensor.is_quantized());
    activations.load(backend, rows, d_in, quantize);
}

fn norm_rows(backend: Backend, out: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
    let width = weight.len();
    for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
        kernels::rms_norm(backend, out, x, weight, eps);
    }
}

fn store_rows(
    kv: &mut KvCache,
    layer: usize,
    rows: &[Row],
    (k, v): (&[f32], &[f32]),
    d_kv: usize,
    head_dim: usize,
) -> Result<(), ModelError> {
    for (row, (k, v)) in rows
        .iter()
        .zip(k.chunks_exact(d_kv).zip(v.chunks_exact(d_kv)))
    {
        let heads = k.chunks_exact(head_dim).zip(v.chunks_exact(head_dim));
        for (kv_head, (key, value)) in heads.enumerate() {
            let at = HeadAddress {
                sequence: row.sequence,
                layer,
                kv_head,
            };
            kv.write(at, row.position as usize, key, value)?;
        }
    }
    Ok(())
}
