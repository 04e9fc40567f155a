//! Deltas: what an adapter adds to one tensor of its base, in parts called `TARGET#PART`.
//!
//! raw      `#delta` of the target's shape
//! sparse   `#indices` u32 `[n]` (flat, strictly ascending) and `#values` `[n]`
//! low_rank `#lora_a` `[rank, d_in]`, `#lora_b` `[d_out, rank]`, `#scales` f32 `[rank]`: the delta
//!          is `sum over j of scales[j] * b[:, j] a[j, :]` (Hu et al., 2021, with one scale each);
//!          8-bit codes of `lora_b` stand the other way, as `#lora_bt` `[rank, d_out]`
//!
//! Parts of a target are neighbours in the directory, because `#` sorts before all that a name
//! may continue with.

use super::error::{AdapterError, AdapterRule};
use crate::package::limits::RANK_MAX;
use crate::package::{Directory, Entry};
use crate::tensor::Dtype;
use alloc::string::String;
use alloc::vec::Vec;

/// One part of a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Dense delta of the target's shape.
    Delta,
    /// Flat indices of a sparse delta.
    Indices,
    /// Low-rank factor that reads the input, `[rank, d_in]`.
    LoraA,
    /// Low-rank factor that writes the output, `[d_out, rank]`.
    LoraB,
    /// The same with rows and columns exchanged, `[rank, d_out]`: for formats of blocks.
    LoraBt,
    /// DoRA magnitudes `[d_out]`: reserved, refused by name.
    Magnitude,
    /// One factor per component, `[rank]`.
    Scales,
    /// Values of a sparse delta.
    Values,
}

impl Part {
    /// Every part, ascending by name.
    pub const ALL: [Part; 8] = [
        Part::Delta,
        Part::Indices,
        Part::LoraA,
        Part::LoraB,
        Part::LoraBt,
        Part::Magnitude,
        Part::Scales,
        Part::Values,
    ];

    /// What stands behind the `#`.
    pub const fn name(self) -> &'static str {
        match self {
            Part::Delta => "delta",
            Part::Indices => "indices",
            Part::LoraA => "lora_a",
            Part::LoraB => "lora_b",
            Part::LoraBt => "lora_bt",
            Part::Magnitude => "magnitude",
            Part::Scales => "scales",
            Part::Values => "values",
        }
    }

    /// The full name of this part of a target.
    pub fn of(self, target: &str) -> String {
        alloc::format!("{target}#{}", self.name())
    }

    /// Indices are integers and scales f32; values are plain floats, and so are factors, or q8_0
    /// with a component in each row, so that none is quantized together with another; a dense
    /// delta may have any format of weights.
    fn allows(self, dtype: Dtype) -> bool {
        match self {
            Part::Indices => dtype == Dtype::U32,
            Part::Scales => dtype == Dtype::F32,
            Part::Delta => dtype != Dtype::U32,
            Part::LoraBt => dtype == Dtype::Q8_0,
            Part::LoraA => {
                matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::Bf16 | Dtype::Q8_0)
            }
            Part::LoraB | Part::Magnitude | Part::Values => {
                matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::Bf16)
            }
        }
    }
}

/// What kind of delta a target has; numbers are places in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeltaKind {
    /// A dense delta.
    Raw {
        /// The `#delta` part.
        delta: usize,
    },
    /// Some elements only.
    Sparse {
        /// The `#indices` part.
        indices: usize,
        /// The `#values` part.
        values: usize,
    },
    /// A sum of scaled outer products.
    LowRank {
        /// The `#lora_a` part.
        lora_a: usize,
        /// The `#lora_b` or `#lora_bt` part.
        lora_b: usize,
        /// Whether it is `#lora_bt`.
        is_transposed: bool,
        /// The `#scales` part.
        scales: usize,
        /// How many components.
        rank: usize,
    },
}

/// What an adapter adds to one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The tensor of the base.
    pub target: String,
    /// How the delta is given.
    pub kind: DeltaKind,
}

impl Delta {
    /// Whether the base's tensor has the shape that this delta needs.
    pub(super) fn check_target(
        &self,
        directory: &Directory,
        target: &Entry,
    ) -> Result<(), AdapterError> {
        let shape = |idx: usize| {
            directory
                .entries()
                .get(idx)
                .map(|entry| entry.shape.as_slice())
        };
        let fits = match self.kind {
            DeltaKind::Raw { delta } => shape(delta) == Some(target.shape.as_slice()),
            DeltaKind::Sparse { indices, .. } => {
                shape(indices).is_some_and(|dims| dims.iter().all(|n| *n <= target.n_elements()))
            }
            DeltaKind::LowRank {
                lora_a,
                lora_b,
                is_transposed,
                ..
            } => match (target.shape.as_slice(), shape(lora_a), shape(lora_b)) {
                ([d_out, d_in], Some([_, a_in]), Some([b_rows, b_columns])) => {
                    let b_out = if is_transposed { b_columns } else { b_rows };
                    d_out == b_out && d_in == a_in
                }
                _ => false,
            },
        };
        if fits {
            Ok(())
        } else {
            Err(AdapterError::rule(
                AdapterRule::TargetShape,
                &self.target,
                0,
            ))
        }
    }
}

/// Where the parts of one target stand in the directory.
#[derive(Default)]
struct Parts {
    places: [Option<usize>; Part::ALL.len()],
}

impl Parts {
    fn place(&self, part: Part) -> Option<usize> {
        self.places.get(part as usize).copied().flatten()
    }
}

/// The deltas of an adapter's directory, in its order.
pub(super) fn read_deltas(directory: &Directory) -> Result<Vec<Delta>, AdapterError> {
    let mut deltas = Vec::new();
    let mut group: Option<(&str, Parts)> = None;
    for (idx, entry) in directory.entries().iter().enumerate() {
        let (target, part) = split_name(entry)?;
        if let Some((previous, parts)) = group.take_if(|(previous, _)| *previous != target) {
            deltas.push(delta_of(directory, previous, &parts)?);
        }
        let (_, parts) = group.get_or_insert_with(|| (target, Parts::default()));
        if let Some(place) = parts.places.get_mut(part as usize) {
            *place = Some(idx);
        }
    }
    if let Some((target, parts)) = group {
        deltas.push(delta_of(directory, target, &parts)?);
    }
    Ok(deltas)
}

/// The target and part that a tensor's name gives, and whether its format suits the part.
fn split_name(entry: &Entry) -> Result<(&str, Part), AdapterError> {
    let refuse = |rule| AdapterError::rule(rule, &entry.name, entry.offset);
    let split = entry
        .name
        .split_once('#')
        .filter(|(target, _)| !target.is_empty());
    let (target, name) = split.ok_or_else(|| refuse(AdapterRule::PartName))?;
    let part = Part::ALL.into_iter().find(|part| part.name() == name);
    let part = part.ok_or_else(|| refuse(AdapterRule::PartName))?;
    if part == Part::Magnitude {
        return Err(refuse(AdapterRule::Magnitude));
    }
    if !part.allows(entry.format.dtype) {
        return Err(refuse(AdapterRule::PartFormat));
    }
    Ok((target, part))
}

fn delta_of(directory: &Directory, target: &str, parts: &Parts) -> Result<Delta, AdapterError> {
    let raw = parts.place(Part::Delta);
    let sparse = [Part::Indices, Part::Values].map(|part| parts.place(part));
    let (plain, transposed) = (parts.place(Part::LoraB), parts.place(Part::LoraBt));
    let low_rank = [
        parts.place(Part::LoraA),
        plain.or(transposed),
        parts.place(Part::Scales),
    ];
    let n_kinds = usize::from(raw.is_some())
        + usize::from(sparse.iter().any(Option::is_some))
        + usize::from(low_rank.iter().any(Option::is_some));
    let refuse = |rule| AdapterError::rule(rule, target, 0);
    if n_kinds > 1 || plain.is_some() && transposed.is_some() {
        return Err(refuse(AdapterRule::PartMix));
    }
    let kind = match (raw, sparse, low_rank) {
        (Some(delta), _, _) => DeltaKind::Raw { delta },
        (_, [Some(indices), Some(values)], _) => DeltaKind::Sparse { indices, values },
        (_, _, [Some(lora_a), Some(lora_b), Some(scales)]) => DeltaKind::LowRank {
            lora_a,
            lora_b,
            is_transposed: plain.is_none(),
            scales,
            rank: 0,
        },
        _ => return Err(refuse(AdapterRule::PartMissing)),
    };
    let kind = check_shapes(directory, kind).map_err(refuse)?;
    Ok(Delta {
        target: target.into(),
        kind,
    })
}

/// Whether the parts of a delta fit one another; fills in the rank.
fn check_shapes(directory: &Directory, kind: DeltaKind) -> Result<DeltaKind, AdapterRule> {
    let shape = |idx: usize| {
        directory
            .entries()
            .get(idx)
            .map_or(&[][..], |entry| entry.shape.as_slice())
    };
    match kind {
        DeltaKind::Raw { .. } => Ok(kind),
        DeltaKind::Sparse { indices, values } => match (shape(indices), shape(values)) {
            ([n_indices], [n_values]) if n_indices == n_values => Ok(kind),
            _ => Err(AdapterRule::PartShape),
        },
        DeltaKind::LowRank {
            lora_a,
            lora_b,
            is_transposed,
            scales,
            ..
        } => match (shape(lora_a), shape(lora_b), shape(scales)) {
            ([rank, _], [b_rows, b_columns], [n_scales])
                if rank == n_scales && rank == if is_transposed { b_rows } else { b_columns } =>
            {
                if *rank > RANK_MAX {
                    return Err(AdapterRule::Rank);
                }
                Ok(DeltaKind::LowRank {
                    lora_a,
                    lora_b,
                    is_transposed,
                    scales,
                    rank: *rank as usize,
                })
            }
            _ => Err(AdapterRule::PartShape),
        },
    }
}
