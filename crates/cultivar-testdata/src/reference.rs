//! The Llama forward pass in f64, naive and slow: the oracle that the engine is compared with.
//!
//! It shares nothing with the engine but the reading of packages and the exact dequantization of
//! rows; in particular it rounds nothing and quantizes no activation.

use cultivar_core::package::Package;
use cultivar_core::tensor::codec;

/// A matrix or vector in f64.
struct Matrix {
    d_in: usize,
    rows: Vec<f64>,
}

impl Matrix {
    fn load(package: &Package<'_>, name: &str) -> Self {
        let tensor = package.tensor(name).expect("the tensor is in the package");
        let mut rows = Vec::new();
        let mut row = vec![0.0; tensor.d_in];
        for row_idx in 0..tensor.d_out {
            codec::decode_row(&mut row, tensor, row_idx);
            rows.extend(row.iter().map(|&v| f64::from(v)));
        }
        Self {
            d_in: tensor.d_in,
            rows,
        }
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.rows[i * self.d_in..(i + 1) * self.d_in]
    }

    fn times(&self, x: &[f64]) -> Vec<f64> {
        self.rows.chunks(self.d_in).map(|row| dot(row, x)).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn rms_norm(x: &[f64], weight: &[f64], eps: f64) -> Vec<f64> {
    let scale = 1.0 / (dot(x, x) / x.len() as f64 + eps).sqrt();
    x.iter().zip(weight).map(|(x, w)| x * scale * w).collect()
}

fn rotate(head: &mut [f64], position: usize, theta: f64) {
    let half = head.len() / 2;
    for i in 0..half {
        let angle = position as f64 * theta.powf(-2.0 * i as f64 / head.len() as f64);
        let (sin, cos) = angle.sin_cos();
        let (a, b) = (head[i], head[i + half]);
        (head[i], head[i + half]) = (a * cos - b * sin, b * cos + a * sin);
    }
}

fn add(x: &mut [f64], y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

/// Logits at every position: `[ids.len()][vocab_size]`.
///
/// # Panics
/// When the package is not a valid plain Llama; packages come from this crate.
pub fn forward(package: &Package<'_>, ids: &[u32]) -> Vec<Vec<f64>> {
    let config = &package.head.config;
    let (head_dim, eps) = (config.head_dim, config.norm_eps);
    let group = config.n_heads / config.n_kv_heads;
    let embedding = Matrix::load(package, "token_embedding");
    let mut x: Vec<Vec<f64>> = ids
        .iter()
        .map(|&id| embedding.row(id as usize).to_vec())
        .collect();
    for layer in 0..config.n_layers {
        let load = |name: &str| Matrix::load(package, &format!("layers.{layer}.{name}"));
        let (w_q, w_k, w_v, w_o) = (load("w_q"), load("w_k"), load("w_v"), load("w_o"));
        let (w_gate, w_up, w_down) = (load("w_gate"), load("w_up"), load("w_down"));
        let (attention_norm, ffn_norm) = (load("attention_norm"), load("ffn_norm"));
        let (mut keys, mut values): (Vec<Vec<f64>>, Vec<Vec<f64>>) = (Vec::new(), Vec::new());
        for (position, x) in x.iter_mut().enumerate() {
            let h = rms_norm(x, attention_norm.row(0), eps);
            let (mut q, mut k) = (w_q.times(&h), w_k.times(&h));
            for head in q.chunks_mut(head_dim).chain(k.chunks_mut(head_dim)) {
                rotate(head, position, config.rope_theta);
            }
            keys.push(k);
            values.push(w_v.times(&h));
            let mut attended = Vec::new();
            for (head_idx, query) in q.chunks(head_dim).enumerate() {
                let span = head_idx / group * head_dim..(head_idx / group + 1) * head_dim;
                let scores: Vec<f64> = keys
                    .iter()
                    .map(|key| (dot(query, &key[span.clone()]) / (head_dim as f64).sqrt()).exp())
                    .collect();
                let sum: f64 = scores.iter().sum();
                let mut out = vec![0.0; head_dim];
                for (score, value) in scores.iter().zip(&values) {
                    for (o, v) in out.iter_mut().zip(&value[span.clone()]) {
                        *o += score / sum * v;
                    }
                }
                attended.extend(out);
            }
            add(x, &w_o.times(&attended));
            let h = rms_norm(x, ffn_norm.row(0), eps);
            let gate = w_gate.times(&h);
            let up = w_up.times(&h);
            let hidden = gate
                .iter()
                .zip(&up)
                .map(|(g, u)| g / (1.0 + (-g).exp()) * u);
            add(x, &w_down.times(&hidden.collect::<Vec<_>>()));
        }
    }
    let final_norm = Matrix::load(package, "final_norm");
    let output = match config.tied_output {
        true => embedding,
        false => Matrix::load(package, "output"),
    };
    x.iter()
        .map(|x| output.times(&rms_norm(x, final_norm.row(0), eps)))
        .collect()
}
