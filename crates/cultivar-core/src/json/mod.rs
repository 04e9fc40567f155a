//! JSON: a canonical writer for what the engine reports and a strict reader for what it is told.
//!
//! RFC 8259 without extensions. The writer keeps the order of calls and prints every number in one
//! way, so that the same report is the same bytes everywhere; the reader refuses what parsers are
//! known to disagree about: lone surrogates, deep nesting, numbers out of range and, where it is
//! ours or says where bytes lie, keys that stand twice.

mod decimal;
mod error;
mod long;
mod number;
mod reader;
mod shortest;
mod value;
mod writer;

pub use error::{JsonError, JsonErrorKind};
pub use number::{NumberText, f64_text};
pub use reader::{DEPTH_MAX, parse, parse_unique};
pub use value::JsonValue;
pub use writer::JsonWriter;
