//! Seeded random adapters for the seeded random models: low-rank, raw and sparse deltas.
//!
//! Deltas have about a tenth of the spread of the weights, so that they change logits visibly and
//! break nothing.

use cultivar_core::adapter::{Adapter, AdapterParts, Binding, Part, write_adapter};
use cultivar_core::package::metadata_key;
use cultivar_core::package::{Entry, Head, Metadata, Package, RecordWriter, TensorPlan};
use cultivar_core::rng::{self, Purpose};
use cultivar_core::tensor::{Format, codec};

/// What kind of delta every target gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeltaSpec {
    /// So many components, `lora_a` and `lora_b` in this format, all scales 2.
    LowRank(usize, &'static str),
    /// Dense, in this format.
    Raw(&'static str),
    /// Every so manieth element, f32.
    Sparse(usize),
}

/// An adapter for the model whose whole package is given.
///
/// `wants` chooses targets by name; targets of one dimension are only chosen for raw and sparse
/// deltas.
///
/// # Panics
/// When the package is not valid or nothing is chosen.
pub fn adapter_for(
    model: &[u8],
    seed: u64,
    delta: DeltaSpec,
    wants: impl Fn(&str) -> bool,
) -> Vec<u8> {
    let package = Package::parse(model).expect("a valid package");
    adapter_for_head(&package.head, seed, delta, wants)
}

/// [`adapter_for`] the model with this head.
///
/// # Panics
/// As there.
pub fn adapter_for_head(
    head: &Head,
    seed: u64,
    delta: DeltaSpec,
    wants: impl Fn(&str) -> bool,
) -> Vec<u8> {
    let entries = head.directory.entries().iter();
    let fits = |entry: &&Entry| entry.shape.len() == 2 || !matches!(delta, DeltaSpec::LowRank(..));
    let mut tensors = Vec::new();
    for (idx, entry) in entries
        .enumerate()
        .filter(|(_, entry)| fits(entry) && wants(&entry.name))
    {
        let draw = Draw {
            seed,
            tensor: idx as u64,
        };
        draw.delta(&mut tensors, entry, delta);
    }
    let mut metadata = RecordWriter::new();
    metadata.text(metadata_key::NAME, &format!("random {seed}"));
    let parts = AdapterParts {
        binding: Binding::to_base(head, false),
        metadata: Metadata::from_records(&metadata),
        unknown: Vec::new(),
    };
    let tensors = tensors
        .iter()
        .map(|(plan, bytes): &(TensorPlan, Vec<u8>)| (plan.clone(), bytes.as_slice()));
    write_adapter(&parts, tensors.collect(), &[]).expect("a valid adapter")
}

/// The adapter under this licence; empty for none.
///
/// # Panics
/// When it is not valid.
pub fn licensed(adapter: &[u8], license: &str) -> Vec<u8> {
    let adapter = Adapter::parse(adapter).expect("a valid adapter");
    let mut metadata = RecordWriter::new();
    for (key, text) in [
        (metadata_key::NAME, adapter.head.metadata.text("name")),
        (metadata_key::LICENSE, Some(license)),
    ] {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            metadata.text(key, text);
        }
    }
    let parts = AdapterParts {
        binding: adapter.head.binding,
        metadata: Metadata::from_records(&metadata),
        unknown: Vec::new(),
    };
    let entries = adapter.head.directory.entries().iter().enumerate();
    let tensors = entries.map(|(idx, entry)| {
        let plan = TensorPlan {
            name: entry.name.clone(),
            format: entry.format,
            shape: entry.shape.clone(),
        };
        (plan, adapter.tensor(idx).expect("a tensor").bytes)
    });
    write_adapter(&parts, tensors.collect(), &[]).expect("a valid adapter")
}

/// Uniform numbers of one tensor.
struct Draw {
    seed: u64,
    tensor: u64,
}

impl Draw {
    fn values(&self, stream: u64, n: usize, width: f32) -> Vec<f32> {
        let index = |i: usize| (self.tensor << 40) | (stream << 36) | (i as u64 / 4);
        let word = |i: usize| rng::draw(self.seed, Purpose::TestWeights, index(i))[i % 4];
        (0..n)
            .map(|i| (rng::unit_f32(word(i)) * 2.0 - 1.0) * width)
            .collect()
    }

    fn delta(&self, tensors: &mut Vec<(TensorPlan, Vec<u8>)>, entry: &Entry, delta: DeltaSpec) {
        let (d_out, d_in) = (entry.d_out(), entry.d_in());
        let width = 0.2 / (d_in as f32).sqrt();
        let mut put = |part: Part, format: &'static str, shape: Vec<u64>, values: &[f32]| {
            tensors.push(stored(part.of(&entry.name), format, shape, values));
        };
        match delta {
            DeltaSpec::LowRank(rank, format) => {
                let a = self.values(0, rank * d_in, 0.5 / (d_in as f32).sqrt());
                let b = self.values(1, d_out * rank, 0.25);
                put(Part::LoraA, format, vec![rank as u64, d_in as u64], &a);
                put(Part::LoraB, format, vec![d_out as u64, rank as u64], &b);
                put(Part::Scales, "f32", vec![rank as u64], &vec![2.0; rank]);
            }
            DeltaSpec::Raw(format) => {
                let values = self.values(2, d_out * d_in, width);
                put(Part::Delta, format, entry.shape.clone(), &values);
            }
            DeltaSpec::Sparse(step) => {
                let indices: Vec<u32> = (0..(d_out * d_in) as u32).step_by(step).collect();
                let values = self.values(3, indices.len(), width * 2.0);
                let n = vec![indices.len() as u64];
                put(Part::Values, "f32", n.clone(), &values);
                let bytes = indices.iter().flat_map(|idx| idx.to_le_bytes()).collect();
                let plan = TensorPlan {
                    name: Part::Indices.of(&entry.name),
                    format: Format::by_name("u32").expect("a known format"),
                    shape: n,
                };
                tensors.push((plan, bytes));
            }
        }
    }
}

fn stored(
    name: String,
    format: &'static str,
    shape: Vec<u64>,
    values: &[f32],
) -> (TensorPlan, Vec<u8>) {
    let format = Format::by_name(format).expect("a known format");
    let (d_in, outer) = shape.split_last().expect("a shape");
    let (d_out, d_in) = (outer.iter().product::<u64>() as usize, *d_in as usize);
    let n_bytes = format
        .stored_bytes(d_out as u64, d_in as u64)
        .expect("whole blocks");
    let mut bytes = vec![0; n_bytes as usize];
    codec::encode_rows(&mut bytes, format, values, d_out, d_in).expect("a valid shape");
    let plan = TensorPlan {
        name,
        format,
        shape,
    };
    (plan, bytes)
}
