//! Which stack of adapters each row of a batch uses, and their application in the forward pass.
//!
//! Stacks belong to the engine and are shared by sequences; a sequence without one is the base.
//! Rows of one batch may carry different stacks over one pass of the base's weights. Room for
//! products is made when a stack is put or changed, never while tokens are computed.

use super::forward::Row;
use super::linear::Target;
use crate::adapter::{Stack, live};
use crate::kernels::{Activations, Backend};
use crate::kv_cache::SequenceId;
use crate::memory::filled;
use alloc::vec::Vec;

/// Names a stack of one engine; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackId(u32);

/// The stacks of an engine and the rows that use them.
pub(super) struct Mixes {
    stacks: Vec<(StackId, Stack)>,
    next_id: u32,
    of_sequences: Vec<(SequenceId, StackId)>,
    /// Counts changes, so that nobody needs to compare stacks.
    revision: u64,
    /// Per row of what is now computed the place of its stack; `BASE` for none.
    of_rows: Vec<usize>,
    /// Whether any row of the batch has a stack.
    is_mixed: bool,
    /// Products of the components of one tensor for one row.
    products: Vec<f32>,
    /// A vector of the base with its deltas added.
    vector: Vec<f32>,
}

const BASE: usize = usize::MAX;

impl Mixes {
    /// No stacks; batches of up to `max_rows` rows, vectors of up to `max_width` elements. `None`
    /// if memory cannot be had.
    pub fn new(max_rows: usize, max_width: usize) -> Option<Self> {
        Some(Self {
            stacks: Vec::new(),
            next_id: 1,
            of_sequences: Vec::new(),
            revision: 0,
            of_rows: crate::memory::reserved(max_rows)?,
            is_mixed: false,
            products: Vec::new(),
            vector: filled(0.0, max_width)?,
        })
    }

    /// Room for batches of so many rows; `None` if memory cannot be had.
    pub fn reserve_rows(&mut self, max_rows: usize) -> Option<()> {
        self.of_rows.clear();
        self.of_rows.try_reserve_exact(max_rows).ok()
    }

    /// Keeps a stack; `None` if memory cannot be had.
    pub fn add(&mut self, stack: Stack) -> Option<StackId> {
        self.make_room(stack.max_components())?;
        let id = StackId(self.next_id);
        self.stacks.try_reserve(1).ok()?;
        self.next_id += 1;
        self.stacks.push((id, stack));
        Some(id)
    }

    /// Room for the products of a tensor with so many components.
    pub fn make_room(&mut self, n_components: usize) -> Option<()> {
        if n_components > self.products.len() {
            self.products = filled(0.0, n_components)?;
        }
        Some(())
    }

    pub fn get(&self, id: StackId) -> Option<&Stack> {
        self.stacks.iter().find(|(of, _)| *of == id).map(|(_, s)| s)
    }

    pub fn get_mut(&mut self, id: StackId) -> Option<&mut Stack> {
        self.revision += 1;
        let mut stacks = self.stacks.iter_mut();
        stacks.find(|(of, _)| *of == id).map(|(_, s)| s)
    }

    /// Forgets a stack; its sequences are the base again.
    pub fn remove(&mut self, id: StackId) {
        self.revision += 1;
        self.stacks.retain(|(of, _)| *of != id);
        self.of_sequences.retain(|(_, of)| *of != id);
    }

    /// How often stacks or their use changed.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The stack of a sequence.
    pub fn of_sequence(&self, sequence: SequenceId) -> Option<StackId> {
        let mut bound = self.of_sequences.iter();
        bound.find(|(of, _)| *of == sequence).map(|(_, id)| *id)
    }

    /// Gives a sequence a stack or none; `None` if memory cannot be had.
    pub fn bind(&mut self, sequence: SequenceId, id: Option<StackId>) -> Option<()> {
        self.revision += 1;
        let Some(id) = id else {
            self.of_sequences.retain(|(of, _)| *of != sequence);
            return Some(());
        };
        self.of_sequences.try_reserve(1).ok()?;
        self.of_sequences.retain(|(of, _)| *of != sequence);
        self.of_sequences.push((sequence, id));
        Some(())
    }

    /// Bytes of all adapters, one that stands on several stacks counted once.
    pub fn adapter_bytes(&self) -> u64 {
        let all = || self.stacks.iter().flat_map(|(_, stack)| stack.entries());
        let is_first = |(i, entry): &(usize, &crate::adapter::StackEntry)| {
            let mut earlier = all().take(*i);
            !earlier.any(|other| alloc::sync::Arc::ptr_eq(other.adapter(), entry.adapter()))
        };
        let firsts = all().enumerate().filter(is_first);
        firsts.map(|(_, entry)| entry.adapter().bytes).sum()
    }

    /// Says whose rows are computed next.
    pub fn select<'a>(&mut self, rows: impl Iterator<Item = &'a Row>) {
        self.of_rows.clear();
        self.is_mixed = false;
        if self.of_sequences.is_empty() {
            return;
        }
        for row in rows {
            let id = self.of_sequence(row.sequence);
            let place = id.and_then(|id| self.stacks.iter().position(|(of, _)| *of == id));
            self.is_mixed |= place.is_some();
            self.of_rows.push(place.unwrap_or(BASE));
        }
    }

    /// Adds the deltas of a matrix: `out: [n_rows, d_out]`, `x: [n_rows, d_in]`.
    pub fn add_products(
        &mut self,
        backend: Backend,
        out: &mut [f32],
        target: Target,
        x: &Activations,
    ) {
        if !self.is_mixed {
            return;
        }
        let d_out = out.len() / x.n_rows().max(1);
        for (t, out) in out.chunks_exact_mut(d_out.max(1)).enumerate() {
            if let Some(stack) = stack_of(&self.stacks, &self.of_rows, t) {
                let target = (target.role, target.layer);
                let products = &mut self.products;
                live::apply_matrix(backend, out, x.values(t), stack, target, products);
            }
        }
    }

    /// Adds the deltas of row `row` of a tensor to `out`, for row `t` of the batch.
    pub fn add_row(&self, out: &mut [f32], t: usize, target: Target, row: usize) {
        if let Some(stack) = stack_of(&self.stacks, &self.of_rows, t) {
            live::apply_row(out, row, stack, (target.role, target.layer));
        }
    }

    /// A vector of the base as row `t` of the batch sees it.
    pub fn vector<'a>(&'a mut self, base: &'a [f32], t: usize, target: Target) -> &'a [f32] {
        let target = (target.role, target.layer);
        match stack_of(&self.stacks, &self.of_rows, t) {
            Some(stack) if live::touches(stack, target) => {
                let vector = &mut self.vector[..base.len()];
                vector.copy_from_slice(base);
                live::apply_row(vector, 0, stack, target);
                vector
            }
            _ => base,
        }
    }
}

fn stack_of<'a>(stacks: &'a [(StackId, Stack)], of_rows: &[usize], t: usize) -> Option<&'a Stack> {
    stacks.get(*of_rows.get(t)?).map(|(_, stack)| stack)
}
