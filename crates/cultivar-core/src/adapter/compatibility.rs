//! The compatibility report: field by field, what of an adapter matches a base, and what to do
//! where it does not.
//!
//! It gathers instead of stopping at the first fault, changes nothing, and never fails: whatever
//! is wrong becomes a field. Whether an adapter may be used is `LoadedAdapter::new`'s and
//! `FusedCheck`'s to say; the verdict here agrees with theirs.

use super::error::AdapterError;
use super::stack_error::StackError;
use super::whole::Adapter;
use crate::digest::Digest;
use crate::json::JsonWriter;
use crate::package::{Head, metadata_key};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// How one field compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldStatus {
    /// It is as it must be.
    Matches,
    /// It differs, and the adapter may be used none the less.
    Warning,
    /// It differs, and the adapter is refused.
    Refused,
    /// It was not looked at, because an earlier field refuses or nobody asked.
    NotChecked,
}

impl FieldStatus {
    /// The name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            FieldStatus::Matches => "matches",
            FieldStatus::Warning => "warning",
            FieldStatus::Refused => "refused",
            FieldStatus::NotChecked => "not_checked",
        }
    }
}

/// What was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The options that change the function.
    Architecture,
    /// Bytes and type per token id.
    Tokenizer,
    /// Names and shapes of the tensors.
    TensorSchema,
    /// The weights that the author names.
    Weights,
    /// Digests, finite values and the order of indices of the adapter itself.
    Values,
    /// Every delta has a tensor of its shape in the base, and indices lie inside.
    Targets,
    /// Base plus delta stays finite in the base's format.
    Fused,
}

impl Field {
    /// Every field, in the order of the report.
    pub const ALL: [Field; 7] = [
        Field::Architecture,
        Field::Tokenizer,
        Field::TensorSchema,
        Field::Weights,
        Field::Values,
        Field::Targets,
        Field::Fused,
    ];

    /// The name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Field::Architecture => "architecture",
            Field::Tokenizer => "tokenizer",
            Field::TensorSchema => "tensor_schema",
            Field::Weights => "weights",
            Field::Values => "values",
            Field::Targets => "targets",
            Field::Fused => "fused",
        }
    }

    /// What to do where this field compares so, if anything.
    pub fn advice(self, status: FieldStatus) -> Option<&'static str> {
        if matches!(status, FieldStatus::Matches | FieldStatus::NotChecked) {
            return None;
        }
        Some(match self {
            Field::Architecture => {
                "The base computes another function: use the base that the adapter was made for, \
                 distil its skill into this one, or let both models answer and choose (route) or \
                 average (ensemble)."
            }
            Field::Tokenizer => {
                "Token ids mean other text here: import the adapter anew with this base if only \
                 the tokenizer's file differs, else distil or route."
            }
            Field::TensorSchema => {
                "Tensors have other names or shapes: import the adapter anew with this base if it \
                 is the same model in another form, else distil, route or ensemble."
            }
            Field::Weights if status == FieldStatus::Refused => {
                "Its author bound it to other weights exactly: use those, or distil its skill \
                 into this base, route or ensemble."
            }
            Field::Weights => {
                "Same form, other weights: it runs and may not do what was meant. Test it, or use \
                 the weights that its author names."
            }
            Field::Values => "The file is damaged or wrongly written: get it again.",
            Field::Targets => {
                "The adapter does not fit the tensors of this base: import it anew with this base."
            }
            Field::Fused => {
                "The sum is too large for the base's format: use a smaller weight, or a base in \
                 f32."
            }
        })
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldReport {
    /// What was compared.
    pub field: Field,
    /// How it compares.
    pub status: FieldStatus,
    /// The adapter's side as a digest; absent where none applies.
    pub adapter: Option<Digest>,
    /// The base's side.
    pub base: Option<Digest>,
    /// The refusal as a sentence, with its code.
    pub refusal: Option<(i32, String)>,
}

/// The report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compatibility {
    /// Name in the adapter's metadata; may be empty. A stranger's text.
    pub name: String,
    /// The adapter's `weights`.
    pub adapter: Digest,
    /// The base's `weights`.
    pub base: Digest,
    /// Tensors that the adapter changes.
    pub n_targets: usize,
    /// One line per [`Field`], in its order.
    pub fields: Vec<FieldReport>,
}

impl Compatibility {
    /// Compares an adapter with a base. Base plus delta is left to [`Compatibility::note_fused`].
    pub fn new(adapter: &Adapter<'_>, base: &Head) -> Compatibility {
        let (binding, of) = (&adapter.head.binding, &base.identities);
        let mut fields = Vec::new();
        for (field, wanted, found) in [
            (
                Field::Architecture,
                binding.base_architecture,
                of.architecture,
            ),
            (Field::Tokenizer, binding.base_tokenizer, of.tokenizer),
            (
                Field::TensorSchema,
                binding.base_tensor_schema,
                of.tensor_schema,
            ),
        ] {
            let status = match wanted == found {
                true => FieldStatus::Matches,
                false => FieldStatus::Refused,
            };
            fields.push(FieldReport {
                field,
                status,
                adapter: Some(wanted),
                base: Some(found),
                refusal: None,
            });
        }
        let status = match binding.base_weights {
            Some(wanted) if wanted == of.weights => FieldStatus::Matches,
            Some(_) if binding.exact_base => FieldStatus::Refused,
            Some(_) => FieldStatus::Warning,
            None => FieldStatus::NotChecked,
        };
        fields.push(FieldReport {
            field: Field::Weights,
            status,
            adapter: binding.base_weights,
            base: Some(of.weights),
            refusal: None,
        });
        let values = adapter.verify_tensors();
        // Bounds of indices can only be judged where they ascend.
        let targets = values.is_ok().then(|| adapter.check_targets(base));
        fields.push(outcome(Field::Values, Some(values)));
        fields.push(outcome(Field::Targets, targets));
        fields.push(outcome::<StackError>(Field::Fused, None));
        let name = adapter.head.metadata.text(metadata_key::NAME);
        Compatibility {
            name: String::from(name.unwrap_or_default()),
            adapter: adapter.head.weights,
            base: of.weights,
            n_targets: adapter.head.deltas.len(),
            fields,
        }
    }

    /// Notes what the check of base plus delta found.
    pub fn note_fused(&mut self, result: Result<(), StackError>) {
        if let Some(last) = self.fields.last_mut() {
            *last = outcome(Field::Fused, Some(result));
        }
    }

    /// The worst status of all fields that were checked.
    pub fn verdict(&self) -> FieldStatus {
        let has = |status| self.fields.iter().any(|line| line.status == status);
        match (has(FieldStatus::Refused), has(FieldStatus::Warning)) {
            (true, _) => FieldStatus::Refused,
            (false, true) => FieldStatus::Warning,
            (false, false) => FieldStatus::Matches,
        }
    }

    /// `cultivar.compatibility.v1`, canonical.
    pub fn to_json(&self) -> String {
        let mut json = JsonWriter::new();
        json.begin_object();
        json.field_str("schema", "cultivar.compatibility.v1");
        json.field_str("name", &self.name);
        json.field_display("adapter", self.adapter);
        json.field_display("base", self.base);
        json.field_u64("n_targets", self.n_targets as u64);
        json.field_str("verdict", self.verdict().name());
        json.key("fields").begin_array();
        for line in &self.fields {
            json.begin_object();
            json.field_str("field", line.field.name());
            json.field_str("status", line.status.name());
            for (key, digest) in [("adapter", line.adapter), ("base", line.base)] {
                if let Some(digest) = digest {
                    json.field_display(key, digest);
                }
            }
            if let Some((code, message)) = &line.refusal {
                json.key("code").i64(i64::from(*code));
                json.field_str("message", message);
            }
            if let Some(advice) = line.field.advice(line.status) {
                json.field_str("advice", advice);
            }
            json.end_object();
        }
        json.end_array().end_object();
        json.finish()
    }
}

/// A field that is a check: matches, refused with its reason, or not made.
fn outcome<E: Refusal>(field: Field, result: Option<Result<(), E>>) -> FieldReport {
    let (status, refusal) = match result {
        None => (FieldStatus::NotChecked, None),
        Some(Ok(())) => (FieldStatus::Matches, None),
        Some(Err(error)) => (
            FieldStatus::Refused,
            Some((error.code(), error.to_string())),
        ),
    };
    FieldReport {
        field,
        status,
        adapter: None,
        base: None,
        refusal,
    }
}

/// Errors with a stable code.
trait Refusal: ToString {
    fn code(&self) -> i32;
}

impl Refusal for AdapterError {
    fn code(&self) -> i32 {
        AdapterError::code(self)
    }
}

impl Refusal for StackError {
    fn code(&self) -> i32 {
        StackError::code(self)
    }
}
