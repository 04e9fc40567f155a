//! Attention of one block over a batch of rows: grouped heads over what the cache has stored
//! (Vaswani et al., 2017; Ainslie et al., 2023), with rotary positions (Su et al., 2021).
//!
//! Every row sees its own sequence alone, up to its own position.

use super::engine::Engine;
use super::error::ModelError;
use super::forward::Row;
use super::linear::{self, Target};
use super::profile::{Part, note};
use crate::kernels::elementwise;
use crate::kv_cache::{HeadAddress, KvCache};
use crate::package::schema::TensorRole::{
    AttentionNorm, AttentionPostNorm, KNorm, QNorm, Wk, Wo, Wq, Wv,
};

impl Engine {
    /// `x += post(w_o attention(rope(w_q h), rope(w_k h), w_v h))` with `h = norm(x)`.
    ///
    /// Queries and keys are normalized before they are rotated, and the output before it is added,
    /// where the model does so; matrices may have biases.
    pub(super) fn attention(&mut self, layer_idx: usize, rows: &[Row]) -> Result<(), ModelError> {
        self.project(layer_idx, rows.len());
        let Engine {
            model,
            kv,
            workspace: ws,
            mixes,
            backend,
            options,
            profiler,
            ..
        } = self;
        let (dims, n, backend) = (model.dims, rows.len(), *backend);
        let layer = &model.weights.layers[layer_idx];
        let (d_model, d_q, d_kv) = (dims.d_model, dims.d_q(), dims.d_kv());
        let (q, k, v) = (&ws.q[..n * d_q], &ws.k[..n * d_kv], &ws.v[..n * d_kv]);
        // All rows are stored before any is read, so that a token of this batch is seen by later
        // ones as it is stored.
        store_rows(kv, layer_idx, rows, (k, v), d_kv, dims.head_dim)?;
        note(profiler, Part::Rotary);
        let attended = &mut ws.attended[..n * d_q];
        let group = dims.n_heads / dims.n_kv_heads;
        for (t, row) in rows.iter().enumerate() {
            let heads = attended[t * d_q..(t + 1) * d_q].chunks_exact_mut(dims.head_dim);
            let queries = q[t * d_q..(t + 1) * d_q].chunks_exact(dims.head_dim);
            let position = row.position as usize;
            let view = options.layers[layer_idx].view(position);
            let scores = &mut ws.scores[..position + 1 - view.first];
            for (head_idx, (out, query)) in heads.zip(queries).enumerate() {
                let kv_head = head_idx / group;
                let at = HeadAddress {
                    sequence: row.sequence,
                    layer: layer_idx,
                    kv_head,
                };
                kv.attend(backend, out, query, at, scores, view)?;
            }
        }
        note(profiler, Part::Attention);
        let (x, out) = (&mut ws.x[..n * d_model], &mut ws.normed[..n * d_model]);
        let target = |role| Target::new(role, Some(layer_idx));
        linear::load(&mut ws.activations, backend, attended, d_q, [&layer.w_o]);
        let x_in = &ws.activations;
        linear::multiply(backend, out, &layer.w_o, target(Wo), x_in, mixes);
        if let Some(norm) = &layer.attention_post_norm {
            let target = target(AttentionPostNorm);
            options.normalizer.rows_in_place(out, norm, target, mixes);
        }
        elementwise::add(x, out);
        note(profiler, Part::Wo);
        Ok(())
    }

    /// Queries, keys and values of `n` rows: products of the normed input, normalized and rotated.
    fn project(&mut self, layer_idx: usize, n: usize) {
        let Engine {
            model,
            workspace: ws,
            mixes,
            backend,
            options,
            profiler,
            ..
        } = self;
        let (dims, backend) = (model.dims, *backend);
        let layer = &model.weights.layers[layer_idx];
        let target = |role| Target::new(role, Some(layer_idx));
        let (d_model, d_q, d_kv) = (dims.d_model, dims.d_q(), dims.d_kv());
        let (q, k, v) = (
            &mut ws.q[..n * d_q],
            &mut ws.k[..n * d_kv],
            &mut ws.v[..n * d_kv],
        );
        let (normalizer, x) = (options.normalizer, &ws.x[..n * d_model]);
        let h = match &layer.attention_norm {
            Some(norm) => {
                let normed = &mut ws.normed[..n * d_model];
                normalizer.rows(normed, x, norm, target(AttentionNorm), mixes);
                normed
            }
            None => x,
        };
        note(profiler, Part::Norm);
        let x = &mut ws.activations;
        linear::load(x, backend, h, d_model, [&layer.w_q, &layer.w_k, &layer.w_v]);
        linear::multiply(backend, q, &layer.w_q, target(Wq), x, mixes);
        linear::multiply(backend, k, &layer.w_k, target(Wk), x, mixes);
        linear::multiply(backend, v, &layer.w_v, target(Wv), x, mixes);
        note(profiler, Part::Qkv);
        if let Some(weight) = &layer.q_norm {
            normalizer.heads(q, d_q, weight, target(QNorm), mixes);
        }
        if let Some(weight) = &layer.k_norm {
            normalizer.heads(k, d_kv, weight, target(KNorm), mixes);
        }
        let rows = q.chunks_exact_mut(d_q).zip(k.chunks_exact_mut(d_kv));
        for (t, (q, k)) in rows.enumerate() {
            ws.rope.rotate(layer_idx, t, q, dims.head_dim);
            ws.rope.rotate(layer_idx, t, k, dims.head_dim);
        }
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
