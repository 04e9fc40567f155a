//! What can be wrong with the files of an import: kind, file, field, and two numbers.
//!
//! Codes 500–549 are stable and listed in `docs/abi.md`. Errors of the package, the config and the
//! tokenizer that an import would make keep their own codes.

use alloc::boxed::Box;
use core::fmt;
use core::ops::Deref;
use cultivar_core::bytes::ShortText;
use cultivar_core::package::{ConfigError, PackageError};
use cultivar_core::tokenizer::TokenizerError;

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// A format name (in `field`) that exists but does not work yet.
    FormatLater,
    /// A format name (in `field`) that does not exist.
    FormatUnknown,
    /// The package that would be written breaks a rule.
    Package(PackageError),
    /// The configuration that the header describes breaks a rule.
    Config(ConfigError),
    /// The vocabulary breaks a rule.
    Tokenizer(TokenizerError),
}

/// An error of an import. It is met once per import at most, so its detail lies behind a pointer
/// and costs the calls that succeed nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportError(Box<ImportErrorDetail>);

/// A broken rule, the file it was met in, the field it concerns, and up to two numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
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
        match self.kind {
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
            ImportErrorKind::FormatLater => 521,
            ImportErrorKind::FormatUnknown => 522,
            ImportErrorKind::Package(error) => error.code(),
            ImportErrorKind::Config(error) => error.code(),
            ImportErrorKind::Tokenizer(error) => error.code(),
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

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (field, [first, second]) = (self.field.as_str(), self.numbers);
        if !self.file.is_empty() {
            write!(f, "{}: ", self.file)?;
        }
        // Longer than a screen because there is one sentence per rule.
        match self.kind {
            ImportErrorKind::NoSource => f.write_str(
                "no model file was given; give a llama2.c checkpoint and its tokenizer file",
            ),
            ImportErrorKind::TooManySources => {
                write!(
                    f,
                    "{first} files were given; an import takes at most {second}"
                )
            }
            ImportErrorKind::Empty => f.write_str("the file is empty"),
            ImportErrorKind::Unrecognised => f.write_str(
                "not a model file that can be imported; known are llama2.c checkpoints \
                 (version 0) and their tokenizer files",
            ),
            ImportErrorKind::KindLater => {
                write!(f, "{field} files are not supported yet by this version")
            }
            ImportErrorKind::AlreadyPackage => {
                f.write_str("this is a Cultivar package already; open it instead of importing it")
            }
            ImportErrorKind::TokenizerMissing => f.write_str(
                "this llama2.c checkpoint needs its tokenizer file too, e.g. tok512.bin",
            ),
            ImportErrorKind::CheckpointMissing => f.write_str(
                "this llama2.c tokenizer file needs its checkpoint too, e.g. stories260K.bin",
            ),
            ImportErrorKind::TwoOfAKind => {
                write!(f, "a second {field}; an import takes one of each kind")
            }
            ImportErrorKind::Truncated => write!(
                f,
                "the file is cut off: its header calls for {first} bytes, but it has {second}"
            ),
            ImportErrorKind::Trailing => write!(
                f,
                "the header calls for {first} bytes, but the file has {second}: \
                 the header is wrong or something was appended"
            ),
            ImportErrorKind::HeaderField => {
                write!(
                    f,
                    "header field {field} has the impossible value {}",
                    first as i64
                )
            }
            ImportErrorKind::SizesDisagree => write!(
                f,
                "{field} is {first} here but {second} in the other file: they do not fit together"
            ),
            ImportErrorKind::NotFinite => write!(
                f,
                "weight {first} of tensor {field} is infinite or not a number"
            ),
            ImportErrorKind::DoesNotFit => write!(
                f,
                "a weight in row {first} of tensor {field} is too large for the chosen format; \
                 use f32"
            ),
            ImportErrorKind::PieceBroken => {
                write!(
                    f,
                    "piece {first} of the vocabulary is cut off or has an impossible length"
                )
            }
            ImportErrorKind::TooManyPieces => {
                write!(f, "the vocabulary has more than {first} pieces")
            }
            ImportErrorKind::FileTooLarge => {
                write!(
                    f,
                    "the file has {second} bytes; a file of its kind has at most {first}"
                )
            }
            ImportErrorKind::OutOfMemory => write!(f, "out of memory: {first} bytes refused"),
            ImportErrorKind::SupplyLen => {
                write!(
                    f,
                    "{second} bytes arrived where {first} were asked for: did the file change?"
                )
            }
            ImportErrorKind::OutOfOrder => f.write_str("the import was called out of order"),
            ImportErrorKind::FormatLater => {
                write!(f, "format {field} is not supported yet by this version")
            }
            ImportErrorKind::FormatUnknown => {
                write!(
                    f,
                    "there is no format {field}; use keep, f32, f16, q8_0 or q4_0"
                )
            }
            ImportErrorKind::Package(error) => error.fmt(f),
            ImportErrorKind::Config(error) => error.fmt(f),
            ImportErrorKind::Tokenizer(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ImportError {}
