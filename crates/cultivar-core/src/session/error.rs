//! What can go wrong in a session, with the numbers or the field that explain it.

use crate::bytes::ShortText;
use crate::grammar::GrammarError;
use crate::json::JsonError;
use crate::model::ModelError;
use core::fmt;

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The model refused.
    Model(ModelError),
}

/// An error of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionError {
    /// The rule that was broken.
    pub kind: SessionErrorKind,
}

impl SessionError {
    pub(super) fn new(kind: SessionErrorKind) -> Self {
        Self { kind }
    }

    pub(super) fn setting(field: &str, rule: &'static str) -> Self {
        Self::new(SessionErrorKind::Setting(ShortText::new(field), rule))
    }

    /// Stable number of the error, listed in `docs/abi.md`.
    pub fn code(&self) -> i32 {
        match self.kind {
            SessionErrorKind::Setting(..) => 350,
            SessionErrorKind::ContextTooLong(..) => 351,
            SessionErrorKind::EmptyPrompt => 352,
            SessionErrorKind::NotPrompted => 353,
            SessionErrorKind::PromptTooLong(..) => 354,
            SessionErrorKind::UnknownToken(..) => 355,
            SessionErrorKind::RewindRange(..) => 356,
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
        match self.kind {
            SessionErrorKind::Setting(field, rule) => {
                write!(f, "{} {rule}", field.as_str())
            }
            SessionErrorKind::Json(error) => write!(f, "settings: {error}"),
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
            SessionErrorKind::Model(error) => error.fmt(f),
        }
    }
}
