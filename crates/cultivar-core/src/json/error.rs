//! What can be wrong with JSON text, and where. Nothing here owns a string.

use core::fmt;

/// The rule that the text broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonErrorKind {
    /// The text ends inside a value.
    UnexpectedEnd,
    /// A byte that cannot stand here.
    UnexpectedByte,
    /// Something other than white space follows the value.
    Trailing,
    /// The bytes are not UTF-8.
    NotUtf8,
    /// A control character stands unescaped in a string.
    ControlCharacter,
    /// An escape that JSON does not know.
    BadEscape,
    /// An escaped surrogate without its other half.
    LoneSurrogate,
    /// A number that is not written as JSON wants it.
    BadNumber,
    /// A number beyond what a 64-bit float can hold.
    NumberRange,
    /// A key that stands twice in one object; only of `parse_unique`.
    DuplicateKey,
    /// Arrays and objects nested more deeply than allowed.
    TooDeep,
}

/// The first thing that is wrong with a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// The rule that was broken.
    pub kind: JsonErrorKind,
    /// The byte of the text where it was broken.
    pub offset: usize,
}

impl JsonError {
    /// The stable number of this kind of error (600 to 619).
    pub const fn code(&self) -> i32 {
        match self.kind {
            JsonErrorKind::UnexpectedEnd => 600,
            JsonErrorKind::UnexpectedByte => 601,
            JsonErrorKind::Trailing => 602,
            JsonErrorKind::NotUtf8 => 603,
            JsonErrorKind::ControlCharacter => 604,
            JsonErrorKind::BadEscape => 605,
            JsonErrorKind::LoneSurrogate => 606,
            JsonErrorKind::BadNumber => 607,
            JsonErrorKind::NumberRange => 608,
            JsonErrorKind::DuplicateKey => 609,
            JsonErrorKind::TooDeep => 610,
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.kind {
            JsonErrorKind::UnexpectedEnd => "the text ends inside a value",
            JsonErrorKind::UnexpectedByte => "this character cannot stand here",
            JsonErrorKind::Trailing => "something follows the value",
            JsonErrorKind::NotUtf8 => "the bytes are not UTF-8",
            JsonErrorKind::ControlCharacter => "a control character in a string must be escaped",
            JsonErrorKind::BadEscape => "this escape is unknown",
            JsonErrorKind::LoneSurrogate => "an escaped surrogate lacks its other half",
            JsonErrorKind::BadNumber => "this is not how JSON writes a number",
            JsonErrorKind::NumberRange => "this number is beyond what a 64-bit float holds",
            JsonErrorKind::DuplicateKey => "this key stands twice in one object",
            JsonErrorKind::TooDeep => "arrays and objects are nested too deeply",
        };
        write!(
            f,
            "The JSON is not valid at byte {}: {reason}.",
            self.offset
        )
    }
}
