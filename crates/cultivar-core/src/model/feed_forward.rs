//! The feed-forward layer of one block over a batch of rows: two matrices side by side, a
//! nonlinearity, and one matrix back (SwiGLU, Shazeer, 2020).

use super::engine::Engine;
use super::linear::{self, Target};
use super::norm;
use crate::kernels::elementwise;
use crate::package::schema::TensorRole::{FfnNorm, WDown, WGate, WUp};

impl Engine {
    /// `x += w_down (silu(w_gate h) * w_up h)` with `h = rms_norm(x)`.
    pub(super) fn feed_forward(&mut self, layer_idx: usize, n: usize) {
        let Engine {
            model,
            workspace: ws,
            mixes,
            backend,
            norm_eps,
            ..
        } = self;
        let (d_model, d_ff, backend) = (model.dims.d_model, model.dims.d_ff, *backend);
        let layer = &model.weights.layers[layer_idx];
        let target = |role| Target::new(role, Some(layer_idx));
        let x = &mut ws.x[..n * d_model];
        let normed = &mut ws.normed[..n * d_model];
        let (gate, up) = (&mut ws.gate[..n * d_ff], &mut ws.up[..n * d_ff]);

        let (weight, eps) = (&layer.ffn_norm, *norm_eps);
        norm::normalize(backend, normed, x, weight, target(FfnNorm), eps, mixes);
        let readers = [&layer.w_gate, &layer.w_up];
        linear::load(&mut ws.activations, backend, normed, d_model, &readers);
        linear::multiply(
            backend,
            gate,
            &layer.w_gate,
            target(WGate),
            &ws.activations,
            mixes,
        );
        linear::multiply(
            backend,
            up,
            &layer.w_up,
            target(WUp),
            &ws.activations,
            mixes,
        );
        elementwise::swiglu(gate, up);
        linear::load(&mut ws.activations, backend, gate, d_ff, &[&layer.w_down]);
        linear::multiply(
            backend,
            normed,
            &layer.w_down,
            target(WDown),
            &ws.activations,
            mixes,
        );
        elementwise::add(x, normed);
    }
}
