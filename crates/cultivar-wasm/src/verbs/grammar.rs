//! Grammar verb: a constraint's text becomes the table that an engine matches.
//!
//! Compiling is done once per text and away from the engine, whose module has no compiler.

use crate::exports::exports;
use crate::host::Host;
use crate::status::{Failure, Status};
use cultivar_core::grammar::GrammarSource;

impl Host {
    /// Compiles the constraint (JSON) in the buffer and writes its table there.
    pub fn grammar_compile(&mut self, len: u32) -> Result<i32, Failure> {
        let value = self.buffer.json(len)?;
        let wrong =
            Failure::of(Status::BadJson).named("give json, json_schema or gbnf, up to 1 MiB");
        let source = GrammarSource::from_value(&value).ok_or(wrong)?;
        self.buffer.put(&source.compile()?)
    }
}

exports! {
    /// Compiles `len` bytes of JSON, as the setting `constraint` has them; answers the bytes of
    /// the table in the buffer, which `session_constraint` takes.
    fn grammar_compile(len: u32) -> status;
}
