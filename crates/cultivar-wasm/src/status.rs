//! Status codes of the boundary itself, and the one failure type every verb returns.
//!
//! A verb's result is negative exactly when it failed; the sentence that explains it is kept for
//! `error_text`. Codes 1 to 49 belong to this file and never change their meaning; larger ones
//! come from the layer that refused. Must never carry a host address.

use alloc::boxed::Box;
use core::fmt;
#[cfg(feature = "breeder")]
use cultivar_breed::BreedError;
use cultivar_core::bytes::ShortText;
use cultivar_core::grammar::GrammarError;
use cultivar_core::package::PackageError;
#[cfg(any(feature = "engine", feature = "text"))]
use cultivar_core::tokenizer::TokenizerError;
#[cfg(feature = "engine")]
use cultivar_core::{
    adapter::StackError,
    model::{ModelError, OpenError},
    session::SessionError,
};
#[cfg(any(feature = "breeder", feature = "exporter", feature = "packer"))]
use cultivar_import::ImportError;
#[cfg(feature = "breeder")]
use cultivar_import::LoraError;

/// What the boundary refuses before any engine code runs. `docs/abi.md` and `abi.js` list these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// The handle was closed, or its owner was.
    StaleHandle = 1,
    /// The number is no handle of the kind that this verb takes.
    NotAHandle = 2,
    /// The length is not one that this verb takes, or exceeds the reserved buffer.
    BadLength = 3,
    /// Text in the buffer is not UTF-8.
    BadUtf8 = 4,
    /// Memory could not be had.
    OutOfMemory = 5,
    /// The verb cannot be called in this state; the text names what comes first.
    OutOfOrder = 6,
    /// The most objects of this kind are open already.
    TooMany = 7,
    /// A flag or option is not known.
    UnknownOption = 8,
    /// The JSON in the buffer is malformed, or a value in it has the wrong type or range.
    BadJson = 9,
    /// This module does not compute the same bits as its specification on this machine.
    SelfTest = 10,
}

/// Codes of the layers behind the boundary: first, last, and the kind that hosts call them by.
pub const ERROR_RANGES: &[(i32, i32, &str)] = &[
    (100, 199, "package"),
    (200, 249, "config"),
    (250, 299, "model"),
    (300, 349, "tokenizer"),
    (350, 399, "session"),
    (400, 449, "kv_cache"),
    (450, 499, "adapter"),
    (500, 599, "import"),
    (600, 619, "json"),
    (630, 659, "grammar"),
    (700, 719, "breed"),
];

impl Status {
    /// The number the host sees, without its sign.
    pub fn code(self) -> i32 {
        self as i32
    }
}

/// Why a verb refused; one pointer, as every verb passes it on.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure(Box<Cause>);

/// A boundary status with its detail, or the error of an engine layer.
#[derive(Clone, Debug, PartialEq)]
enum Cause {
    /// The boundary's own refusal: status, a number, and a name where there is one.
    Boundary(Status, i64, ShortText),
    /// A package rule was broken.
    Package(PackageError),
    /// A head that the engine cannot run.
    #[cfg(feature = "engine")]
    Open(OpenError),
    /// Loading or computing failed.
    #[cfg(feature = "engine")]
    Model(ModelError),
    /// Tokenizing failed.
    #[cfg(any(feature = "engine", feature = "text"))]
    Tokenizer(TokenizerError),
    /// A session refused.
    #[cfg(feature = "engine")]
    Session(SessionError),
    /// An adapter, or a stack of them, was refused.
    #[cfg(feature = "engine")]
    Stack(StackError),
    /// An import failed.
    #[cfg(any(feature = "breeder", feature = "exporter", feature = "packer"))]
    Import(ImportError),
    /// An adapter's import failed.
    #[cfg(feature = "breeder")]
    Lora(LoraError),
    /// Merging, extracting, baking or validating failed; the source's name, where one is at fault.
    #[cfg(feature = "breeder")]
    Breed(ShortText, BreedError),
    /// A grammar cannot be compiled, or its table not be read.
    Grammar(GrammarError),
}

impl Failure {
    /// Out of line: failures are made in many places, and never where time counts.
    #[cold]
    #[inline(never)]
    fn new(cause: Cause) -> Failure {
        Failure(Box::new(cause))
    }

    /// A refusal that needs no detail.
    pub fn of(status: Status) -> Failure {
        Failure::number(status, 0)
    }

    /// A refusal about a number.
    pub fn number(status: Status, number: impl Into<i64>) -> Failure {
        Failure::new(Cause::Boundary(status, number.into(), ShortText::EMPTY))
    }

    /// The same refusal with a name: a kind of handle, an option, a verb to call first.
    pub fn named(mut self, text: &str) -> Failure {
        if let Cause::Boundary(_, _, name) = &mut *self.0 {
            *name = ShortText::new(text);
        }
        self
    }

    /// The same error in this source.
    #[cfg(feature = "breeder")]
    pub fn of_source(source: &str, error: BreedError) -> Failure {
        Failure::new(Cause::Breed(ShortText::new(source), error))
    }

    /// The stable positive code; the verb returns its negative.
    pub fn code(&self) -> i32 {
        match &*self.0 {
            Cause::Boundary(status, ..) => status.code(),
            Cause::Package(error) => error.code(),
            #[cfg(feature = "engine")]
            Cause::Open(error) => error.code(),
            #[cfg(feature = "engine")]
            Cause::Model(error) => error.code(),
            #[cfg(any(feature = "engine", feature = "text"))]
            Cause::Tokenizer(error) => error.code(),
            #[cfg(feature = "engine")]
            Cause::Session(error) => error.code(),
            #[cfg(feature = "engine")]
            Cause::Stack(error) => error.code(),
            #[cfg(any(feature = "breeder", feature = "exporter", feature = "packer"))]
            Cause::Import(error) => error.code(),
            #[cfg(feature = "breeder")]
            Cause::Lora(error) => error.code(),
            #[cfg(feature = "breeder")]
            Cause::Breed(_, error) => error.code(),
            Cause::Grammar(error) => error.code(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Cause::Boundary(status, number, name) => {
                boundary_text(f, *status, *number, name.as_str())
            }
            Cause::Package(error) => error.fmt(f),
            #[cfg(feature = "engine")]
            Cause::Open(error) => error.fmt(f),
            #[cfg(feature = "engine")]
            Cause::Model(error) => error.fmt(f),
            #[cfg(any(feature = "engine", feature = "text"))]
            Cause::Tokenizer(error) => error.fmt(f),
            #[cfg(feature = "engine")]
            Cause::Session(error) => error.fmt(f),
            #[cfg(feature = "engine")]
            Cause::Stack(error) => error.fmt(f),
            #[cfg(any(feature = "breeder", feature = "exporter", feature = "packer"))]
            Cause::Import(error) => error.fmt(f),
            #[cfg(feature = "breeder")]
            Cause::Lora(error) => error.fmt(f),
            #[cfg(feature = "breeder")]
            Cause::Breed(source, error) if source.is_empty() => error.fmt(f),
            #[cfg(feature = "breeder")]
            Cause::Breed(source, error) => write!(f, "{source}: {error}"),
            Cause::Grammar(error) => error.fmt(f),
        }
    }
}

fn boundary_text(f: &mut fmt::Formatter<'_>, s: Status, number: i64, name: &str) -> fmt::Result {
    match s {
        Status::StaleHandle => {
            write!(
                f,
                "{name} {number} is closed: open it again and use the new handle"
            )
        }
        Status::NotAHandle => write!(f, "{number} is not the handle of a {name}"),
        Status::BadLength if name.is_empty() => {
            write!(
                f,
                "a length of {number} is not possible here: reserve the buffer first"
            )
        }
        Status::BadLength => write!(f, "a length of {number} is wrong: expected {name}"),
        Status::BadUtf8 => write!(f, "the text is not UTF-8 from byte {number} on"),
        Status::OutOfMemory => write!(
            f,
            "out of memory: {number} bytes could not be had; close other models or sessions"
        ),
        Status::OutOfOrder => write!(f, "this call comes too early or too late: {name}"),
        Status::TooMany => {
            write!(
                f,
                "there can be only {number} open at a time of kind {name}: close one first"
            )
        }
        Status::UnknownOption => write!(f, "unknown option: {name} {number}"),
        Status::BadJson if number > 0 => write!(f, "bad JSON at byte {number}: {name}"),
        Status::BadJson => write!(f, "bad JSON: {name}"),
        Status::SelfTest => write!(
            f,
            "the self test failed at check {number} ({name}): this module does not compute \
             exactly on this machine"
        ),
    }
}

impl From<PackageError> for Failure {
    fn from(error: PackageError) -> Failure {
        Failure::new(Cause::Package(error))
    }
}

#[cfg(feature = "engine")]
impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Failure {
        Failure::new(Cause::Open(error))
    }
}

#[cfg(feature = "engine")]
impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Failure {
        Failure::new(Cause::Model(error))
    }
}

#[cfg(any(feature = "engine", feature = "text"))]
impl From<TokenizerError> for Failure {
    fn from(error: TokenizerError) -> Failure {
        Failure::new(Cause::Tokenizer(error))
    }
}

#[cfg(feature = "engine")]
impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Failure {
        Failure::new(Cause::Session(error))
    }
}

#[cfg(feature = "engine")]
impl From<StackError> for Failure {
    fn from(error: StackError) -> Failure {
        Failure::new(Cause::Stack(error))
    }
}

#[cfg(any(feature = "breeder", feature = "exporter", feature = "packer"))]
impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Failure {
        Failure::new(Cause::Import(error))
    }
}

#[cfg(feature = "breeder")]
impl From<LoraError> for Failure {
    fn from(error: LoraError) -> Failure {
        Failure::new(Cause::Lora(error))
    }
}

#[cfg(feature = "breeder")]
impl From<BreedError> for Failure {
    fn from(error: BreedError) -> Failure {
        Failure::new(Cause::Breed(ShortText::EMPTY, error))
    }
}

impl From<GrammarError> for Failure {
    fn from(error: GrammarError) -> Failure {
        Failure::new(Cause::Grammar(error))
    }
}
