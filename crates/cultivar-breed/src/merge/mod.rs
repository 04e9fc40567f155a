//! Merges: a stack of adapters becomes one adapter.
//!
//! A method is a row in [`MERGE_METHODS`] and a way to make one tensor's delta from the stack's
//! deltas of it. Inputs are adapters that fit one base; the result is bound to that base, holds
//! its genome, and has been read back before it is given out. `docs/breeding.md` has the formulas.

mod blend;
mod delta;
mod operands;
mod truncate;

pub use delta::{NewDelta, NewTensors};
pub use truncate::Loss;
pub(crate) use truncate::truncate_dense;

use crate::error::{BreedError, BreedRule};
use crate::genome::{self, Parent};
use alloc::string::String;
use alloc::vec::Vec;
use blend::{NoiseStream, add_noise};
use cultivar_core::adapter::{
    ActiveDelta, Adapter, AdapterParts, Binding, LoadedDelta, Stack, write_adapter,
};
use cultivar_core::json::JsonWriter;
use cultivar_core::package::{Head, Metadata, RecordWriter, SectionId, metadata_key};
use operands::Operands;

/// A method as it is listed for people.
#[derive(Clone, Copy, Debug)]
pub struct MergeMethod {
    /// Its name.
    pub name: &'static str,
    /// Its parameters.
    pub parameters: &'static [&'static str],
    /// What it computes.
    pub formula: &'static str,
}

/// Every method.
pub const MERGE_METHODS: &[MergeMethod] = &[
    MergeMethod {
        name: "cat",
        parameters: &[],
        formula: "[B1 B2 ...] diag(w1 s1, w2 s2, ...) [A1; A2; ...]: exact, ranks add up",
    },
    MergeMethod {
        name: "svd",
        parameters: &["rank", "seed"],
        formula: "the nearest delta of the chosen rank to w1 D1 + w2 D2 + ...",
    },
    MergeMethod {
        name: "blend",
        parameters: &["alpha", "noise", "seed"],
        formula: "alpha D1 + (1 - alpha) D2 + eps, |eps| <= noise rms(D)",
    },
    MergeMethod {
        name: "sum",
        parameters: &[],
        formula: "w1 D1 + w2 D2 + ..., every element; sparse where all are sparse",
    },
];

/// A method with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Merge {
    /// The exact concatenation.
    Concatenate,
    /// The nearest delta of `rank` components.
    Truncate {
        /// 1 to 4096.
        rank: usize,
        /// Names the sketch of dense deltas.
        seed: u64,
    },
    /// Two adapters, `alpha` of the first, with bounded noise.
    Blend {
        /// Any finite number.
        alpha: f32,
        /// 0 and more.
        noise: f32,
        /// Names the noise.
        seed: u64,
    },
    /// The sum, element by element.
    Sum,
}

impl Merge {
    /// The method's name in [`MERGE_METHODS`].
    pub fn name(&self) -> &'static str {
        match self {
            Merge::Concatenate => "cat",
            Merge::Truncate { .. } => "svd",
            Merge::Blend { .. } => "blend",
            Merge::Sum => "sum",
        }
    }

    fn check(&self, n_adapters: usize) -> Result<(), BreedError> {
        let parameter = |name| Err(BreedError::new(BreedRule::Parameter, name));
        match *self {
            Merge::Truncate { rank, .. } if !(1..=4096).contains(&rank) => parameter("rank"),
            Merge::Blend { alpha, .. } if !alpha.is_finite() => parameter("alpha"),
            Merge::Blend { noise, .. } if !noise.is_finite() || noise < 0.0 => parameter("noise"),
            Merge::Blend { .. } if n_adapters != 2 => {
                Err(BreedError::new(BreedRule::WrongCount, self.name()))
            }
            _ => Ok(()),
        }
    }

    fn put_parameters(&self, json: &mut JsonWriter) {
        match *self {
            Merge::Concatenate | Merge::Sum => {}
            Merge::Truncate { rank, seed } => {
                json.field_u64("rank", rank as u64);
                json.field_display("seed", seed);
            }
            Merge::Blend { alpha, noise, seed } => {
                json.field_f32("alpha", alpha);
                json.field_f32("noise", noise);
                json.field_display("seed", seed);
            }
        }
    }
}

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

/// What a merge is told besides its method.
#[derive(Clone, Copy, Debug, Default)]
pub struct MergeOptions<'a> {
    /// Name in the metadata; empty for none.
    pub name: &'a str,
    /// How low-rank factors are stored: f32, f16, bf16 or q8_0; `None` keeps every value.
    pub factors: Option<&'static str>,
}

impl<'a> From<&'a str> for MergeOptions<'a> {
    /// This name, factors as they come.
    fn from(name: &'a str) -> Self {
        let factors = None;
        Self { name, factors }
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
    let options: MergeOptions<'a> = options.into();
    if let Some(factors) = options.factors
        && !["f32", "f16", "bf16", "q8_0"].contains(&factors)
    {
        return Err(BreedError::new(BreedRule::Format, factors));
    }
    let weighted = match method {
        Merge::Blend { alpha, .. } => {
            method.check(stack.entries().len())?;
            let mut weighted = stack.clone();
            for (idx, share) in [alpha, 1.0 - alpha].into_iter().enumerate() {
                let weight = stack.entries().get(idx).map_or(0.0, |entry| entry.weight());
                weighted.set_weight(idx, weight * share)?;
            }
            weighted
        }
        _ => {
            method.check(stack.entries().len())?;
            stack.clone()
        }
    };
    let targets = targets(&weighted);
    if targets.is_empty() {
        return Err(BreedError::new(BreedRule::NoAdapters, ""));
    }
    let mut tensors = Vec::new();
    let (mut loss, mut losses) = (Loss::default(), Vec::new());
    for (idx, first) in targets.iter().enumerate() {
        let operands = operands_of(&weighted, first);
        let (mut delta, mut own) = merged_delta(&operands, method, idx as u64)?;
        if let Some(factors) = options.factors {
            let rounding = delta.store_as(factors, first.d_out, first.d_in)?;
            own = match own.norm_squared > 0.0 {
                true => Loss {
                    lost_squared: own.lost_squared + rounding.lost_squared,
                    ..own
                },
                false => rounding,
            };
        }
        let shape = base
            .directory
            .get(&first.target)
            .map(|entry| entry.shape.clone());
        if !delta.is_empty() {
            delta.put(&mut tensors, &first.target, &shape.unwrap_or_default())?;
        }
        loss.add(own);
        losses.push((first.target.clone(), own));
    }
    let bytes = write(base, stack, method, options, &tensors, &loss)?;
    Ok(Merged {
        bytes,
        loss,
        losses,
    })
}

/// The first delta of every tensor that an active adapter changes, ascending by name.
fn targets(stack: &Stack) -> Vec<&LoadedDelta> {
    let mut targets: Vec<&LoadedDelta> = Vec::new();
    for entry in stack.entries() {
        for delta in &entry.adapter().deltas {
            if entry.weight_of(delta) == 0.0 {
                continue;
            }
            match targets.binary_search_by(|known| known.target.cmp(&delta.target)) {
                Ok(_) => {}
                Err(place) => targets.insert(place, delta),
            }
        }
    }
    targets
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

fn write(
    base: &Head,
    stack: &Stack,
    method: Merge,
    options: MergeOptions<'_>,
    tensors: &NewTensors,
    loss: &Loss,
) -> Result<Vec<u8>, BreedError> {
    let adapters = stack.entries().iter().map(|entry| Parent {
        role: "adapter",
        weights: entry.adapter().weights,
        name: &entry.adapter().name,
        weight: Some(entry.weight()),
    });
    let of_base = Parent {
        role: "base",
        weights: base.identities.weights,
        name: base.metadata.text(metadata_key::NAME).unwrap_or_default(),
        weight: None,
    };
    let parents = core::iter::once(of_base).chain(adapters);
    let mut json = genome::begin("merge_adapters", parents);
    json.field_str("method", method.name());
    method.put_parameters(&mut json);
    if let Some(factors) = options.factors {
        json.field_str("factors", factors);
    }
    put_lists(&mut json, stack);
    json.field_f64("relative_error", loss.relative());
    write_new_adapter(base, options.name, tensors, genome::finish(json))
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

/// Writes a new adapter for `base` and reads it back as every user of it will.
pub(crate) fn write_new_adapter(
    base: &Head,
    name: &str,
    tensors: &NewTensors,
    genome: String,
) -> Result<Vec<u8>, BreedError> {
    if tensors.is_empty() {
        return Err(BreedError::new(BreedRule::Empty, ""));
    }
    let mut metadata = RecordWriter::new();
    let base_name = base.metadata.text(metadata_key::NAME).unwrap_or_default();
    for (key, text) in [
        (metadata_key::NAME, name),
        (metadata_key::BASE_NAME, base_name),
    ] {
        if !text.is_empty() {
            metadata.text(key, text);
        }
    }
    let parts = AdapterParts {
        binding: Binding::to_base(base, false),
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
