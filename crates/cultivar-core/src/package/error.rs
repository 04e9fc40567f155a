//! What can be wrong with a package: the rule, the section, the byte and the name at fault.
//!
//! One pointer to a value of fixed size, so that a `Result` stays in a register and passing an
//! error on costs no code; nothing here owns a string. Every variant has a hostile package in the
//! tests that provokes it. Codes are stable: they are the boundary's status codes.

use super::config_error::ConfigErrorKind;
use super::section_table::SectionId;
use crate::bytes::{ShortText, UnexpectedEnd};
use crate::tensor::{TensorError, TensorErrorKind};
use alloc::boxed::Box;
use core::fmt;

/// Declares the kinds with their code and the rule as a sentence.
macro_rules! package_errors {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $reason:literal;)*) => {
        /// The rule that a package broke.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum PackageErrorKind {
            $(#[doc = $reason] $(#[$doc])* $variant,)*
            /// The model's configuration is not valid; codes 200 to 249.
            Config(ConfigErrorKind),
            /// A tensor's stored bytes are not valid for its format; codes 170 to 173.
            Payload(TensorError),
        }

        impl PackageErrorKind {
            /// The kinds that carry nothing, in the order of their codes.
            pub const PLAIN: &'static [PackageErrorKind] = &[$(PackageErrorKind::$variant,)*];

            /// The stable number of this kind of error.
            pub const fn code(self) -> i32 {
                match self {
                    $(PackageErrorKind::$variant => $code,)*
                    PackageErrorKind::Config(kind) => kind.code(),
                    PackageErrorKind::Payload(error) => match error.kind {
                        TensorErrorKind::Shape => 170,
                        TensorErrorKind::Length => 171,
                        TensorErrorKind::NotFinite => 172,
                        TensorErrorKind::Padding => 173,
                    },
                }
            }

            /// The rule that was broken, as a sentence without its full stop.
            pub const fn reason(self) -> &'static str {
                match self {
                    $(PackageErrorKind::$variant => $reason,)*
                    PackageErrorKind::Config(kind) => kind.reason(),
                    PackageErrorKind::Payload(_) => "A tensor holds values that its format forbids",
                }
            }
        }
    };
}

package_errors! {
    TooShort = 100, "The file is shorter than a package's header of 64 bytes";
    BadMagic = 101, "The file does not begin with the magic bytes of a Cultivar package";
    UnsupportedVersion = 102, "The package has a format version that this version cannot read";
    UnknownKind = 103, "The package is neither a model nor an adapter";
    WrongKind = 104, "The package is of another kind than is wanted here (model or adapter)";
    ReservedNotZero = 105, "A reserved field is not zero";
    FileLength = 106, "The file's length is not what its header says; it is truncated or has grown";
    FileTooLarge = 107, "The package is larger than 3.5 GiB";
    SectionCount = 108, "A package has 1 to 64 sections";
    HeadBytes = 109, "The header's head_bytes is not the place where the tensor data begins";
    HeadTooLarge = 110, "The part before the tensor data is larger than 256 MiB";
    HeadLength = 111, "The bytes given are not exactly the part before the tensor data";
    HeaderDigest = 112, "The header and section table do not have the digest in the header";
    SectionOrder = 113, "Sections do not stand in strictly ascending order of their ids";
    SectionFlags = 114, "A section has flags that do not exist or that its id does not have";
    UnknownSection = 115, "The package requires a section that this version does not know";
    SectionNotAllowed = 116, "This kind of package must not have such a section";
    MissingSection = 117, "A section that every package of this kind has is missing";
    SectionOffset = 118, "A section does not begin at the first multiple of 64 behind the last one";
    SectionLength = 119, "A section is empty or reaches past the end of the file";
    TrailingBytes = 120, "Bytes follow the last section";
    PaddingNotZero = 121, "Padding between sections or tensors is not zero";
    SectionDigest = 122, "A section's bytes do not have the digest in the section table";
    TensorDataDigest = 123, "The tensor data's digest is not that of the tensor directory";
    TailLength = 124, "The bytes given are not exactly the part behind the tensor data";
    TailTooLarge = 125, "The part behind the tensor data is larger than 64 MiB";
    UnexpectedEnd = 126, "The section ends inside a value";
    SectionTrailing = 127, "Bytes follow the last value of the section";
    RecordCount = 128, "The section does not have 1 to 4096 records, or fewer bytes than they need";
    BadKey = 129, "A record's key is not 1 to 64 characters of a-z, 0-9, underscore and full stop";
    KeyOrder = 130, "Records do not stand in strictly ascending order of their keys";
    UnknownValueKind = 131, "A record's value has a kind that does not exist";
    ValueLength = 132, "A record's value has a length that its kind cannot have";
    BadBool = 133, "A truth value is neither 0 nor 1";
    NotFinite = 134, "A number is infinite, not a number or a negative zero where that is refused";
    NotUtf8 = 135, "A text is not UTF-8";
    UnknownKey = 136, "The section has an option that this version does not know";
    MissingKey = 137, "A required option is missing";
    WrongValueKind = 138, "An option's value is of another kind than the option has";
    RedundantDefault = 139, "An option is stored although it has its default value";
    UnknownChoice = 140, "An option has a value that this version does not know";
    ValueRange = 141, "An option's value is outside its range";
    VocabSize = 142, "The tokenizer does not have exactly vocab_size ids";
    PieceTooLong = 143, "A piece of the vocabulary is longer than 1024 bytes";
    TokenizerList = 144, "A list of the tokenizer does not have one element per piece";
    TokenId = 145, "A special id is outside the vocabulary, or ids are not strictly ascending";
    TensorCount = 146, "A package has 1 to 65536 tensors, all of them in its directory";
    TensorName = 147, "A tensor's name is not 1 to 256 characters of A-Z, a-z, 0-9 and _ . # -";
    TensorOrder = 148, "Tensors do not stand in strictly ascending order of their names";
    UnknownFormat = 149, "A tensor has a dtype or layout that this version does not know";
    TensorDims = 150, "A tensor does not have 1 to 4 dimensions of 1 to 2^31 - 1";
    TensorOffset = 151, "A tensor does not begin at the first multiple of 64 behind the last one";
    TensorBytes = 152, "A tensor's length is not what its shape and format need";
    TensorTooLarge = 153, "A tensor is larger than 2^31 - 1 bytes, or its size cannot be counted";
    TensorDataLength = 154, "The tensor data does not end where the last tensor ends";
    MissingTensor = 155, "A tensor that the configuration needs is missing";
    UnexpectedTensor = 156, "The configuration has no place for this tensor";
    TensorShape = 157, "A tensor has another shape than the configuration gives it";
    TensorDtype = 158, "A tensor has a dtype that its role does not allow";
    TensorDigest = 159, "A tensor's bytes do not have the digest in the directory";
    MissingDigest = 160, "A tensor's digest was not set before the package was finished";
    TailSections = 161, "The sections given at the end are not those that were announced";
    TensorBlocks = 162, "A tensor's rows are not whole blocks of its format";
}

/// The first thing that is wrong with a package.
#[derive(Clone, PartialEq, Eq)]
pub struct PackageError(Box<PackageErrorDetail>);

/// What a [`PackageError`] points to.
#[derive(Clone, PartialEq, Eq)]
pub struct PackageErrorDetail {
    /// The rule that was broken.
    pub kind: PackageErrorKind,
    /// The section at fault; `None` for the header and the section table.
    pub section: Option<SectionId>,
    /// The byte of the file where the value at fault begins.
    pub offset: u64,
    /// The option, tensor or section id at fault; empty if there is none.
    pub name: ShortText,
}

impl core::ops::Deref for PackageError {
    type Target = PackageErrorDetail;

    fn deref(&self) -> &PackageErrorDetail {
        &self.0
    }
}

impl PackageError {
    /// An error in the header or the section table.
    pub fn at(kind: PackageErrorKind, offset: u64) -> Self {
        PackageError::new(kind, None, offset)
    }

    /// An error in a section.
    pub fn within(kind: PackageErrorKind, section: SectionId, offset: u64) -> Self {
        PackageError::new(kind, Some(section), offset)
    }

    /// Out of line: errors are made in hundreds of places and never where time counts.
    #[cold]
    #[inline(never)]
    fn new(kind: PackageErrorKind, section: Option<SectionId>, offset: u64) -> Self {
        PackageError(Box::new(PackageErrorDetail {
            kind,
            section,
            offset,
            name: ShortText::EMPTY,
        }))
    }

    /// The same error, naming an option or a tensor.
    pub fn named(mut self, name: impl Into<ShortText>) -> Self {
        self.0.name = name.into();
        self
    }

    /// The stable number of this kind of error: 100 to 249.
    pub fn code(&self) -> i32 {
        self.kind.code()
    }

    /// A section's bytes ended too early.
    pub(crate) fn ended(end: UnexpectedEnd, section: SectionId) -> Self {
        PackageError::within(PackageErrorKind::UnexpectedEnd, section, end.offset)
    }
}

impl fmt::Display for PackageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            PackageErrorKind::Config(kind) => {
                write!(f, "The model's option {} {}", self.name, kind.reason())?;
            }
            PackageErrorKind::Payload(error) => {
                write!(f, "The tensor \"{}\" is not valid: {error}", self.name)?;
            }
            kind => {
                f.write_str(kind.reason())?;
                if !self.name.is_empty() {
                    write!(f, ": {}", self.name)?;
                }
            }
        }
        match self.section {
            Some(section) => write!(f, " (section {section}, byte {}).", self.offset),
            None => write!(f, " (header, byte {}).", self.offset),
        }
    }
}

impl fmt::Debug for PackageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} [{}] {self}", self.kind, self.code())
    }
}
