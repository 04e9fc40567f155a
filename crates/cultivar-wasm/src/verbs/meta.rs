//! Meta verbs: version, engine, the reason of the last refusal, memory.
//!
//! They change nothing and work in every state.

use crate::exports::exports;
use crate::host::Host;
use crate::status::Failure;
use cultivar_core::json::JsonWriter;
use cultivar_core::kernels::{Backend, backend_name};
use cultivar_core::model::NUMERICS_VERSION;

/// Version of the export table; it changes when a call that worked would no longer.
pub const ABI_VERSION: i32 = 2;

impl Host {
    fn abi_version(&mut self) -> Result<i32, Failure> {
        Ok(ABI_VERSION)
    }

    /// Writes what this module is, as JSON.
    pub fn engine_info(&mut self) -> Result<i32, Failure> {
        let mut json = JsonWriter::new();
        json.begin_object();
        json.field_str("schema", "cultivar.engine.v1");
        json.field_str("version", env!("CARGO_PKG_VERSION"));
        json.field_u64("abi_version", ABI_VERSION as u64);
        json.field_u64("numerics_version", u64::from(NUMERICS_VERSION));
        json.field_str("backend", backend_name(Backend::Fast));
        json.end_object();
        self.buffer.put(json.finish().as_bytes())
    }

    /// Writes the sentence about the last refusal.
    pub fn error_text(&mut self) -> Result<i32, Failure> {
        let (_, text) = self.last_error();
        let text = alloc::string::String::from(text);
        self.buffer.put(text.as_bytes())
    }

    /// The code of the last refusal, positive.
    pub fn error_code(&mut self) -> Result<i32, Failure> {
        Ok(self.last_error().0)
    }

    /// Writes the memory figures, as JSON.
    pub fn memory_stats(&mut self) -> Result<i32, Failure> {
        let (heap, memory_bytes) = crate::memory_figures();
        let mut json = JsonWriter::new();
        json.begin_object();
        json.field_str("schema", "cultivar.memory.v1");
        json.field_u64("used_bytes", heap.used_bytes as u64);
        json.field_u64("peak_bytes", heap.peak_bytes as u64);
        json.field_u64("heap_bytes", heap.heap_bytes as u64);
        json.field_u64("memory_bytes", memory_bytes as u64);
        json.end_object();
        self.buffer.put(json.finish().as_bytes())
    }

    fn memory_reset_peak(&mut self) -> Result<i32, Failure> {
        crate::reset_memory_peak();
        Ok(0)
    }
}

exports! {
    /// Version of this table; the host refuses a module whose version it does not know.
    fn abi_version() -> status;
    /// JSON `cultivar.engine.v1` into the buffer; answers its bytes.
    fn engine_info() -> status;
    /// Sentence about the last refusal into the buffer; answers its bytes.
    fn error_text() -> status;
    /// Positive code of the last refusal, for verbs that answer an address; 0 before the first.
    fn error_code() -> status;
    /// JSON `cultivar.memory.v1` into the buffer: bytes used now and at the peak; answers bytes.
    fn memory_stats() -> status;
    /// Starts a new measurement of the peak.
    fn memory_reset_peak() -> status;
}
