//! What can go wrong in the key/value cache, with the two numbers that explain it.

use core::fmt;

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvErrorKind {
    /// The sequence was closed, or belongs to another cache.
    UnknownSequence,
    /// A position beyond the sequence's limit was asked for.
    SequenceFull,
    /// A position was used before it was prepared.
    NotPrepared,
    /// A rewind may only shorten a sequence.
    RewindForward,
    /// Memory for the pages could not be had.
    OutOfMemory,
    /// The pages would exceed the budget, even with nothing retained: bytes, budget.
    OverBudget,
}

/// An error of the cache: kind, the number that was given and the limit it met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvError {
    /// The rule that was broken.
    pub kind: KvErrorKind,
    /// The number that was given: a position, a length or an id.
    pub given: u64,
    /// The limit that it met.
    pub limit: u64,
}

impl KvError {
    pub(super) fn new(kind: KvErrorKind, given: u64, limit: u64) -> Self {
        Self { kind, given, limit }
    }

    pub(super) fn memory() -> Self {
        Self::new(KvErrorKind::OutOfMemory, 0, 0)
    }

    /// Stable number of the error, listed in `docs/abi.md`.
    pub fn code(&self) -> i32 {
        match self.kind {
            KvErrorKind::UnknownSequence => 400,
            KvErrorKind::SequenceFull => 401,
            KvErrorKind::NotPrepared => 402,
            KvErrorKind::RewindForward => 403,
            KvErrorKind::OutOfMemory => 404,
            KvErrorKind::OverBudget => 405,
        }
    }
}

impl fmt::Display for KvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (given, limit) = (self.given, self.limit);
        match self.kind {
            KvErrorKind::UnknownSequence => write!(f, "sequence {given} is not open"),
            KvErrorKind::SequenceFull => {
                write!(
                    f,
                    "{given} positions were asked of a sequence that holds {limit}"
                )
            }
            KvErrorKind::NotPrepared => {
                write!(
                    f,
                    "position {given} is used, but only {limit} were prepared"
                )
            }
            KvErrorKind::RewindForward => {
                write!(
                    f,
                    "cannot rewind to {given} tokens: the sequence has only {limit}"
                )
            }
            KvErrorKind::OverBudget => write!(
                f,
                "the key/value cache would take {given} bytes of a budget of {limit}: choose a \
                 shorter context, close sessions or raise the budget"
            ),
            KvErrorKind::OutOfMemory => f.write_str(
                "out of memory for the key/value cache: choose a shorter context or close sessions",
            ),
        }
    }
}
