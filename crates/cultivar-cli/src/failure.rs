//! How a command ends when it does not end well: an exit code that scripts rely on, and a message.
//!
//! Codes: 1 the answer is no, 2 usage, 3 bad input file, 4 out of memory or space, 5 stopped. The
//! engine's own error codes are passed on in JSON and never become exit codes.

use cultivar_breed::{BreedError, BreedRule};
use cultivar_core::adapter::{AdapterError, StackError, StackRule};
use cultivar_core::grammar::GrammarErrorKind;
use cultivar_core::kv_cache::{KvError, KvErrorKind};
use cultivar_core::model::{ModelError, ModelErrorKind, OpenError};
use cultivar_core::package::PackageError;
use cultivar_core::session::{SessionError, SessionErrorKind};
use cultivar_core::tokenizer::{TokenizerError, TokenizerErrorKind};
use cultivar_import::{ImportError, ImportErrorKind, LoraError};
use std::io;
use std::path::Path;

/// Why a command failed, as its exit code; 0 and 1 are answers, not failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command line is wrong.
    Usage = 2,
    /// An input file is wrong.
    BadInput = 3,
    /// Memory or space ran out.
    OutOfSpace = 4,
    /// Whoever reads the output went away.
    Stopped = 5,
}

/// A failed command: exit code, message, and the engine's error code where there is one.
#[derive(Debug)]
pub struct Failure {
    /// Exit code of the process.
    pub exit: Exit,
    /// One line for people.
    pub message: String,
    /// The engine's stable code; 0 if the failure is the command's own.
    pub code: i32,
}

impl Failure {
    /// A failure of the command's own.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure {
            exit,
            message: message.into(),
            code: 0,
        }
    }

    /// A wrong command line.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, message)
    }

    /// The same failure, its message preceded by the file it is about.
    pub fn about(mut self, path: &Path) -> Failure {
        self.message = format!("{}: {}", path.display(), self.message);
        self
    }

    /// A file that cannot be read.
    pub fn reading(path: &Path, error: &io::Error) -> Failure {
        let exit = match error.kind() {
            io::ErrorKind::OutOfMemory => Exit::OutOfSpace,
            _ => Exit::BadInput,
        };
        Failure::new(exit, format!("cannot read: {error}")).about(path)
    }

    /// A file that cannot be written.
    pub fn writing(path: &Path, error: &io::Error) -> Failure {
        let exit = match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::OutOfMemory => Exit::OutOfSpace,
            _ => Exit::Usage,
        };
        Failure::new(exit, format!("cannot write: {error}")).about(path)
    }

    /// Standard output that cannot be written: its reader is gone, or its disk is full.
    pub fn printing(error: &io::Error) -> Failure {
        let exit = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Exit::OutOfSpace,
            _ => Exit::Stopped,
        };
        Failure::new(exit, format!("cannot write to standard output: {error}"))
    }

    fn engine(exit: Exit, code: i32, message: String) -> Failure {
        Failure {
            exit,
            message,
            code,
        }
    }
}

impl From<PackageError> for Failure {
    fn from(error: PackageError) -> Failure {
        Failure::engine(Exit::BadInput, error.kind.code(), error.to_string())
    }
}

impl From<AdapterError> for Failure {
    fn from(error: AdapterError) -> Failure {
        Failure::engine(Exit::BadInput, error.code(), error.to_string())
    }
}

impl From<StackError> for Failure {
    fn from(error: StackError) -> Failure {
        let exit = match &error {
            StackError::Adapter(_) => Exit::BadInput,
            StackError::Rule(detail) => match detail.rule {
                StackRule::OutOfMemory => Exit::OutOfSpace,
                StackRule::NotApplicable | StackRule::Fused => Exit::BadInput,
                _ => Exit::Usage,
            },
        };
        Failure::engine(exit, error.code(), error.to_string())
    }
}

impl From<BreedError> for Failure {
    fn from(error: BreedError) -> Failure {
        let exit = match error {
            BreedError::Stack(error) => return Failure::from(error),
            BreedError::Rule { rule, .. } => match rule {
                BreedRule::OutOfMemory => Exit::OutOfSpace,
                BreedRule::NoAdapters
                | BreedRule::WrongCount
                | BreedRule::Parameter
                | BreedRule::TooManyComponents
                | BreedRule::Format => Exit::Usage,
                _ => Exit::BadInput,
            },
            _ => Exit::BadInput,
        };
        Failure::engine(exit, error.code(), error.to_string())
    }
}

impl From<LoraError> for Failure {
    fn from(error: LoraError) -> Failure {
        Failure::engine(Exit::BadInput, error.code(), error.to_string())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Failure {
        Failure::engine(Exit::BadInput, error.code(), error.to_string())
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Failure {
        let exit = match error.kind {
            ModelErrorKind::OutOfMemory(_) => Exit::OutOfSpace,
            ModelErrorKind::Kv(KvError {
                kind: KvErrorKind::OutOfMemory | KvErrorKind::OverBudget,
                ..
            }) => Exit::OutOfSpace,
            ModelErrorKind::UnknownToken(..) => Exit::Usage,
            _ => Exit::BadInput,
        };
        Failure::engine(exit, error.code(), error.to_string())
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Failure {
        let (code, message) = (error.code(), error.to_string());
        match &error.kind {
            SessionErrorKind::Model(error) => Failure::from(error.clone()),
            SessionErrorKind::Grammar(error) if error.kind == GrammarErrorKind::OutOfMemory => {
                Failure::engine(Exit::OutOfSpace, code, message)
            }
            SessionErrorKind::Setting(field, rule) => {
                let flag = field.as_str().replace('_', "-");
                Failure::engine(Exit::Usage, code, format!("--{flag} {rule}"))
            }
            _ => Failure::engine(Exit::Usage, code, message),
        }
    }
}

impl From<TokenizerError> for Failure {
    fn from(error: TokenizerError) -> Failure {
        let exit = match error.kind {
            TokenizerErrorKind::OutOfMemory => Exit::OutOfSpace,
            TokenizerErrorKind::IdRange
            | TokenizerErrorKind::TextTooLong
            | TokenizerErrorKind::BosMissing => Exit::Usage,
            _ => Exit::BadInput,
        };
        Failure::engine(exit, error.code(), error.to_string())
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Failure {
        let exit = match error.kind {
            ImportErrorKind::OutOfMemory => Exit::OutOfSpace,
            ImportErrorKind::RequantizeUnknown
            | ImportErrorKind::FormatUnknown
            | ImportErrorKind::TooManySources => Exit::Usage,
            _ => Exit::BadInput,
        };
        Failure::engine(exit, error.code(), error.to_string())
    }
}
