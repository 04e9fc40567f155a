//! What can go wrong in a session, with the numbers or the field that explain it.

use crate::bytes::ShortText;
use crate::grammar::GrammarError;
use crate::json::JsonError;
use crate::model::ModelError;
use alloc::boxed::Box;
use core::fmt;

/// The rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionErrorKind {
    /// A setting is outside its range: its name and the rule.
    Setting(ShortText, &'static str),
    /// The settings are not JSON.
    Json(JsonError),
    /// More context was asked for than the model has: asked, available.
    ContextTooLong(u32, u32),
    /// A prompt without tokens.
    EmptyPrompt,
    /// A step was asked for before any prompt.
    NotPrompted,
    /// The prompt does not fit: tokens over, and the context.
    PromptTooLong(u64, u64),
    /// A token id is outside the vocabulary: id, size.
    UnknownToken(u32, u32),
    /// Rewinding to this many tokens is impossible: asked, available.
    RewindRange(u64, u64),
    /// The grammar that constrains the output is wrong, or cannot go on.
    Grammar(GrammarError),
    /// The engine has no such stack of adapters.
    NoSuchStack,
    /// The file is no snapshot of a session.
    NotASnapshot,
    /// A snapshot in a layout of this version is unknown.
    SnapshotVersion(u32),
    /// A snapshot was cut short or changed: the byte where that shows.
    SnapshotDamaged(u64),
    /// A replay record lacks a field, or it is of the wrong kind.
    Record(&'static str),
    /// A replay record belongs to something else: what differs.
    RecordOfOther(&'static str),
    /// The prompt of this turn was left out of a record, and none with its hash was given.
    RecordPrompt(u32),
    /// A snapshot belongs to something else: what differs.
    SnapshotOfOther(&'static str),
    /// The model refused.
    Model(ModelError),
}

/// An error of a session: one pointer, as it is passed on in many places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionError(Box<SessionErrorDetail>);

/// What a [`SessionError`] points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionErrorDetail {
    /// The rule that was broken.
    pub kind: SessionErrorKind,
}

impl core::ops::Deref for SessionError {
    type Target = SessionErrorDetail;

    fn deref(&self) -> &SessionErrorDetail {
        &self.0
    }
}

impl SessionError {
    #[cold]
    #[inline(never)]
    pub(super) fn new(kind: SessionErrorKind) -> Self {
        SessionError(Box::new(SessionErrorDetail { kind }))
    }

    pub(super) fn setting(field: &str, rule: &'static str) -> Self {
        Self::new(SessionErrorKind::Setting(ShortText::new(field), rule))
    }

    /// Stable number of the error, listed in `docs/abi.md`.
    pub fn code(&self) -> i32 {
        match &self.kind {
            SessionErrorKind::Setting(..) => 350,
            SessionErrorKind::ContextTooLong(..) => 351,
            SessionErrorKind::EmptyPrompt => 352,
            SessionErrorKind::NotPrompted => 353,
            SessionErrorKind::PromptTooLong(..) => 354,
            SessionErrorKind::UnknownToken(..) => 355,
            SessionErrorKind::RewindRange(..) => 356,
            SessionErrorKind::NoSuchStack => 357,
            SessionErrorKind::NotASnapshot => 358,
            SessionErrorKind::SnapshotVersion(_) => 359,
            SessionErrorKind::SnapshotDamaged(_) => 360,
            SessionErrorKind::SnapshotOfOther(_) => 361,
            SessionErrorKind::Record(_) => 362,
            SessionErrorKind::RecordOfOther(_) => 363,
            SessionErrorKind::RecordPrompt(_) => 364,
            SessionErrorKind::Json(error) => error.code(),
            SessionErrorKind::Grammar(error) => error.code(),
            SessionErrorKind::Model(error) => error.code(),
        }
    }
}

impl From<ModelError> for SessionError {
    fn from(error: ModelError) -> Self {
        Self::new(SessionErrorKind::Model(error))
    }
}

impl From<JsonError> for SessionError {
    fn from(error: JsonError) -> Self {
        Self::new(SessionErrorKind::Json(error))
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            SessionErrorKind::Setting(field, rule) => {
                write!(f, "{} {rule}", field.as_str())
            }
            SessionErrorKind::Json(error) => error.fmt(f),
            SessionErrorKind::ContextTooLong(asked, available) => {
                write!(
                    f,
                    "context_len is {asked}, but the model was made for {available}"
                )
            }
            SessionErrorKind::EmptyPrompt => {
                f.write_str("the prompt has no tokens: give some text, or a token id")
            }
            SessionErrorKind::NotPrompted => f.write_str("the session has no prompt yet"),
            SessionErrorKind::PromptTooLong(over, context) => write!(
                f,
                "the prompt is {over} tokens too long for the context of {context}: shorten it"
            ),
            SessionErrorKind::UnknownToken(id, vocab_size) => {
                write!(f, "token {id} is outside the vocabulary of {vocab_size}")
            }
            SessionErrorKind::RewindRange(asked, available) => {
                write!(
                    f,
                    "cannot rewind to {asked} tokens: there are {available}, and at least 1"
                )
            }
            SessionErrorKind::Grammar(error) => error.fmt(f),
            SessionErrorKind::NoSuchStack => {
                f.write_str("the engine has no such stack of adapters")
            }
            SessionErrorKind::NotASnapshot => f.write_str("this is no snapshot of a session"),
            SessionErrorKind::SnapshotVersion(version) => {
                write!(
                    f,
                    "snapshots of version {version} are unknown: use the other's program"
                )
            }
            SessionErrorKind::SnapshotDamaged(at) => write!(
                f,
                "the snapshot was cut short or changed, as byte {at} shows: get it again"
            ),
            SessionErrorKind::SnapshotOfOther(what) => write!(
                f,
                "the snapshot was made with another {what}: open what it was made with"
            ),
            SessionErrorKind::Record(field) => {
                write!(
                    f,
                    "this is no replay record: its {field} is missing or wrong"
                )
            }
            SessionErrorKind::RecordOfOther(what) => write!(
                f,
                "the record was made with another {what}: open what it was made with"
            ),
            SessionErrorKind::RecordPrompt(turn) => write!(
                f,
                "the record leaves out prompt {}: give the one that it was made with",
                turn + 1
            ),
            SessionErrorKind::Model(error) => error.fmt(f),
        }
    }
}
