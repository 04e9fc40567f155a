//! What can be wrong with the files of an import: kind, file, field, and two numbers.
//!
//! Codes 500–584 are stable and listed in `docs/abi.md`. Errors of the package, the config and the
//! tokenizer that an import would make, and of JSON, keep their own codes. `error_text` says each
//! as a sentence.

use alloc::boxed::Box;
use core::ops::Deref;
use cultivar_core::bytes::ShortText;
use cultivar_core::json::JsonError;
use cultivar_core::package::{ConfigError, PackageError};
use cultivar_core::tokenizer::TokenizerError;

/// The rule that was broken.
#[derive(Clone, Debug, PartialEq)]
pub enum ImportErrorKind {
    /// No file was given, or none of a known kind.
    NoSource,
    /// More files than an import takes.
    TooManySources,
    /// A file has no bytes.
    Empty,
    /// A file is of no kind that an import knows.
    Unrecognised,
    /// A file is of a kind (named in `field`) that this version does not read yet.
    KindLater,
    /// A file is a Cultivar package already.
    AlreadyPackage,
    /// A checkpoint came without its tokenizer file.
    TokenizerMissing,
    /// A tokenizer file came without its checkpoint.
    CheckpointMissing,
    /// Two files of the same kind (named in `field`).
    TwoOfAKind,
    /// A file is shorter than its header says: bytes needed, bytes there.
    Truncated,
    /// A file is longer than its header says: bytes needed, bytes there.
    Trailing,
    /// A header field (named) has a value that cannot be.
    HeaderField,
    /// Two files disagree about a size (named): the value here, the value in the other.
    SizesDisagree,
    /// A weight of a tensor (named) is infinite or not a number: its index.
    NotFinite,
    /// A weight of a tensor (named) is too large for the chosen format: row where it is.
    DoesNotFit,
    /// A piece of a tokenizer file is cut off or has an impossible length: its id.
    PieceBroken,
    /// A tokenizer file has more pieces than a vocabulary may have.
    TooManyPieces,
    /// A file is larger than this kind may be: most bytes, bytes there.
    FileTooLarge,
    /// Memory for a part of the work could not be had.
    OutOfMemory,
    /// The caller supplied another number of bytes than was asked for: asked, supplied.
    SupplyLen,
    /// A step or a supply came out of order.
    OutOfOrder,
    /// A format name (in `field`) that does not exist.
    FormatUnknown,
    /// A GGUF file is big-endian.
    BigEndian,
    /// A GGUF file has a version (number) that is not read.
    GgufVersion,
    /// A count or length (named) is beyond what is possible: there, at most.
    CountTooLarge,
    /// A metadata key (named) has a value of unknown type (number), or an array of arrays.
    MetadataType,
    /// A metadata key (named) stands twice.
    DuplicateKey,
    /// A name is empty, too long or not UTF-8: its place in the file.
    BadName,
    /// A metadata key or JSON field (named) has a value of the wrong type or out of range.
    FieldValue,
    /// A metadata key or JSON field (named) that the model needs is missing.
    FieldMissing,
    /// A tensor (named) has an element type (number) that does not exist.
    TensorTypeUnknown,
    /// A tensor (named) has impossible dimensions: how many, the first.
    TensorDims,
    /// A tensor (named) does not lie within its file or not at its alignment: begin, end.
    TensorPlace,
    /// A tensor (named) overlaps another one: where it begins, where the other ends.
    TensorOverlap,
    /// Bytes belong to no tensor, in a format that has no gaps: begin, end.
    TensorGap,
    /// A tensor (named) has another length than its shape calls for: called for, there.
    TensorBytes,
    /// Two tensors of the same name (named).
    DuplicateTensor,
    /// An option (named) that no family of the other format has: an export cannot say it.
    ExportUnsupported,
    /// A tokenizer's model (named) is not supported.
    TokenizerModel,
    /// A pre-tokenizer (named) is not known.
    PreTokenizerUnknown,
    /// A merge of a list (named) does not consist of two pieces: its place.
    MergeBroken,
    /// A merge of a list (named) names a piece that the vocabulary lacks: its place.
    MergePieceUnknown,
    /// A step of a tokenizer (named) is not supported.
    TokenizerStep,
    /// A list (named) does not have one element per piece: elements, pieces.
    ArrayLen,
    /// A piece of a vocabulary (named) stands twice: the second one's id.
    PieceTwice,
    /// A scale of a tensor (named) is infinite or not a number: row where it is.
    ScaleNotFinite,
    /// An architecture (named) is none of those that can be imported.
    ArchitectureUnknown,
    /// An option (named) has a value that no supported model has.
    OptionUnsupported,
    /// A tensor (named) that the configuration calls for is missing.
    TensorMissing,
    /// A tensor (named) is none that the configuration calls for.
    TensorSurplus,
    /// A tensor (named) has another dimension than the configuration calls for: that, this.
    TensorShape,
    /// A tensor (named) has more or fewer dimensions than the configuration calls for.
    TensorRank,
    /// A GGUF file holds a vocabulary and no tensors.
    VocabularyOnly,
    /// A file of a model in several (named, or number and count) is missing.
    ShardMissing,
    /// Files of a model in several contradict one another about a field (named).
    ShardsDisagree,
    /// A model came without a file (described by `field`) that it needs.
    PartMissing,
    /// Files of several models were given at once.
    WeightsTwice,
    /// A name (named) is no choice for blocks that are re-quantized.
    RequantizeUnknown,
    /// A tensor (named) has an element type (held here) that is not read.
    TensorTypeUnread(&'static str),
    /// The package that would be written breaks a rule.
    Package(PackageError),
    /// The configuration that the header describes breaks a rule.
    Config(ConfigError),
    /// The vocabulary breaks a rule.
    Tokenizer(TokenizerError),
    /// A JSON text is not valid.
    Json(JsonError),
}

/// An error of an import. It is met once per import at most, so its detail lies behind a pointer
/// and costs the calls that succeed nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportError(Box<ImportErrorDetail>);

/// A broken rule, the file it was met in, the field it concerns, and up to two numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportErrorDetail {
    /// The rule that was broken.
    pub kind: ImportErrorKind,
    /// The file's name; empty where no single file is at fault.
    pub file: ShortText,
    /// Header field, tensor or kind; empty where none applies.
    pub field: ShortText,
    /// Numbers that the kind describes; 0 where it has none.
    pub numbers: [u64; 2],
}

impl ImportError {
    /// An error that names nothing yet.
    pub fn new(kind: ImportErrorKind) -> ImportError {
        let (file, field) = (ShortText::EMPTY, ShortText::EMPTY);
        ImportError(Box::new(ImportErrorDetail {
            kind,
            file,
            field,
            numbers: [0; 2],
        }))
    }

    /// The same error in this file.
    pub fn file(mut self, name: &str) -> ImportError {
        self.0.file = ShortText::new(name);
        self
    }

    /// The same error about this field.
    pub fn field(mut self, name: &str) -> ImportError {
        self.0.field = ShortText::new(name);
        self
    }

    /// The same error with its numbers.
    pub fn numbers(mut self, first: u64, second: u64) -> ImportError {
        self.0.numbers = [first, second];
        self
    }

    /// The stable positive code.
    pub fn code(&self) -> i32 {
        match &self.kind {
            ImportErrorKind::NoSource => 500,
            ImportErrorKind::TooManySources => 501,
            ImportErrorKind::Empty => 502,
            ImportErrorKind::Unrecognised => 503,
            ImportErrorKind::KindLater => 504,
            ImportErrorKind::AlreadyPackage => 505,
            ImportErrorKind::TokenizerMissing => 506,
            ImportErrorKind::CheckpointMissing => 507,
            ImportErrorKind::TwoOfAKind => 508,
            ImportErrorKind::Truncated => 509,
            ImportErrorKind::Trailing => 510,
            ImportErrorKind::HeaderField => 511,
            ImportErrorKind::SizesDisagree => 512,
            ImportErrorKind::NotFinite => 513,
            ImportErrorKind::DoesNotFit => 514,
            ImportErrorKind::PieceBroken => 515,
            ImportErrorKind::TooManyPieces => 516,
            ImportErrorKind::FileTooLarge => 517,
            ImportErrorKind::OutOfMemory => 518,
            ImportErrorKind::SupplyLen => 519,
            ImportErrorKind::OutOfOrder => 520,
            ImportErrorKind::FormatUnknown => 522,
            ImportErrorKind::BigEndian => 523,
            ImportErrorKind::GgufVersion => 524,
            ImportErrorKind::CountTooLarge => 525,
            ImportErrorKind::MetadataType => 526,
            ImportErrorKind::DuplicateKey => 527,
            ImportErrorKind::BadName => 528,
            ImportErrorKind::FieldValue => 529,
            ImportErrorKind::FieldMissing => 530,
            ImportErrorKind::TensorTypeUnknown => 531,
            ImportErrorKind::TensorDims => 532,
            ImportErrorKind::TensorPlace => 533,
            ImportErrorKind::TensorOverlap => 534,
            ImportErrorKind::TensorGap => 535,
            ImportErrorKind::TensorBytes => 536,
            ImportErrorKind::DuplicateTensor => 537,
            ImportErrorKind::TokenizerModel => 570,
            ImportErrorKind::PreTokenizerUnknown => 571,
            ImportErrorKind::MergeBroken => 572,
            ImportErrorKind::MergePieceUnknown => 573,
            ImportErrorKind::TokenizerStep => 574,
            ImportErrorKind::ArrayLen => 575,
            ImportErrorKind::PieceTwice => 576,
            ImportErrorKind::ScaleNotFinite => 538,
            ImportErrorKind::ArchitectureUnknown => 539,
            ImportErrorKind::OptionUnsupported => 540,
            ImportErrorKind::TensorMissing => 541,
            ImportErrorKind::TensorSurplus => 542,
            ImportErrorKind::TensorShape => 543,
            ImportErrorKind::TensorRank => 544,
            ImportErrorKind::VocabularyOnly => 545,
            ImportErrorKind::ShardMissing => 546,
            ImportErrorKind::ShardsDisagree => 547,
            ImportErrorKind::PartMissing => 548,
            ImportErrorKind::WeightsTwice => 549,
            ImportErrorKind::RequantizeUnknown => 550,
            ImportErrorKind::TensorTypeUnread(_) => 551,
            ImportErrorKind::ExportUnsupported => 552,
            ImportErrorKind::Package(error) => error.code(),
            ImportErrorKind::Config(error) => error.code(),
            ImportErrorKind::Tokenizer(error) => error.code(),
            ImportErrorKind::Json(error) => error.code(),
        }
    }
}

impl Deref for ImportError {
    type Target = ImportErrorDetail;

    fn deref(&self) -> &ImportErrorDetail {
        &self.0
    }
}

impl From<PackageError> for ImportError {
    fn from(error: PackageError) -> ImportError {
        ImportError::new(ImportErrorKind::Package(error))
    }
}

impl From<ConfigError> for ImportError {
    fn from(error: ConfigError) -> ImportError {
        ImportError::new(ImportErrorKind::Config(error))
    }
}

impl From<TokenizerError> for ImportError {
    fn from(error: TokenizerError) -> ImportError {
        ImportError::new(ImportErrorKind::Tokenizer(error))
    }
}

impl From<JsonError> for ImportError {
    fn from(error: JsonError) -> ImportError {
        ImportError::new(ImportErrorKind::Json(error))
    }
}
