//! A model ready to compute: weights, key/value cache and workspace together.

use super::dims::{Dims, windows};
use super::error::ModelError;
use super::grammars::Grammars;
use super::mixes::Mixes;
use super::options::{LayerOptions, Options};
use super::profile::{Profile, Profiler};
use super::weights::Model;
use super::workspace::Workspace;
use crate::kernels::Backend;
use crate::kv_cache::{Content, KvBudget, KvCache, KvFormat, PageCounts, SequenceId};
use alloc::vec::Vec;

/// How much an engine can do at once, and with which kernels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EngineOptions {
    /// Rows of one batch.
    pub max_rows: usize,
    /// Rows of one batch that may want logits.
    pub max_logit_rows: usize,
    /// Which kernels compute; both give the same bits.
    pub backend: Backend,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            max_rows: 32,
            max_logit_rows: 1,
            backend: Backend::Fast,
        }
    }
}

/// Bytes that running a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// Stored tensors.
    pub weights_bytes: u64,
    /// Keys and values of one sequence of the asked length.
    pub kv_bytes: u64,
    /// Those of them whose number the length does not raise: of layers with a sliding window.
    pub kv_sliding_bytes: u64,
    /// Buffers of the forward pass.
    pub workspace_bytes: u64,
}

impl MemoryEstimate {
    /// The estimate for one sequence of `context_len` positions.
    pub fn new(
        dims: &Dims,
        weights_bytes: u64,
        options: &EngineOptions,
        context_len: usize,
        kv_format: KvFormat,
    ) -> Self {
        let rows = (options.max_rows, options.max_logit_rows);
        let [full, sliding] = dims.kv_bytes(context_len, rows.0, kv_format);
        Self {
            weights_bytes,
            kv_bytes: full.saturating_add(sliding),
            kv_sliding_bytes: sliding,
            workspace_bytes: Workspace::bytes_needed(dims, rows.0, rows.1),
        }
    }

    /// All of it.
    pub fn total_bytes(&self) -> u64 {
        self.weights_bytes + self.kv_bytes + self.workspace_bytes
    }
}

/// A model with its cache and buffers.
pub struct Engine {
    /// The model.
    pub model: Model,
    pub(super) kv: KvCache,
    pub(super) workspace: Workspace,
    pub(super) mixes: Mixes,
    pub(super) backend: Backend,
    pub(super) options: Options,
    pub(super) n_logit_rows: usize,
    /// Batches that were begun, and what made a begun one stale.
    pub(super) n_batches: u64,
    pub(super) profiler: Option<Profiler>,
    pub(super) grammars: Grammars,
}

impl Engine {
    /// Allocates everything that computing needs except pages, which come with sequences.
    pub fn new(model: Model, options: EngineOptions) -> Result<Self, ModelError> {
        let (dims, config) = (model.dims, &model.head.config);
        let EngineOptions {
            max_rows,
            max_logit_rows,
            backend,
        } = options;
        let workspace = Workspace::new(&dims, config, max_rows, max_logit_rows)?;
        let mixes = Mixes::new(max_rows, dims.max_d_in());
        let n_vector_bytes = dims.max_d_in() as u64 * 4;
        let mixes = mixes.ok_or_else(|| ModelError::out_of_memory(n_vector_bytes))?;
        let n_bytes = (config.n_layers * size_of::<LayerOptions>()) as u64;
        let resolved = Options::new(config, backend);
        let kv = KvCache::new(dims.kv_shape(), windows(config), max_rows);
        Ok(Self {
            kv: kv.ok_or_else(|| ModelError::out_of_memory(n_bytes))?,
            workspace,
            mixes,
            backend,
            options: resolved.ok_or_else(|| ModelError::out_of_memory(n_bytes))?,
            n_logit_rows: 0,
            n_batches: 0,
            profiler: None,
            grammars: Grammars::default(),
            model,
        })
    }

    /// Logits of row `i` among the rows of the last batch that wanted them: `[vocab_size]`.
    ///
    /// # Panics
    /// When the last batch had no such row.
    pub fn logits(&self, i: usize) -> &[f32] {
        assert!(
            i < self.n_logit_rows,
            "logits: row {i} of {}",
            self.n_logit_rows
        );
        let vocab_size = self.model.dims.vocab_size;
        &self.workspace.logits[i * vocab_size..(i + 1) * vocab_size]
    }

    /// Rows that one batch may have.
    pub fn max_rows(&self) -> usize {
        self.workspace.max_rows
    }

    /// Rows with logits that one batch may have.
    pub fn max_logit_rows(&self) -> usize {
        self.workspace.max_logit_rows
    }

    /// Makes room for batches of other sizes, of at least one row. Tokens, keys and values stay;
    /// the logits of the last batch are gone. Refused without a change.
    pub fn set_rows(&mut self, max_rows: usize, max_logit_rows: usize) -> Result<(), ModelError> {
        let (dims, config) = (&self.model.dims, &self.model.head.config);
        let (max_rows, max_logit_rows) = (max_rows.max(1), max_logit_rows.max(1));
        let workspace = Workspace::new(dims, config, max_rows, max_logit_rows)?;
        let n_bytes = max_rows as u64 * size_of::<usize>() as u64;
        let room = self.mixes.reserve_rows(max_rows);
        room.ok_or_else(|| ModelError::out_of_memory(n_bytes))?;
        self.kv.set_max_rows(max_rows)?;
        self.workspace = workspace;
        self.n_logit_rows = 0;
        self.n_batches += 1;
        Ok(())
    }

    /// Which kernels compute.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// The key/value cache.
    pub fn kv(&self) -> &KvCache {
        &self.kv
    }

    /// Bytes now held, by class.
    pub fn memory(&self) -> MemoryEstimate {
        let (max_rows, max_logit_rows) = (self.max_rows(), self.max_logit_rows());
        MemoryEstimate {
            weights_bytes: self
                .model
                .head
                .directory
                .entries()
                .iter()
                .map(|e| e.bytes)
                .sum(),
            kv_bytes: self.kv.allocated_bytes(),
            kv_sliding_bytes: self.kv.sliding_bytes(),
            workspace_bytes: Workspace::bytes_needed(&self.model.dims, max_rows, max_logit_rows),
        }
    }

    /// Opens an empty sequence of up to `max_len` positions.
    pub fn open_sequence(
        &mut self,
        max_len: usize,
        kv_format: KvFormat,
    ) -> Result<SequenceId, ModelError> {
        Ok(self.kv.open(max_len, kv_format)?)
    }

    /// Opens a sequence that shares all positions of another.
    pub fn fork_sequence(&mut self, source: SequenceId) -> Result<SequenceId, ModelError> {
        self.n_batches += 1;
        let child = self.kv.fork(source)?;
        let stack = self.mixes.of_sequence(source);
        if self.mixes.bind(child, stack).is_none() {
            self.kv.close(child);
            return Err(ModelError::out_of_memory(16));
        }
        Ok(child)
    }

    /// Gives a sequence room for so many positions; see [`KvCache::set_room`].
    pub fn set_room(&mut self, id: SequenceId, max_len: usize) -> Result<(), ModelError> {
        Ok(self.kv.set_room(id, max_len)?)
    }

    /// Goes back to the first `len` positions of a sequence, or to its beginning where sliding
    /// windows freed what would be needed; answers how many are kept.
    pub fn rewind_sequence(&mut self, id: SequenceId, len: usize) -> Result<usize, ModelError> {
        self.n_batches += 1;
        Ok(self.kv.rewind(id, len)?)
    }

    /// Takes back the last `n` positions that a batch committed. Does not allocate.
    pub fn uncommit_rows(&mut self, id: SequenceId, n: usize) -> Result<(), ModelError> {
        Ok(self.kv.uncommit(id, n)?)
    }

    /// Takes pages that hold a sequence's next tokens already; see [`KvCache::adopt`].
    pub fn adopt_pages(
        &mut self,
        id: SequenceId,
        content: &Content<'_>,
    ) -> Result<PageCounts, ModelError> {
        Ok(self.kv.adopt(id, content)?)
    }

    /// Lets others find a sequence's whole pages; see [`KvCache::publish`].
    pub fn publish_pages(
        &mut self,
        id: SequenceId,
        content: &Content<'_>,
    ) -> Result<(), ModelError> {
        Ok(self.kv.publish(id, content)?)
    }

    /// Appends the stored pages of a sequence's first `n` positions; see
    /// [`KvCache::write_pages`].
    pub fn write_pages(
        &self,
        id: SequenceId,
        n: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), ModelError> {
        Ok(self.kv.write_pages(id, n, out)?)
    }

    /// Fills the first `n` positions of an empty sequence; see [`KvCache::read_pages`].
    pub fn read_pages(&mut self, id: SequenceId, n: usize, bytes: &[u8]) -> Result<(), ModelError> {
        Ok(self.kv.read_pages(id, n, bytes)?)
    }

    /// Begins to note where time goes, by the host's clock in milliseconds.
    pub fn start_profile(&mut self, clock_ms: fn() -> f64) {
        self.profiler = Some(Profiler::new(clock_ms));
    }

    /// Where time went since [`Engine::start_profile`].
    pub fn profile(&self) -> Option<Profile> {
        self.profiler.as_ref().map(Profiler::profile)
    }

    /// Sets how many bytes the cache's pages may take.
    pub fn set_kv_budget(&mut self, budget: KvBudget) {
        self.kv.set_budget(budget);
    }

    /// Closes a sequence and frees its pages.
    pub fn close_sequence(&mut self, id: SequenceId) {
        self.kv.close(id);
        let _ = self.mixes.bind(id, None);
    }
}
