//! The forward pass over a batch of rows, top to bottom as in the papers: embedding, blocks of
//! attention and feed-forward layer (`attention.rs`, `feed_forward.rs`), logits.
//!
//! Every row's result depends only on its own sequence: rows of a batch, the size of a prefill
//! chunk and other sequences change no bit.

use super::engine::Engine;
use super::error::{ModelError, ModelErrorKind};
use super::linear::{self, Target};
use super::profile::{Part, note};
use crate::kernels::elementwise;
use crate::kv_cache::SequenceId;
use crate::package::schema::TensorRole::{FinalNorm, PositionEmbedding, TokenEmbedding};
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

/// A batch that was begun: which one of the engine's, and the layer that comes next. It is lost
/// once the engine computes another, changes a stack, or forks or rewinds a sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Begun {
    /// The engine's batches and its changes of stacks when it began.
    at: (u64, u64),
    layer: usize,
}

impl Engine {
    /// Computes a batch of rows and commits their keys and values.
    ///
    /// Logits of the rows that want them stand in [`Engine::logits`] in batch order. On an error
    /// nothing is committed.
    pub fn forward(&mut self, rows: &[Row]) -> Result<(), ModelError> {
        self.forward_part(rows, None, usize::MAX).map(|_| ())
    }

    /// Whether the engine still holds what it computed of a batch.
    pub fn holds(&self, begun: &Begun) -> bool {
        begun.at == (self.n_batches, self.mix_revision())
    }

    /// As [`Engine::forward`], but about `n_layers` layers of it: begins the batch, or goes on with
    /// one of the same rows that it holds; answers what is begun until all is done.
    pub fn forward_part(
        &mut self,
        rows: &[Row],
        begun: Option<Begun>,
        n_layers: usize,
    ) -> Result<Option<Begun>, ModelError> {
        let mut layer = match begun {
            Some(begun) => begun.layer,
            None => self.begin(rows).map(|()| 0)?,
        };
        // Parts of one length, so that the time of one tells that of the next.
        let n_left = self.model.dims.n_layers - layer;
        let end = layer + n_left.div_ceil(n_left.div_ceil(n_layers.max(1)).max(1));
        while layer < end {
            self.keep_ffn_input(layer, rows.len());
            self.attention(layer, rows)?;
            self.feed_forward(layer, rows.len());
            layer += 1;
        }
        if layer < self.model.dims.n_layers {
            let at = (self.n_batches, self.mix_revision());
            return Ok(Some(Begun { at, layer }));
        }
        self.compute_logits(rows);
        note(&mut self.profiler, Part::Output);
        for_each_run(rows, |sequence, n| self.kv.commit(sequence, n))?;
        Ok(None)
    }

    /// Checks a batch, makes room for it, and looks up its tokens and angles.
    fn begin(&mut self, rows: &[Row]) -> Result<(), ModelError> {
        self.n_batches += 1;
        self.check(rows)?;
        for_each_run(rows, |sequence, n| self.kv.prepare(sequence, n))?;
        if let Some(profiler) = &mut self.profiler {
            profiler.begin(rows.len());
        }
        self.mixes.select(rows.iter());
        self.embed(rows)?;
        self.workspace
            .rope
            .prepare(rows.iter().map(|row| row.position));
        note(&mut self.profiler, Part::Embedding);
        Ok(())
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
        let (vocab_size, context_len) = (self.model.dims.vocab_size, self.model.dims.context_len);
        for (t, row) in rows.iter().enumerate() {
            if row.token as usize >= vocab_size {
                let kind = ModelErrorKind::UnknownToken(row.token, vocab_size as u32);
                return Err(ModelError::new(kind));
            }
            if row.position as usize >= context_len {
                let kind = ModelErrorKind::PastContext(row.position, context_len as u32);
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

    /// `x[t] = token_embedding[token_t]`, times the embedding scale, plus the learned vector of
    /// its position, where the model has them.
    fn embed(&mut self, rows: &[Row]) -> Result<(), ModelError> {
        let d_model = self.model.dims.d_model;
        let embedding = self.model.weights.token_embedding.weight.view();
        let positions = self.model.weights.position_embedding.as_ref();
        let scale = self.options.embedding_scale;
        let (ws, mixes) = (&mut self.workspace, &self.mixes);
        for (t, (row, x)) in rows.iter().zip(ws.x.chunks_exact_mut(d_model)).enumerate() {
            let (token, position) = (row.token as usize, row.position as usize);
            codec::decode_row(x, embedding, token);
            mixes.add_row(x, t, Target::new(TokenEmbedding, None), token);
            if scale != 1.0 {
                elementwise::scale(x, scale);
            }
            if let Some(positions) = positions {
                let vector = &mut ws.normed[..d_model];
                codec::decode_row(vector, positions.view(), position);
                mixes.add_row(vector, t, Target::new(PositionEmbedding, None), position);
                elementwise::add(x, vector);
            }
        }
        Ok(())
    }

    /// `logits = output norm(x)`, capped where the model does so, for the rows that want them.
    fn compute_logits(&mut self, rows: &[Row]) {
        let Engine {
            model,
            workspace: ws,
            mixes,
            backend,
            options,
            ..
        } = self;
        let (d_model, backend) = (model.dims.d_model, *backend);
        let weights = &model.weights;
        mixes.select(rows.iter().filter(|row| row.wants_logits));
        let final_norm = (&weights.final_norm, Target::new(FinalNorm, None));
        let mut n = 0;
        for (t, _) in rows.iter().enumerate().filter(|(_, row)| row.wants_logits) {
            let x = &ws.x[t * d_model..(t + 1) * d_model];
            let normed = &mut ws.normed[n * d_model..(n + 1) * d_model];
            options.normalizer.row(normed, x, final_norm, n, mixes);
            n += 1;
        }
        self.n_logit_rows = n;
        if n > 0 {
            let (normed, x) = (&ws.normed[..n * d_model], &mut ws.activations);
            let logits = &mut ws.logits[..n * model.dims.vocab_size];
            linear::load(x, backend, normed, d_model, [weights.output()]);
            let target = weights.output_target();
            linear::multiply(backend, logits, weights.output(), target, x, mixes);
            if options.logits_softcap > 0.0 {
                elementwise::soft_cap(logits, options.logits_softcap);
            }
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
