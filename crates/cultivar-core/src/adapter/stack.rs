//! The stack: adapters in order, each with a weight, as one running model uses them.
//!
//! Weights may be any finite number, negative ones too, and be refined by layer and by module. A
//! change multiplies a few thousand scales and touches neither base nor adapters; an adapter whose
//! weight is 0 is skipped wholly. What is refused changes nothing.

use super::loaded::{DeltaValues, LoadedAdapter, LoadedDelta};
use super::stack_error::{StackError, StackRule};
use super::weighing::Weighing;
use crate::digest::Digest;
use crate::memory::reserved;
use crate::package::schema::TensorRole;
use crate::package::{AdapterMode, identity};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What a stack may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackLimits {
    /// Adapters.
    pub max_adapters: usize,
    /// Bytes of all adapters together.
    pub max_bytes: u64,
}

impl StackLimits {
    /// For adapters that are in memory already.
    pub const UNLIMITED: Self = Self {
        max_adapters: usize::MAX,
        max_bytes: u64::MAX,
    };
}

impl Default for StackLimits {
    /// 64 adapters, 1 GiB.
    fn default() -> Self {
        Self {
            max_adapters: 64,
            max_bytes: 1 << 30,
        }
    }
}

/// An adapter on a stack.
#[derive(Clone, Debug)]
pub struct StackEntry {
    adapter: Arc<LoadedAdapter>,
    weighing: Weighing,
}

impl StackEntry {
    /// The adapter.
    pub fn adapter(&self) -> &Arc<LoadedAdapter> {
        &self.adapter
    }

    /// Its weight.
    pub fn weight(&self) -> f32 {
        self.weighing.weight
    }

    /// Its weight with the factors that refine it.
    pub fn weighing(&self) -> &Weighing {
        &self.weighing
    }

    /// Factors by layer; empty if none were set.
    pub fn layer_weights(&self) -> &[f32] {
        &self.weighing.layer_weights
    }

    /// Factors by module; those not listed are 1.
    pub fn module_weights(&self) -> &[(TensorRole, f32)] {
        &self.weighing.module_weights
    }

    /// The weight of one delta: `(weight * layer's factor) * module's factor`.
    pub fn weight_of(&self, delta: &LoadedDelta) -> f32 {
        let layer = delta
            .layer
            .and_then(|layer| self.layer_weights().get(layer));
        let is_module = |(role, _): &&(TensorRole, f32)| *role == delta.role;
        let module = self.module_weights().iter().find(is_module);
        let mut weight = self.weight();
        if let Some(factor) = layer {
            weight *= factor;
        }
        if let Some((_, factor)) = module {
            weight *= factor;
        }
        weight
    }

    fn has_lists(&self) -> bool {
        !self.layer_weights().is_empty() || !self.module_weights().is_empty()
    }
}

/// One delta of one adapter, as the forward pass meets it.
#[derive(Clone, Copy, Debug)]
struct Segment {
    role: TensorRole,
    layer: usize,
    entry: usize,
    delta: usize,
    /// Effective weight.
    weight: f32,
    /// Where its effective scales begin; `rank` of them.
    scales_start: usize,
    rank: usize,
}

/// A delta with its effective weight and scales.
#[derive(Clone, Copy, Debug)]
pub struct ActiveDelta<'a> {
    /// The delta.
    pub delta: &'a LoadedDelta,
    /// Its weight; never 0.
    pub weight: f32,
    /// `weight * scale` of each component: `[rank]`.
    pub scales: &'a [f32],
}

/// Adapters in order with their weights, for a model of some number of layers.
#[derive(Clone, Debug)]
pub struct Stack {
    limits: StackLimits,
    n_layers: usize,
    entries: Vec<StackEntry>,
    /// Sorted by target, then by place in the stack.
    segments: Vec<Segment>,
    scales: Vec<f32>,
}

/// Where tensors outside the layers stand in the order of segments.
const NO_LAYER: usize = usize::MAX;

impl Stack {
    /// An empty stack for a model of `n_layers` layers.
    pub fn new(n_layers: usize, limits: StackLimits) -> Stack {
        Stack {
            limits,
            n_layers,
            entries: Vec::new(),
            segments: Vec::new(),
            scales: Vec::new(),
        }
    }

    /// The adapters in order.
    pub fn entries(&self) -> &[StackEntry] {
        &self.entries
    }

    /// Bytes of all adapters together.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.adapter.bytes).sum()
    }

    /// What it may hold.
    pub fn limits(&self) -> StackLimits {
        self.limits
    }

    /// Puts an adapter at the end and returns its place.
    pub fn push(&mut self, adapter: Arc<LoadedAdapter>, weight: f32) -> Result<usize, StackError> {
        self.push_weighed(adapter, Weighing::from(weight))
    }

    /// Puts an adapter with its factors at the end and returns its place.
    pub fn push_weighed(
        &mut self,
        adapter: Arc<LoadedAdapter>,
        weighing: Weighing,
    ) -> Result<usize, StackError> {
        let (n, max) = (self.entries.len(), self.limits.max_adapters);
        if n >= max {
            return Err(StackError::numbers(
                StackRule::TooMany,
                n as u64,
                max as u64,
            ));
        }
        let bytes = self.bytes().saturating_add(adapter.bytes);
        if bytes > self.limits.max_bytes {
            let max = self.limits.max_bytes;
            return Err(StackError::numbers(StackRule::TooLarge, bytes, max));
        }
        self.check_layers(&weighing.layer_weights)?;
        let entry = StackEntry { adapter, weighing };
        let mut changed = self.clone();
        changed.entries.push(entry);
        changed.rebuild()?;
        *self = changed;
        Ok(n)
    }

    /// Takes an adapter off.
    pub fn remove(&mut self, idx: usize) -> Result<(), StackError> {
        self.check_place(idx)?;
        let mut changed = self.clone();
        changed.entries.remove(idx);
        changed.rebuild()?;
        *self = changed;
        Ok(())
    }

    /// Moves an adapter to another place; those between move up or down by one.
    pub fn move_to(&mut self, from: usize, to: usize) -> Result<(), StackError> {
        self.check_place(from)?;
        self.check_place(to)?;
        let mut changed = self.clone();
        let entry = changed.entries.remove(from);
        changed.entries.insert(to, entry);
        changed.rebuild()?;
        *self = changed;
        Ok(())
    }

    /// Gives an adapter another weight. Allocates nothing; the next token uses it.
    pub fn set_weight(&mut self, idx: usize, weight: f32) -> Result<(), StackError> {
        self.check_place(idx)?;
        let Some(entry) = self.entries.get_mut(idx) else {
            return Ok(());
        };
        let previous = core::mem::replace(&mut entry.weighing.weight, weight);
        self.reweigh_or(idx, |entry| entry.weighing.weight = previous)
    }

    /// Gives an adapter a factor per layer; an empty list takes them back.
    pub fn set_layer_weights(&mut self, idx: usize, factors: &[f32]) -> Result<(), StackError> {
        self.check_place(idx)?;
        self.check_layers(factors)?;
        let Some(entry) = self.entries.get_mut(idx) else {
            return Ok(());
        };
        let previous = core::mem::replace(&mut entry.weighing.layer_weights, factors.to_vec());
        self.reweigh_or(idx, |entry| entry.weighing.layer_weights = previous)
    }

    /// Gives an adapter factors for modules, each `w_q` or the like of all layers; those not
    /// listed are 1, and of two for one module the first counts.
    pub fn set_module_weights(
        &mut self,
        idx: usize,
        factors: &[(TensorRole, f32)],
    ) -> Result<(), StackError> {
        self.check_place(idx)?;
        let Some(entry) = self.entries.get_mut(idx) else {
            return Ok(());
        };
        let previous = core::mem::replace(&mut entry.weighing.module_weights, factors.to_vec());
        self.reweigh_or(idx, |entry| entry.weighing.module_weights = previous)
    }

    /// The identity of a base with this stack: order, weights and mode.
    ///
    /// An adapter with lists of factors is named with the weight of each of its deltas.
    pub fn assembly(&self, base_weights: &Digest) -> Digest {
        let adapters: Vec<_> = self
            .entries
            .iter()
            .map(|entry| {
                let of_deltas = match entry.has_lists() {
                    true => {
                        let deltas = entry.adapter.deltas.iter();
                        deltas.map(|delta| entry.weight_of(delta)).collect()
                    }
                    false => Vec::new(),
                };
                identity::AssemblyPart {
                    weights: entry.adapter.weights,
                    scale: entry.weight(),
                    mode: AdapterMode::Live,
                    delta_scales: of_deltas,
                }
            })
            .collect();
        identity::assembly(base_weights, &adapters)
    }

    /// The active deltas of one tensor in stack order; those of weight 0 are left out.
    pub fn of_target(
        &self,
        role: TensorRole,
        layer: Option<usize>,
    ) -> impl Iterator<Item = ActiveDelta<'_>> + Clone {
        let key = (role as usize, layer.unwrap_or(NO_LAYER));
        let start = self
            .segments
            .partition_point(|s| (s.role as usize, s.layer) < key);
        let segments = self.segments.get(start..).unwrap_or(&[]).iter();
        segments
            .take_while(move |s| (s.role as usize, s.layer) == key)
            .filter(|segment| segment.weight != 0.0)
            .filter_map(|segment| {
                let entry = self.entries.get(segment.entry)?;
                let end = segment.scales_start + segment.rank;
                Some(ActiveDelta {
                    delta: entry.adapter.deltas.get(segment.delta)?,
                    weight: segment.weight,
                    scales: self.scales.get(segment.scales_start..end)?,
                })
            })
    }

    /// The most components that any tensor has, inactive ones included: room for its products.
    pub fn max_components(&self) -> usize {
        let mut most = 0;
        let mut of_target = (usize::MAX, 0, 0);
        for segment in &self.segments {
            let key = (segment.role as usize, segment.layer);
            if (of_target.0, of_target.1) != key {
                of_target = (key.0, key.1, 0);
            }
            of_target.2 += segment.rank;
            most = most.max(of_target.2);
        }
        most
    }

    fn check_layers(&self, factors: &[f32]) -> Result<(), StackError> {
        if factors.is_empty() || factors.len() == self.n_layers {
            return Ok(());
        }
        let (n, n_layers) = (factors.len() as u64, self.n_layers as u64);
        Err(StackError::numbers(StackRule::LayerWeights, n, n_layers))
    }

    fn check_place(&self, idx: usize) -> Result<(), StackError> {
        let n = self.entries.len();
        match idx < n {
            true => Ok(()),
            false => Err(StackError::numbers(
                StackRule::NoSuchAdapter,
                idx as u64,
                n as u64,
            )),
        }
    }

    /// Lists the deltas by target, and weighs them.
    fn rebuild(&mut self) -> Result<(), StackError> {
        let deltas = |entry: &StackEntry| entry.adapter.deltas.len();
        let ranks = |entry: &StackEntry| -> usize {
            entry.adapter.deltas.iter().map(LoadedDelta::rank).sum()
        };
        let n_segments = self.entries.iter().map(deltas).sum();
        let n_scales: usize = self.entries.iter().map(ranks).sum();
        let memory = || StackError::numbers(StackRule::OutOfMemory, n_scales as u64 * 4, 0);
        self.segments = reserved(n_segments).ok_or_else(memory)?;
        self.scales = reserved(n_scales).ok_or_else(memory)?;
        for (entry_idx, entry) in self.entries.iter().enumerate() {
            for (delta_idx, delta) in entry.adapter.deltas.iter().enumerate() {
                let rank = delta.rank();
                self.segments.push(Segment {
                    role: delta.role,
                    layer: delta.layer.unwrap_or(NO_LAYER),
                    entry: entry_idx,
                    delta: delta_idx,
                    weight: 0.0,
                    scales_start: self.scales.len(),
                    rank,
                });
                self.scales.resize(self.scales.len() + rank, 0.0);
            }
        }
        let key = |s: &Segment| (s.role as usize, s.layer, s.entry);
        crate::sorting::sort_by_key(&mut self.segments, key);
        (0..self.entries.len()).try_for_each(|idx| self.reweigh(idx))
    }

    /// Weighs an adapter anew, or undoes the change and weighs it as before.
    fn reweigh_or(
        &mut self,
        idx: usize,
        undo: impl FnOnce(&mut StackEntry),
    ) -> Result<(), StackError> {
        let done = self.reweigh(idx);
        if done.is_err()
            && let Some(entry) = self.entries.get_mut(idx)
        {
            undo(entry);
            // These weights were accepted before.
            let _ = self.reweigh(idx);
        }
        done
    }

    /// Sets the effective weights and scales of one adapter.
    fn reweigh(&mut self, idx: usize) -> Result<(), StackError> {
        let Some(entry) = self.entries.get(idx) else {
            return Ok(());
        };
        let lists = entry.layer_weights().iter();
        let lists = lists.chain(entry.module_weights().iter().map(|(_, factor)| factor));
        if !entry.weight().is_finite() || lists.clone().any(|factor| !factor.is_finite()) {
            return Err(StackError::named(StackRule::WeightNotFinite, ""));
        }
        for segment in self.segments.iter_mut().filter(|s| s.entry == idx) {
            let Some(delta) = entry.adapter.deltas.get(segment.delta) else {
                continue;
            };
            let weight = entry.weight_of(delta);
            let too_large = || StackError::named(StackRule::WeightTooLarge, &delta.target);
            if !weight.is_finite() {
                return Err(too_large());
            }
            segment.weight = weight;
            let DeltaValues::LowRank(low_rank) = &delta.values else {
                continue;
            };
            let effective = self.scales.iter_mut().skip(segment.scales_start);
            for (effective, scale) in effective.zip(&low_rank.scales) {
                *effective = weight * scale;
                if !effective.is_finite() {
                    return Err(too_large());
                }
            }
        }
        Ok(())
    }
}
