//! The feed-forward layer of one block over a batch of rows: one matrix or two side by side, a
//! nonlinearity, and one matrix back (gated: Shazeer, 2020; plain: Vaswani et al., 2017).

use super::engine::Engine;
use super::linear::{self, Target};
use super::profile::{Part, note};
use crate::kernels::elementwise::{Nonlinearity, activate, add, gated};
use crate::package::Activation;
use crate::package::schema::TensorRole::{FfnNorm, FfnPostNorm, WDown, WGate, WUp};

impl Engine {
    /// Where attention and feed-forward layer read the same input, keeps the feed-forward layer's
    /// before attention changes `x`.
    pub(super) fn keep_ffn_input(&mut self, layer_idx: usize, n: usize) {
        let Engine {
            model,
            workspace: ws,
            mixes,
            options,
            ..
        } = self;
        let norm = &model.weights.layers[layer_idx].ffn_norm;
        let n_elements = n * model.dims.d_model;
        if let Some(norm) = norm.as_ref().filter(|_| options.is_parallel) {
            let (input, x) = (&mut ws.ffn_input[..n_elements], &ws.x[..n_elements]);
            let target = Target::new(FfnNorm, Some(layer_idx));
            options.normalizer.rows(input, x, norm, target, mixes);
        }
    }

    /// `x += post(w_down (f(w_gate h) * w_up h))`, or `x += post(w_down f(w_up h))` without a
    /// gate, with `h = norm(x)`. Matrices may have biases.
    pub(super) fn feed_forward(&mut self, layer_idx: usize, n: usize) {
        let Engine {
            model,
            workspace: ws,
            mixes,
            backend,
            options,
            profiler,
            ..
        } = self;
        let (d_model, d_ff, backend) = (model.dims.d_model, model.dims.d_ff, *backend);
        let layer = &model.weights.layers[layer_idx];
        let target = |role| Target::new(role, Some(layer_idx));
        let (x, out) = (&mut ws.x[..n * d_model], &mut ws.normed[..n * d_model]);
        let (gate, up) = (&mut ws.gate[..n * d_ff], &mut ws.up[..n * d_ff]);
        let h = match &layer.ffn_norm {
            Some(_) if options.is_parallel => &ws.ffn_input[..n * d_model],
            Some(norm) => {
                options
                    .normalizer
                    .rows(out, x, norm, target(FfnNorm), mixes);
                &*out
            }
            None => &*x,
        };
        note(profiler, Part::Norm);
        let input = &mut ws.activations;
        let readers = layer.w_gate.iter().chain([&layer.w_up]);
        linear::load(input, backend, h, d_model, readers);
        linear::multiply(backend, up, &layer.w_up, target(WUp), input, mixes);
        let hidden = match &layer.w_gate {
            Some(w_gate) => {
                linear::multiply(backend, gate, w_gate, target(WGate), input, mixes);
                note(profiler, Part::FfnIn);
                gated(nonlinearity(options.activation), gate, up);
                gate
            }
            None => {
                note(profiler, Part::FfnIn);
                activate(nonlinearity(options.activation), up);
                up
            }
        };
        note(profiler, Part::Activation);
        linear::load(input, backend, hidden, d_ff, [&layer.w_down]);
        linear::multiply(backend, out, &layer.w_down, target(WDown), input, mixes);
        if let Some(norm) = &layer.ffn_post_norm {
            let target = target(FfnPostNorm);
            options.normalizer.rows_in_place(out, norm, target, mixes);
        }
        add(x, out);
        note(profiler, Part::WDown);
    }
}

/// The kernels' name of a configured activation function.
fn nonlinearity(activation: Activation) -> Nonlinearity {
    match activation {
        Activation::Silu => Nonlinearity::Silu,
        Activation::Gelu => Nonlinearity::Gelu,
        Activation::GeluTanh => Nonlinearity::GeluTanh,
        Activation::Relu => Nonlinearity::Relu,
    }
}
