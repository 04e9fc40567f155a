//! The binding: which bases an adapter may be used with. It is the adapter's config section.
//!
//! Three identities must equal the base's. Other weights under the same three are a warning, or a
//! refusal where the author bound the adapter exactly.

use super::error::{AdapterError, AdapterRule};
use crate::digest::Digest;
use crate::package::{Head, PackageError, PackageErrorKind, Record, RecordWriter, Records, Value};

/// The base that an adapter was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Its `architecture`.
    pub base_architecture: Digest,
    /// Its `tokenizer`.
    pub base_tokenizer: Digest,
    /// Its `tensor_schema`.
    pub base_tensor_schema: Digest,
    /// Its `weights`, if the author says so.
    pub base_weights: Option<Digest>,
    /// Whether only these weights will do; needs `base_weights`.
    pub exact_base: bool,
}

/// How well a base suits an adapter that may be used with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseFit {
    /// The weights are those that the author names.
    SameWeights,
    /// The author names other weights: it will run, and may not do what was meant.
    OtherWeights,
    /// The author names no weights.
    UnknownWeights,
}

impl Binding {
    /// A binding to this model; exact if only its very weights will do.
    pub fn to_base(base: &Head, exact_base: bool) -> Binding {
        Binding {
            base_architecture: base.identities.architecture,
            base_tokenizer: base.identities.tokenizer,
            base_tensor_schema: base.identities.tensor_schema,
            base_weights: Some(base.identities.weights),
            exact_base,
        }
    }

    /// Whether an adapter with this binding may be used with `base`.
    pub fn check_base(&self, base: &Head) -> Result<BaseFit, AdapterError> {
        let identities = &base.identities;
        for (wanted, found, rule) in [
            (
                self.base_architecture,
                identities.architecture,
                AdapterRule::OtherArchitecture,
            ),
            (
                self.base_tokenizer,
                identities.tokenizer,
                AdapterRule::OtherTokenizer,
            ),
            (
                self.base_tensor_schema,
                identities.tensor_schema,
                AdapterRule::OtherTensorSchema,
            ),
        ] {
            if wanted != found {
                return Err(AdapterError::rule(rule, "", 0));
            }
        }
        match self.base_weights {
            None => Ok(BaseFit::UnknownWeights),
            Some(weights) if weights == identities.weights => Ok(BaseFit::SameWeights),
            Some(_) if self.exact_base => Err(AdapterError::rule(AdapterRule::OtherWeights, "", 0)),
            Some(_) => Ok(BaseFit::OtherWeights),
        }
    }

    /// Reads an adapter's config section.
    pub(super) fn from_records(records: &Records<'_>) -> Result<Binding, AdapterError> {
        let digest =
            |key| -> Result<Digest, PackageError> { read_digest(records, &records.require(key)?) };
        let mut binding = Binding {
            base_architecture: digest("base_architecture")?,
            base_tokenizer: digest("base_tokenizer")?,
            base_tensor_schema: digest("base_tensor_schema")?,
            base_weights: None,
            exact_base: false,
        };
        for record in records.iter() {
            match record.key {
                "base_architecture" | "base_tokenizer" | "base_tensor_schema" => {}
                "base_weights" => binding.base_weights = Some(read_digest(records, &record)?),
                "exact_base" => binding.exact_base = read_true(records, &record)?,
                _ => return Err(records.refuse(PackageErrorKind::UnknownKey, &record).into()),
            }
        }
        binding.validate()?;
        Ok(binding)
    }

    /// An exact binding says what it is bound to.
    pub(super) fn validate(&self) -> Result<(), AdapterError> {
        if self.exact_base && self.base_weights.is_none() {
            return Err(AdapterError::rule(
                AdapterRule::NoBaseWeights,
                "exact_base",
                0,
            ));
        }
        Ok(())
    }

    /// The binding as a config section stores it.
    pub(super) fn to_records(self) -> RecordWriter {
        let mut records = RecordWriter::new();
        records.bytes("base_architecture", &self.base_architecture.0);
        records.bytes("base_tokenizer", &self.base_tokenizer.0);
        records.bytes("base_tensor_schema", &self.base_tensor_schema.0);
        if let Some(weights) = self.base_weights {
            records.bytes("base_weights", &weights.0);
        }
        if self.exact_base {
            records.bool("exact_base", true);
        }
        records
    }
}

fn read_digest(records: &Records<'_>, record: &Record<'_>) -> Result<Digest, PackageError> {
    let Value::Bytes(bytes) = record.value else {
        return Err(records.refuse(PackageErrorKind::WrongValueKind, record));
    };
    let bytes = <[u8; 32]>::try_from(bytes);
    bytes
        .map(Digest)
        .map_err(|_| records.refuse(PackageErrorKind::ValueLength, record))
}

/// A truth value whose default is false: stored, it is true.
fn read_true(records: &Records<'_>, record: &Record<'_>) -> Result<bool, PackageError> {
    match record.value {
        Value::Bool(true) => Ok(true),
        Value::Bool(false) => Err(records.refuse(PackageErrorKind::RedundantDefault, record)),
        _ => Err(records.refuse(PackageErrorKind::WrongValueKind, record)),
    }
}
