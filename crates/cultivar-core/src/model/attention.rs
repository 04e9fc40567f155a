//! Attention of one block over a batch of rows: grouped heads over what the cache has stored
//! (Vaswani et al., 2017; Ainslie et al., 2023), with rotary positions (Su et al., 2021).
//!
//! Every row sees its own sequence alone, up to its own position.

use super::engine::Engine;
use super::error::ModelError;
use super::forward::Row;
use super::linear::{self, Target};
use super::norm;
use crate::kernels::elementwise;
use crate::kv_cache::{HeadAddress, KvCache};
use crate::package::schema::TensorRole::{AttentionNorm, Wk, Wo, Wq, Wv};

impl Engine {
    /// `x += w_o attention(rope(w_q h), rope(w_k h), w_v h)` with `h = rms_norm(x)`.
    pub(super) fn attention(&mut self, layer_idx: usize, rows: &[Row]) -> Result<(), ModelError> {
        let Engine {
            model,
            kv,
            workspace: ws,
            mixes,
            backend,
            norm_eps,
            attention_scale,
            ..
        } = self;
        let (dims, n, backend) = (model.dims, rows.len(), *backend);
        let layer = &model.weights.layers[layer_idx];
        let target = |role| Target::new(role, Some(layer_idx));
        let (d_model, d_q, d_kv) = (dims.d_model, dims.d_q(), dims.d_kv());
        let x = &mut ws.x[..n * d_model];
        let normed = &mut ws.normed[..n * d_model];
        let (q, k, v) = (
            &mut ws.q[..n * d_q],
            &mut ws.k[..n * d_kv],
            &mut ws.v[..n * d_kv],
        );

        let (weight, eps) = (&layer.attention_norm, *norm_eps);
        norm::normalize(
            backend,
            normed,
            x,
            weight,
            target(AttentionNorm),
            eps,
            mixes,
        );
        let readers = [&layer.w_q, &layer.w_k, &layer.w_v];
        linear::load(&mut ws.activations, backend, normed, d_model, &readers);
        linear::multiply(backend, q, &layer.w_q, target(Wq), &ws.activations, mixes);
        linear::multiply(backend, k, &layer.w_k, target(Wk), &ws.activations, mixes);
        linear::multiply(backend, v, &layer.w_v, target(Wv), &ws.activations, mixes);

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
        linear::load(&mut ws.activations, backend, attended, d_q, &[&layer.w_o]);
        linear::multiply(
            backend,
            normed,
            &layer.w_o,
            target(Wo),
            &ws.activations,
            mixes,
        );
        elementwise::add(x, normed);
        Ok(())
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
