//! Stacks of adapters on an engine: putting, changing and using them, sequence by sequence.
//!
//! Everything is checked before anything changes; what is refused leaves engine and sequences as
//! they were. The base's weights are never touched.

use super::engine::Engine;
use super::mixes::StackId;
use super::weights::{Model, Stored};
use crate::adapter::{
    Adapter, BaseRows, FusedCheck, LoadedAdapter, Stack, StackError, StackLimits, StackRule,
};
use crate::digest::Digest;
use crate::kv_cache::SequenceId;
use crate::package::identity;
use crate::package::schema::TensorRole;
use crate::tensor::{Format, codec};
use alloc::sync::Arc;

impl Engine {
    /// Validates an adapter wholly, base plus delta included, and decodes it.
    pub fn load_adapter(
        &self,
        adapter: &Adapter<'_>,
        limits: StackLimits,
    ) -> Result<Arc<LoadedAdapter>, StackError> {
        let loaded = LoadedAdapter::new(adapter, &self.model.head, limits.max_bytes)?;
        FusedCheck::new().step(&loaded, 1.0, &self.model, usize::MAX)?;
        Ok(Arc::new(loaded))
    }

    /// An empty stack for this model.
    pub fn new_stack(&self, limits: StackLimits) -> Stack {
        Stack::new(self.model.dims.n_layers, limits)
    }

    /// Keeps a stack for sequences to use.
    pub fn add_stack(&mut self, stack: Stack) -> Result<StackId, StackError> {
        let n_bytes = stack.max_components() as u64 * 4;
        let memory = || StackError::numbers(StackRule::OutOfMemory, n_bytes, 0);
        self.mixes.add(stack).ok_or_else(memory)
    }

    /// A stack that was put.
    pub fn stack(&self, id: StackId) -> Option<&Stack> {
        self.mixes.get(id)
    }

    /// Gives an adapter of a stack another weight: the next token uses it, and nothing is
    /// allocated or copied.
    pub fn set_adapter_weight(
        &mut self,
        id: StackId,
        idx: usize,
        weight: f32,
    ) -> Result<(), StackError> {
        let missing = || StackError::numbers(StackRule::NoSuchAdapter, idx as u64, 0);
        let stack = self.mixes.get_mut(id).ok_or_else(missing)?;
        stack.set_weight(idx, weight)
    }

    /// Replaces a stack by a changed one: others adapters, another order, lists of factors.
    pub fn replace_stack(&mut self, id: StackId, stack: Stack) -> Result<(), StackError> {
        let n_components = stack.max_components();
        let memory = || StackError::numbers(StackRule::OutOfMemory, n_components as u64 * 4, 0);
        self.mixes.make_room(n_components).ok_or_else(memory)?;
        let missing = || StackError::numbers(StackRule::NoSuchAdapter, 0, 0);
        *self.mixes.get_mut(id).ok_or_else(missing)? = stack;
        Ok(())
    }

    /// Forgets a stack; sequences that use it are the base again.
    pub fn remove_stack(&mut self, id: StackId) {
        self.mixes.remove(id);
    }

    /// Gives a sequence a stack, or none: rows from here on are computed with it. What the cache
    /// holds stays as it is.
    pub fn use_stack(
        &mut self,
        sequence: SequenceId,
        id: Option<StackId>,
    ) -> Result<(), StackError> {
        if id.is_some_and(|id| self.mixes.get(id).is_none()) {
            return Err(StackError::numbers(StackRule::NoSuchAdapter, 0, 0));
        }
        let memory = || StackError::numbers(StackRule::OutOfMemory, 16, 0);
        self.mixes.bind(sequence, id).ok_or_else(memory)
    }

    /// The stack that a sequence uses.
    pub fn stack_of(&self, sequence: SequenceId) -> Option<StackId> {
        self.mixes.of_sequence(sequence)
    }

    /// How often stacks, their weights or their use changed: while it stays, so does every
    /// sequence's assembly.
    pub fn mix_revision(&self) -> u64 {
        self.mixes.revision()
    }

    /// The identity of the base with a stack, or alone.
    pub fn assembly(&self, id: Option<StackId>) -> Digest {
        let base = &self.model.head.identities.weights;
        match id.and_then(|id| self.mixes.get(id)) {
            Some(stack) => stack.assembly(base),
            None => identity::assembly(base, &[]),
        }
    }

    /// Bytes of the adapters on all stacks.
    pub fn adapter_bytes(&self) -> u64 {
        self.mixes.adapter_bytes()
    }
}

impl BaseRows for Model {
    fn base_row(
        &self,
        out: &mut [f32],
        (role, layer): (TensorRole, Option<usize>),
        row: usize,
    ) -> Option<&'static Format> {
        match self.weights.tensor(role, layer)? {
            Stored::Matrix(tensor) => {
                codec::decode_row(out, tensor.view(), row);
                Some(tensor.format)
            }
            Stored::Vector(values) => {
                out.copy_from_slice(values);
                Format::by_name("f32")
            }
        }
    }
}
