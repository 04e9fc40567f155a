//! Merges: a stack of adapters becomes one adapter.
//!
//! A method is a row in [`MERGE_METHODS`] and a way to make one tensor's delta from the stack's
//! deltas of it. Inputs are adapters that fit one base; the result is bound to that base, holds
//! its genome, and has been read back before it is given out. `docs/breeding.md` has the formulas.

mod blend;
mod delta;
mod method;
mod operands;
mod truncate;

pub use delta::{NewDelta, NewTensors};
pub use method::{MERGE_METHODS, Merge, MergeMethod};
pub use truncate::Loss;
pub(crate) use truncate::truncate_dense;

use crate::error::{BreedError, BreedRule};
use alloc::string::String;
use alloc::vec::Vec;
use blend::{NoiseStream, add_noise};
use cultivar_core::adapter::{
    ActiveDelta, Adapter, AdapterParts, Binding, LoadedDelta, Part, Stack, genome, write_adapter,
};
use cultivar_core::json::JsonWriter;
use cultivar_core::package::{Head, Metadata, RecordWriter, SectionId, metadata_key};
use operands::Operands;

/// A merged adapter.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The package.
    pub bytes: Vec<u8>,
    /// What was lost, over all tensors.
    pub loss: Loss,
    /// What was lost, tensor by tensor, ascending by name.
    pub losses: Vec<(String, Loss)>,
}

impl Merged {
    /// `cultivar.merge.v1`: what this operator made and what it lost; `out` is where it went.
    pub fn report(&self, operator: &str, out: Option<&str>) -> Result<String, BreedError> {
        let adapter = Adapter::parse(&self.bytes)?;
        let mut json = JsonWriter::new();
        json.begin_object().field_str("schema", "cultivar.merge.v1");
        if let Some(out) = out {
            json.field_str("out", out);
        }
        json.field_str("method", operator)
            .field_u64("file_bytes", self.bytes.len() as u64)
            .field_display("weights", adapter.head.weights)
            .field_display("content", adapter.tail.content)
            .field_f64("relative_error", self.loss.relative());
        json.key("tensors").begin_array();
        for (name, loss) in &self.losses {
            json.begin_object()
                .field_str("name", name)
                .field_f64("relative_error", loss.relative())
                .end_object();
        }
        json.end_array().end_object();
        Ok(json.finish())
    }
}

/// What a merge is told besides its method.
#[derive(Clone, Copy, Debug, Default)]
pub struct MergeOptions<'a> {
    /// Name in the metadata; empty for none.
    pub name: &'a str,
    /// Licence in the metadata; empty for what holds where those of all that is merged do.
    pub license: &'a str,
    /// How low-rank factors are stored: f32, f16, bf16 or q8_0; `None` keeps every value.
    pub factors: Option<&'static str>,
    /// Whether only the very weights of the base will do.
    pub exact_base: bool,
}

impl<'a> From<&'a str> for MergeOptions<'a> {
    /// This name, factors as they come.
    fn from(name: &'a str) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }
}

/// Merges the adapters of a stack with their weights into one adapter for `base`.
///
/// Adapters of weight 0 take no part.
pub fn merge<'a>(
    base: &Head,
    stack: &Stack,
    method: Merge,
    options: impl Into<MergeOptions<'a>>,
) -> Result<Merged, BreedError> {
    let mut merger = Merger::new(base.clone(), stack.clone(), method, options)?;
    while merger.step()? {}
    merger.finish()
}

/// A merge in progress, tensor by tensor.
pub struct Merger {
    base: Head,
    stack: Stack,
    /// The stack with the shares of a blend in its weights.
    weighted: Stack,
    method: Merge,
    name: String,
    license: String,
    factors: Option<&'static str>,
    exact_base: bool,
    /// What is changed: the entry and the delta that name each tensor first, ascending by name.
    targets: Vec<(usize, usize)>,
    tensors: NewTensors,
    loss: Loss,
    losses: Vec<(String, Loss)>,
}

impl Merger {
    /// Checks method, parameters and stack; nothing is computed yet.
    pub fn new<'a>(
        base: Head,
        stack: Stack,
        method: Merge,
        options: impl Into<MergeOptions<'a>>,
    ) -> Result<Merger, BreedError> {
        let MergeOptions {
            name,
            license,
            factors,
            exact_base,
        } = options.into();
        if let Some(factors) = factors
            && !["f32", "f16", "bf16", "q8_0"].contains(&factors)
        {
            return Err(BreedError::new(BreedRule::Format, factors));
        }
        method.check(stack.entries().len())?;
        let mut weighted = stack.clone();
        if let Merge::Blend { alpha, .. } = method {
            for (idx, share) in [alpha, 1.0 - alpha].into_iter().enumerate() {
                let weight = stack.entries().get(idx).map_or(0.0, |entry| entry.weight());
                weighted.set_weight(idx, weight * share)?;
            }
        }
        let targets = targets(&weighted);
        if targets.is_empty() {
            return Err(BreedError::new(BreedRule::NoAdapters, ""));
        }
        Ok(Merger {
            base,
            stack,
            weighted,
            method,
            name: String::from(name),
            license: String::from(license),
            factors,
            exact_base,
            targets,
            tensors: Vec::new(),
            loss: Loss::default(),
            losses: Vec::new(),
        })
    }

    /// Tensors done, and in all.
    pub fn progress(&self) -> (usize, usize) {
        (self.losses.len(), self.targets.len())
    }

    /// Merges the next tensor; whether there was one.
    pub fn step(&mut self) -> Result<bool, BreedError> {
        let idx = self.losses.len();
        let first = self.targets.get(idx);
        let Some(first) = first.and_then(|place| delta_at(&self.weighted, *place)) else {
            return Ok(false);
        };
        let operands = operands_of(&self.weighted, first);
        let (mut delta, mut own) = merged_delta(&operands, self.method, idx as u64)?;
        if let Some(factors) = self.factors {
            let rounding = delta.store_as(factors, first.d_out, first.d_in)?;
            own = match own.norm_squared > 0.0 {
                true => Loss {
                    lost_squared: own.lost_squared + rounding.lost_squared,
                    ..own
                },
                false => rounding,
            };
        }
        let entry = self.base.directory.get(&first.target);
        let shape = entry.map(|entry| entry.shape.clone()).unwrap_or_default();
        let target = first.target.clone();
        if !delta.is_empty() {
            delta.put(&mut self.tensors, &target, &shape)?;
        }
        self.loss.add(own);
        self.losses.push((target, own));
        Ok(true)
    }

    /// The adapter, once every tensor is merged.
    pub fn finish(self) -> Result<Merged, BreedError> {
        if self.losses.len() < self.targets.len() {
            return Err(BreedError::new(BreedRule::OutOfOrder, ""));
        }
        let parents = genome::stack_parents(&self.base, &self.weighted).skip(1);
        let parts = parents.filter(|parent| parent.weight != Some(0.0));
        let facts = Facts {
            name: &self.name,
            license: match self.license.is_empty() {
                true => genome::joint_license(parts.map(|parent| parent.license)),
                false => self.license.clone(),
            },
            mask: "union",
            exact_base: self.exact_base,
        };
        let bytes = write_new_adapter(&self.base, facts, &self.tensors, self.genome())?;
        Ok(Merged {
            bytes,
            loss: self.loss,
            losses: self.losses,
        })
    }

    fn genome(&self) -> String {
        let parents = genome::stack_parents(&self.base, &self.stack);
        let mut json = genome::begin("merge_adapters", parents);
        json.field_str("method", self.method.name());
        self.method.put_parameters(&mut json);
        if let Some(factors) = self.factors {
            json.field_str("factors", factors);
        }
        put_lists(&mut json, &self.stack);
        json.field_f64("relative_error", self.loss.relative());
        genome::finish(json)
    }
}

/// The first delta of every tensor that an active adapter changes, ascending by name.
fn targets(stack: &Stack) -> Vec<(usize, usize)> {
    let mut targets: Vec<(usize, usize)> = Vec::new();
    let name = |place| delta_at(stack, place).map(|delta| delta.target.as_str());
    for (entry_idx, entry) in stack.entries().iter().enumerate() {
        for (delta_idx, delta) in entry.adapter().deltas.iter().enumerate() {
            if entry.weight_of(delta) == 0.0 {
                continue;
            }
            let own = Some(delta.target.as_str());
            if let Err(place) = targets.binary_search_by(|known| name(*known).cmp(&own)) {
                targets.insert(place, (entry_idx, delta_idx));
            }
        }
    }
    targets
}

fn delta_at(stack: &Stack, (entry, delta): (usize, usize)) -> Option<&LoadedDelta> {
    stack.entries().get(entry)?.adapter().deltas.get(delta)
}

fn operands_of<'a>(stack: &'a Stack, first: &'a LoadedDelta) -> Operands<'a> {
    let deltas: Vec<ActiveDelta<'a>> = stack.of_target(first.role, first.layer).collect();
    Operands {
        target: &first.target,
        d_out: first.d_out,
        d_in: first.d_in,
        deltas,
    }
}

/// The delta of one tensor by this method, and what it lost.
fn merged_delta(
    operands: &Operands<'_>,
    method: Merge,
    target_idx: u64,
) -> Result<(NewDelta, Loss), BreedError> {
    let exact = |delta| Ok((delta, Loss::default()));
    match method {
        Merge::Sum => exact(operands.sum()?),
        Merge::Truncate { rank, seed } if operands.d_out > 1 => {
            truncate::truncate(operands, rank, seed)
        }
        Merge::Concatenate | Merge::Truncate { .. } if operands.are_low_rank() => {
            exact(operands.concatenated()?)
        }
        Merge::Concatenate | Merge::Truncate { .. } => exact(operands.sum()?),
        Merge::Blend { noise, seed, .. } => {
            let mut delta = match operands.are_low_rank() {
                true => operands.concatenated()?,
                false => operands.sum()?,
            };
            if noise > 0.0 {
                add_noise(
                    &mut delta,
                    operands,
                    noise,
                    NoiseStream { seed, target_idx },
                )?;
            }
            exact(delta)
        }
    }
}

/// The weight of every delta of adapters whose weight is refined by layer or module.
pub(crate) fn put_lists(json: &mut JsonWriter, stack: &Stack) {
    for (idx, entry) in stack.entries().iter().enumerate() {
        if entry.layer_weights().is_empty() && entry.module_weights().is_empty() {
            continue;
        }
        json.key(&alloc::format!("delta_weights_{idx}"))
            .begin_array();
        for delta in &entry.adapter().deltas {
            json.f32(entry.weight_of(delta));
        }
        json.end_array();
    }
}

/// What is said of a new adapter.
pub(crate) struct Facts<'a> {
    /// Its name; may be empty.
    pub name: &'a str,
    /// Its licence; may be empty.
    pub license: String,
    /// How the elements of sparse deltas were chosen.
    pub mask: &'a str,
    /// Whether only the very weights of the base will do.
    pub exact_base: bool,
}

/// Writes a new adapter for `base` and reads it back as every user of it will.
pub(crate) fn write_new_adapter(
    base: &Head,
    facts: Facts<'_>,
    tensors: &NewTensors,
    genome: String,
) -> Result<Vec<u8>, BreedError> {
    if tensors.is_empty() {
        return Err(BreedError::new(BreedRule::Empty, ""));
    }
    let mut metadata = RecordWriter::new();
    let base_name = base.metadata.text(metadata_key::NAME).unwrap_or_default();
    let densities = densities(base, tensors);
    let mask = if densities.is_empty() { "" } else { facts.mask };
    for (key, text) in [
        (metadata_key::NAME, facts.name),
        (metadata_key::LICENSE, &facts.license),
        (metadata_key::BASE_NAME, base_name),
        (metadata_key::MASK, mask),
    ] {
        if !text.is_empty() {
            metadata.text(key, text);
        }
    }
    if !densities.is_empty() {
        metadata.f32_list(metadata_key::DENSITY, &densities);
    }
    let parts = AdapterParts {
        binding: Binding::to_base(base, facts.exact_base),
        metadata: Metadata::from_records(&metadata),
        unknown: Vec::new(),
    };
    let stored = tensors
        .iter()
        .map(|(plan, bytes)| (plan.clone(), bytes.as_slice()));
    let tail = [(SectionId::GENOME, genome.into_bytes())];
    let bytes = write_adapter(&parts, stored.collect(), &tail)?;
    let adapter = Adapter::parse(&bytes)?;
    adapter.verify_tensors()?;
    adapter.check_base(base)?;
    Ok(bytes)
}

/// Which part of its target's elements each sparse delta has, in order of the targets' names.
fn densities(base: &Head, tensors: &NewTensors) -> Vec<f32> {
    let of_target = |name: &str| {
        let plan = tensors.iter().map(|(plan, _)| plan);
        let n_entries = plan.filter(|plan| plan.name == Part::Values.of(name));
        n_entries
            .map(|plan| plan.shape.iter().product::<u64>())
            .next()
    };
    let mut sparse = Vec::new();
    for entry in base.directory.entries() {
        if let Some(n_entries) = of_target(&entry.name) {
            let part = n_entries as f64 / entry.n_elements() as f64;
            sparse.push(part as f32);
        }
    }
    sparse
}
