//! Extraction: two models with one base become an adapter that leads from the first to the second.
//!
//! Tensor by tensor the difference is taken in f32; matrices become low-rank by a seeded sketch or
//! sparse by the largest magnitudes, vectors raw or sparse. Tensors with equal bytes are not read.

use crate::error::{BreedError, BreedRule};
use crate::merge::{Facts, Loss, NewDelta, NewTensors, truncate_dense, write_new_adapter};
use crate::step::BreedStep;
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::adapter::genome;
use cultivar_core::digest::{Digest, sha256};
use cultivar_core::memory::{filled, reserved};
use cultivar_core::package::{Entry, Head};
use cultivar_core::sorting::sort;
use cultivar_core::tensor::codec;

/// How differences are represented.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Extraction {
    /// The nearest delta of so many components.
    Rank {
        /// 1 to 4096.
        rank: usize,
        /// Names the sketch.
        seed: u64,
    },
    /// The elements of largest magnitude.
    Density {
        /// Part of the elements that is kept, above 0 and up to 1.
        density: f64,
    },
}

/// How the elements of sparse deltas are chosen: by magnitude, the largest first.
const MASK: &str = "magnitude";

/// An extraction in progress. Source 0 is the base, source 1 the other model.
pub struct Extractor {
    base: Head,
    child: Head,
    how: Extraction,
    name: String,
    license: String,
    exact_base: bool,
    /// Place of the tensor under way among the base's.
    idx: usize,
    /// Bytes of the base's tensor, once read.
    base_bytes: Option<Vec<u8>>,
    tensors: NewTensors,
    loss: Loss,
    losses: Vec<(String, Loss)>,
}

impl Extractor {
    /// Begins; nothing is read yet. `name` and `license` go to the adapter's metadata; an empty
    /// licence becomes what holds where those of both models do.
    pub fn new(
        base: Head,
        child: Head,
        how: Extraction,
        [name, license]: [&str; 2],
    ) -> Result<Extractor, BreedError> {
        match how {
            Extraction::Rank { rank, .. } if !(1..=4096).contains(&rank) => {
                return Err(BreedError::new(BreedRule::Parameter, "rank"));
            }
            Extraction::Density { density } if !(density > 0.0 && density <= 1.0) => {
                return Err(BreedError::new(BreedRule::Parameter, "density"));
            }
            _ => {}
        }
        let (of, other) = (&base.identities, &child.identities);
        for (a, b, what) in [
            (of.architecture, other.architecture, "architecture"),
            (of.tokenizer, other.tokenizer, "tokenizer"),
            (of.tensor_schema, other.tensor_schema, "tensor_schema"),
        ] {
            if a != b {
                return Err(BreedError::new(BreedRule::OtherBase, what));
            }
        }
        Ok(Extractor {
            base,
            child,
            how,
            name: String::from(name),
            license: String::from(license),
            exact_base: false,
            idx: 0,
            base_bytes: None,
            tensors: Vec::new(),
            loss: Loss::default(),
            losses: Vec::new(),
        })
    }

    /// The same, for an adapter that suits only the very weights of the base, or not.
    pub fn exact_base(self, exact_base: bool) -> Extractor {
        Extractor { exact_base, ..self }
    }

    /// Says what the caller does next; [`BreedStep::Write`] never comes.
    pub fn step(&mut self) -> BreedStep {
        while let Some((of_base, of_child)) = self.entries() {
            let is_same = of_base.digest == of_child.digest && of_base.format == of_child.format;
            if !is_same {
                let (source, entry) = match self.base_bytes {
                    None => (0, of_base),
                    Some(_) => (1, of_child),
                };
                return BreedStep::Read {
                    source,
                    offset: entry.offset,
                    len: entry.bytes,
                };
            }
            self.idx += 1;
        }
        BreedStep::Done
    }

    /// Takes the bytes of the tensor that the last step asked for.
    pub fn supply(&mut self, bytes: &[u8]) -> Result<(), BreedError> {
        let out_of_order = || BreedError::new(BreedRule::OutOfOrder, "");
        let (of_base, of_child) = self.entries().ok_or_else(out_of_order)?;
        let (of_base, of_child) = (&of_base.clone(), &of_child.clone());
        let entry = match self.base_bytes {
            None => of_base,
            Some(_) => of_child,
        };
        if bytes.len() as u64 != entry.bytes {
            return Err(out_of_order());
        }
        check_digest(bytes, entry.digest, &entry.name)?;
        let Some(base_bytes) = self.base_bytes.take() else {
            let mut copy = reserved(bytes.len()).ok_or_else(|| BreedError::memory(&entry.name))?;
            copy.extend_from_slice(bytes);
            self.base_bytes = Some(copy);
            return Ok(());
        };
        let difference = difference((of_base, &base_bytes), (of_child, bytes))?;
        let (name, shape) = (of_base.name.clone(), of_base.shape.clone());
        let d_in = of_base.d_in();
        self.idx += 1;
        if difference.iter().all(|value| *value == 0.0) {
            return Ok(());
        }
        let (delta, loss) = self.represent(&difference, d_in, shape.len() > 1, &name)?;
        if !delta.is_empty() {
            delta.put(&mut self.tensors, &name, &shape)?;
        }
        self.loss.add(loss);
        self.losses.push((name, loss));
        Ok(())
    }

    /// Tensors looked at, and in all.
    pub fn progress(&self) -> (usize, usize) {
        (self.idx, self.base.directory.entries().len())
    }

    /// The adapter, once everything is read.
    pub fn finish(self) -> Result<super::Merged, BreedError> {
        if self.entries().is_some() {
            return Err(BreedError::new(BreedRule::OutOfOrder, ""));
        }
        if self.tensors.is_empty() {
            return Err(BreedError::new(BreedRule::NoDifference, ""));
        }
        let of_models = [("base", &self.base), ("child", &self.child)];
        let parents = of_models.map(|(role, head)| genome::of_model(role, head));
        let mut json = genome::begin("extract", parents.into_iter());
        match self.how {
            Extraction::Rank { rank, seed } => {
                json.field_u64("rank", rank as u64);
                json.field_display("seed", seed);
            }
            Extraction::Density { density } => {
                json.field_f64("density", density);
                json.field_str("mask", MASK);
            }
        }
        json.field_f64("relative_error", self.loss.relative());
        let genome = genome::finish(json);
        let both = of_models.map(|(role, head)| genome::of_model(role, head).license);
        let facts = Facts {
            name: &self.name,
            license: match self.license.is_empty() {
                true => genome::joint_license(both.into_iter()),
                false => self.license.clone(),
            },
            mask: MASK,
            exact_base: self.exact_base,
        };
        let bytes = write_new_adapter(&self.base, facts, &self.tensors, genome)?;
        Ok(super::Merged {
            bytes,
            loss: self.loss,
            losses: self.losses,
        })
    }

    /// The tensor under way in both models; the schema is one, so are names and order.
    fn entries(&self) -> Option<(&Entry, &Entry)> {
        let of_base = self.base.directory.entries().get(self.idx)?;
        Some((of_base, self.child.directory.entries().get(self.idx)?))
    }

    fn represent(
        &self,
        difference: &[f32],
        d_in: usize,
        is_matrix: bool,
        name: &str,
    ) -> Result<(NewDelta, Loss), BreedError> {
        let memory = || BreedError::memory(name);
        match self.how {
            Extraction::Rank { rank, seed } if is_matrix => {
                let d_out = difference.len() / d_in.max(1);
                truncate_dense(difference, d_out, d_in, rank, seed).ok_or_else(memory)
            }
            Extraction::Rank { .. } => {
                let mut raw = reserved(difference.len()).ok_or_else(memory)?;
                raw.extend_from_slice(difference);
                Ok((NewDelta::Raw(raw), Loss::default()))
            }
            Extraction::Density { density } => largest(difference, density).ok_or_else(memory),
        }
    }
}

fn check_digest(bytes: &[u8], digest: Digest, name: &str) -> Result<(), BreedError> {
    match sha256(bytes) == digest {
        true => Ok(()),
        false => Err(BreedError::new(BreedRule::Digest, name)),
    }
}

/// The second tensor less the first, row after row.
fn difference(
    (of_base, base): (&Entry, &[u8]),
    (of_child, child): (&Entry, &[u8]),
) -> Result<Vec<f32>, BreedError> {
    let memory = || BreedError::memory(&of_base.name);
    let d_in = of_base.d_in().max(1);
    let n = of_base.d_out().saturating_mul(d_in);
    let mut out = filled(0.0, n).ok_or_else(memory)?;
    let mut row = filled(0.0, d_in).ok_or_else(memory)?;
    let wrong = || BreedError::new(BreedRule::OutOfOrder, &of_base.name);
    let base = of_base.tensor(base).ok_or_else(wrong)?;
    let child = of_child.tensor(child).ok_or_else(wrong)?;
    for (i, out) in out.chunks_exact_mut(d_in).enumerate() {
        codec::decode_row(&mut row, base, i);
        codec::decode_row(out, child, i);
        for (out, base) in out.iter_mut().zip(&row) {
            *out -= base;
        }
    }
    match out.iter().all(|value| value.is_finite()) {
        true => Ok(out),
        false => Err(BreedError::new(BreedRule::NotFinite, &of_base.name)),
    }
}

/// The elements of largest magnitude, of equal ones the first; never a zero.
fn largest(values: &[f32], density: f64) -> Option<(NewDelta, Loss)> {
    let magnitude = |value: &f32| value.to_bits() & 0x7fff_ffff;
    let n_wanted = ((values.len() as f64 * density) as usize).max(1);
    let mut magnitudes: Vec<u32> = reserved(values.len())?;
    magnitudes.extend(values.iter().map(magnitude));
    sort(&mut magnitudes);
    let least = magnitudes
        .len()
        .checked_sub(n_wanted)
        .and_then(|i| magnitudes.get(i));
    let least = least.copied().unwrap_or(0).max(1);
    // Of those that equal the least, so many still fit.
    let n_above = magnitudes.iter().rev().take_while(|m| **m > least).count();
    let mut n_equal = n_wanted.saturating_sub(n_above);
    let (mut indices, mut kept) = (reserved(n_wanted)?, reserved(n_wanted)?);
    let mut loss = Loss::default();
    for (i, value) in values.iter().enumerate() {
        let square = f64::from(*value) * f64::from(*value);
        loss.norm_squared += square;
        let is_equal = magnitude(value) == least;
        if magnitude(value) > least || is_equal && n_equal > 0 {
            n_equal -= usize::from(is_equal);
            indices.push(i as u32);
            kept.push(*value);
        } else {
            loss.lost_squared += square;
        }
    }
    Some((NewDelta::Sparse(indices, kept), loss))
}
