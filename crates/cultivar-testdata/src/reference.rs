//! The forward pass in f64, naive and slow, with every option of a model: the oracle that the
//! engine is compared with.
//!
//! It shares nothing with the engine but the reading of packages and the exact dequantization of
//! rows; in particular it rounds nothing, quantizes no activation and keeps no cache.

use crate::reference_rope::{Rotation, rotation};
use cultivar_core::package::{
    Activation, ModelConfig, NormKind, Package, PositionKind, QkNorm, schema,
};
use cultivar_core::tensor::codec;

/// A matrix or vector in f64.
struct Matrix {
    d_in: usize,
    rows: Vec<f64>,
}

impl Matrix {
    fn row(&self, i: usize) -> &[f64] {
        &self.rows[i * self.d_in..(i + 1) * self.d_in]
    }
}

/// A package, read by name.
struct Source<'a> {
    package: &'a Package<'a>,
    prefix: String,
}

impl Source<'_> {
    /// The tensor of this name; `None` if the model has none.
    fn find(&self, name: &str) -> Option<Matrix> {
        let tensor = self.package.tensor(&format!("{}{name}", self.prefix))?;
        let mut rows = Vec::new();
        let mut row = vec![0.0; tensor.d_in];
        for row_idx in 0..tensor.d_out {
            codec::decode_row(&mut row, tensor, row_idx);
            rows.extend(row.iter().map(|&v| f64::from(v)));
        }
        Some(Matrix {
            d_in: tensor.d_in,
            rows,
        })
    }

    fn load(&self, name: &str) -> Matrix {
        self.find(name).expect("the tensor is in the package")
    }

    /// `w_NAME x + b_NAME`.
    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let weight = self.load(&format!("w_{name}"));
        let mut out: Vec<f64> = weight.rows.chunks(weight.d_in).map(|w| dot(w, x)).collect();
        if let Some(bias) = self.find(&format!("b_{name}")) {
            add(&mut out, bias.row(0));
        }
        out
    }

    /// `x` normalized, or as it is where the model has no such norm.
    fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let config = &self.package.head.config;
        let Some(weight) = self.find(name) else {
            return x.to_vec();
        };
        if config.norm_kind == NormKind::Rms {
            return rms_norm(x, weight.row(0), config.norm_eps);
        }
        let bias = self.load(&format!("{name}_bias"));
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        let scale = 1.0 / (variance + config.norm_eps).sqrt();
        let factors = weight.row(0).iter().zip(bias.row(0));
        let normed = x.iter().zip(factors);
        normed
            .map(|(v, (w, b))| (v - mean) * scale * w + b)
            .collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(x: &mut [f64], y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

fn rms_norm(x: &[f64], weight: &[f64], eps: f64) -> Vec<f64> {
    let scale = 1.0 / (dot(x, x) / x.len() as f64 + eps).sqrt();
    x.iter().zip(weight).map(|(x, w)| x * scale * w).collect()
}

/// `erf` by its series of positive terms: `2 / sqrt(pi) exp(-x^2) sum 2^n x^(2n+1) / (2n+1)!!`.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut n) = (x, 0.0, 1.0);
    while term != 0.0 && (sum + term) != sum {
        sum += term;
        n += 2.0;
        term *= 2.0 * x * x / n;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Gelu => 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)),
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        }
        Activation::Relu => x.max(0.0),
    }
}

fn soft_cap(x: f64, cap: f64) -> f64 {
    if cap == 0.0 {
        x
    } else {
        cap * (x / cap).tanh()
    }
}

/// Keys and values of one layer, position by position.
#[derive(Default)]
struct Seen {
    keys: Vec<Vec<f64>>,
    values: Vec<Vec<f64>>,
}

/// The attention of one row, its own key and value being the last that are seen: before `w_o`.
fn attend(config: &ModelConfig, layer: usize, q: &[f64], seen: &Seen) -> Vec<f64> {
    let head_dim = config.head_dim;
    let group = config.n_heads / config.n_kv_heads;
    let first = match config.attention_kinds.get(layer) {
        Some(1) => seen.keys.len().saturating_sub(config.sliding_window),
        _ => 0,
    };
    let scale = match config.attention_scale {
        0.0 => (head_dim as f64).powf(-0.5),
        scale => scale,
    };
    let mut attended = Vec::new();
    for (head_idx, query) in q.chunks(head_dim).enumerate() {
        let span = head_idx / group * head_dim..(head_idx / group + 1) * head_dim;
        let weigh = |key: &Vec<f64>| {
            let score = dot(query, &key[span.clone()]) * scale;
            soft_cap(score, config.attention_softcap).exp()
        };
        let weights: Vec<f64> = seen.keys[first..].iter().map(weigh).collect();
        let sum: f64 = weights.iter().sum();
        let mut out = vec![0.0; head_dim];
        for (weight, value) in weights.iter().zip(&seen.values[first..]) {
            for (o, v) in out.iter_mut().zip(&value[span.clone()]) {
                *o += weight / sum * v;
            }
        }
        attended.extend(out);
    }
    attended
}

/// What the attention of a layer adds to `x`, the row at the position that `seen` ends before.
fn attention(
    of: &Source<'_>,
    layer: usize,
    turn: &Rotation,
    x: &[f64],
    seen: &mut Seen,
) -> Vec<f64> {
    let config = &of.package.head.config;
    let h = of.norm("attention_norm", x);
    let (mut q, mut k) = (of.linear("q", &h), of.linear("k", &h));
    for (rows, name) in [(&mut q, "q_norm"), (&mut k, "k_norm")] {
        let width = match config.qk_norm {
            QkNorm::None => continue,
            QkNorm::Head => config.head_dim,
            QkNorm::Full => rows.len(),
        };
        let weight = of.load(name);
        for part in rows.chunks_mut(width) {
            part.copy_from_slice(&rms_norm(part, weight.row(0), config.norm_eps));
        }
    }
    if config.position_kind == PositionKind::Rope {
        for head in q
            .chunks_mut(config.head_dim)
            .chain(k.chunks_mut(config.head_dim))
        {
            turn.apply(head, seen.keys.len());
        }
    }
    seen.keys.push(k);
    seen.values.push(of.linear("v", &h));
    let out = of.linear("o", &attend(config, layer, &q, seen));
    of.norm("attention_post_norm", &out)
}

/// What the feed-forward layer adds to `x`.
fn feed_forward(of: &Source<'_>, x: &[f64]) -> Vec<f64> {
    let config = &of.package.head.config;
    let h = of.norm("ffn_norm", x);
    let up = of.linear("up", &h);
    let f = |x: &f64| activate(config.activation, *x);
    let hidden: Vec<f64> = match schema::TensorRole::WGate.is_in(config) {
        true => of
            .linear("gate", &h)
            .iter()
            .zip(&up)
            .map(|(g, u)| f(g) * u)
            .collect(),
        false => up.iter().map(f).collect(),
    };
    of.norm("ffn_post_norm", &of.linear("down", &hidden))
}

/// Logits at every position: `[ids.len()][vocab_size]`.
///
/// # Panics
/// When the package is not a valid one; packages come from this project's own tests.
pub fn forward(package: &Package<'_>, ids: &[u32]) -> Vec<Vec<f64>> {
    let config = &package.head.config;
    let source = |prefix: String| Source { package, prefix };
    let model = source(String::new());
    let embedding = model.load("token_embedding");
    let positions = model.find("position_embedding");
    let embed = |(position, &id): (usize, &u32)| {
        let row = embedding.row(id as usize).iter();
        let mut x: Vec<f64> = row.map(|v| v * config.embedding_scale).collect();
        if let Some(positions) = &positions {
            add(&mut x, positions.row(position));
        }
        x
    };
    let mut rows: Vec<Vec<f64>> = ids.iter().enumerate().map(embed).collect();
    for layer in 0..config.n_layers {
        let of = source(format!("layers.{layer}."));
        let turn = rotation(config, layer);
        let mut seen = Seen::default();
        for x in &mut rows {
            let before = x.clone();
            add(x, &attention(&of, layer, &turn, &before, &mut seen));
            let input = if config.parallel_residual {
                &before
            } else {
                &*x
            };
            let out = feed_forward(&of, input);
            add(x, &out);
        }
    }
    let output = model.find("output").unwrap_or(embedding);
    let logits = |x: &Vec<f64>| {
        let h = model.norm("final_norm", x);
        let products = output.rows.chunks(output.d_in).map(|row| dot(row, &h));
        products
            .map(|l| soft_cap(l, config.logits_softcap))
            .collect()
    };
    rows.iter().map(logits).collect()
}
