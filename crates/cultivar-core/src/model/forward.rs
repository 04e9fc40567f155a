//! The forward pass over a batch of rows, top to bottom as in the papers: embedding, blocks of
//! attention and feed-forward layer (`attention.rs`, `feed_forward.rs`), logits.
//!
//! Every row's result depends only on its own sequence: rows of a batch, the size of a prefill
//! chunk and other sequences change no bit.

use super::engine::Engine;
use super::error::{ModelError, ModelErrorKind};
use super::linear::{self, Target};
use crate::kernels;
use crate::kv_cache::SequenceId;
use crate::package::schema::TensorRole;
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
        self.mixes.select(rows.iter());
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
        let embedding = self.model.weights.token_embedding.weight.view();
        let target = Target::new(TensorRole::TokenEmbedding, None);
        let outputs = self.workspace.x.chunks_exact_mut(d_model);
        for (t, (row, x)) in rows.iter().zip(outputs).enumerate() {
            codec::decode_row(x, embedding, row.token as usize);
            self.mixes.add_row(x, t, target, row.token as usize);
        }
        Ok(())
    }

    /// `logits = output rms_norm(x)` for the rows that want them.
    fn compute_logits(&mut self, rows: &[Row]) {
        let Engine {
            model,
            workspace: ws,
            mixes,
            backend,
            norm_eps,
            ..
        } = self;
        let (d_model, backend) = (model.dims.d_model, *backend);
        let weights = &model.weights;
        mixes.select(rows.iter().filter(|row| row.wants_logits));
        let final_norm = Target::new(TensorRole::FinalNorm, None);
        let mut n = 0;
        for (t, _) in rows.iter().enumerate().filter(|(_, row)| row.wants_logits) {
            let x = &ws.x[t * d_model..(t + 1) * d_model];
            let normed = &mut ws.normed[n * d_model..(n + 1) * d_model];
            let weight = mixes.vector(&weights.final_norm, n, final_norm);
            kernels::rms_norm(backend, normed, x, weight, *norm_eps);
            n += 1;
        }
        self.n_logit_rows = n;
        if n > 0 {
            let (normed, x) = (&ws.normed[..n * d_model], &mut ws.activations);
            let logits = &mut ws.logits[..n * model.dims.vocab_size];
            linear::load(x, backend, normed, d_model, &[weights.output()]);
            let target = weights.output_target();
            linear::multiply(backend, logits, weights.output(), target, x, mixes);
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
