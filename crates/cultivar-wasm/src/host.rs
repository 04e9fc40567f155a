//! The boundary as one safe object: everything that handles name, the shared buffer, and the
//! sentence about the last refusal. The exported functions are thin calls of its methods.
//!
//! Must never be reached from two places at once; `exports.rs` sees to that.

use crate::buffer::Buffer;
use crate::handles::{Kind, Table};
use crate::status::Failure;
#[cfg(feature = "exporter")]
use crate::verbs::export::ExportSlot;
#[cfg(feature = "packer")]
use crate::verbs::import::ImportSlot;
#[cfg(feature = "breeder")]
use crate::verbs::job::JobSlot;
#[cfg(feature = "text")]
use crate::verbs::text::TextSlot;
#[cfg(feature = "engine")]
use crate::verbs::{
    adapter::AdapterSlot, package::PackageSlot, record::ReplaySlot, session::SessionSlot,
};
use alloc::string::String;
use core::fmt::Write;

/// Models resident at a time: far above what memory allows, low enough to find a leak by name.
#[cfg(any(feature = "engine", feature = "text"))]
const N_PACKAGES_MAX: usize = 64;
/// Sessions open at a time.
#[cfg(feature = "engine")]
const N_SESSIONS_MAX: usize = 1024;
/// Records being replayed at a time.
#[cfg(feature = "engine")]
const N_REPLAYS_MAX: usize = 16;
/// Adapters open at a time.
#[cfg(feature = "engine")]
const N_ADAPTERS_MAX: usize = 256;
/// Imports running at a time.
#[cfg(feature = "packer")]
const N_IMPORTS_MAX: usize = 8;
/// Exports running at a time.
#[cfg(feature = "exporter")]
const N_EXPORTS_MAX: usize = 8;
/// Jobs running at a time.
#[cfg(feature = "breeder")]
const N_JOBS_MAX: usize = 8;
/// Longest sentence kept about a refusal; its memory is taken before the first one.
const ERROR_TEXT_BYTES: usize = 1024;

/// Everything behind the boundary.
pub struct Host {
    /// What passes between host and module.
    pub buffer: Buffer,
    #[cfg(feature = "engine")]
    pub(crate) packages: Table<PackageSlot>,
    #[cfg(feature = "engine")]
    pub(crate) sessions: Table<SessionSlot>,
    #[cfg(feature = "engine")]
    pub(crate) replays: Table<ReplaySlot>,
    #[cfg(feature = "engine")]
    pub(crate) adapters: Table<AdapterSlot>,
    #[cfg(feature = "text")]
    pub(crate) texts: Table<TextSlot>,
    #[cfg(feature = "packer")]
    pub(crate) imports: Table<ImportSlot>,
    #[cfg(feature = "exporter")]
    pub(crate) exporters: Table<ExportSlot>,
    #[cfg(feature = "breeder")]
    pub(crate) jobs: Table<JobSlot>,
    error_code: i32,
    error_text: String,
}

impl Host {
    /// Nothing open, nothing allocated.
    pub const fn new() -> Host {
        Host {
            buffer: Buffer::new(),
            #[cfg(feature = "engine")]
            packages: Table::new(Kind::Package, N_PACKAGES_MAX),
            #[cfg(feature = "engine")]
            sessions: Table::new(Kind::Session, N_SESSIONS_MAX),
            #[cfg(feature = "engine")]
            replays: Table::new(Kind::Replay, N_REPLAYS_MAX),
            #[cfg(feature = "engine")]
            adapters: Table::new(Kind::Adapter, N_ADAPTERS_MAX),
            #[cfg(feature = "text")]
            texts: Table::new(Kind::Text, N_PACKAGES_MAX),
            #[cfg(feature = "packer")]
            imports: Table::new(Kind::Import, N_IMPORTS_MAX),
            #[cfg(feature = "exporter")]
            exporters: Table::new(Kind::Export, N_EXPORTS_MAX),
            #[cfg(feature = "breeder")]
            jobs: Table::new(Kind::Job, N_JOBS_MAX),
            error_code: 0,
            error_text: String::new(),
        }
    }

    /// Turns a verb's result into a status, and keeps the sentence of a refusal.
    pub fn settle(&mut self, result: Result<i32, Failure>) -> i32 {
        match result {
            Ok(value) => value,
            Err(failure) => {
                self.refuse(&failure);
                -failure.code()
            }
        }
    }

    /// The same for verbs that answer with an address, where 0 says that it was refused.
    pub fn settle_ptr(&mut self, result: Result<*const u8, Failure>) -> u32 {
        match result {
            // Addresses have 32 bits in the module; natively nobody uses this number.
            Ok(ptr) => ptr.addr() as u32,
            Err(failure) => {
                self.refuse(&failure);
                0
            }
        }
    }

    /// Code of the last refusal, positive; 0 before the first.
    pub fn last_error(&self) -> (i32, &str) {
        (self.error_code, &self.error_text)
    }

    fn refuse(&mut self, failure: &Failure) {
        self.error_code = failure.code();
        self.error_text.clear();
        if self.error_text.try_reserve(ERROR_TEXT_BYTES).is_ok() {
            // `Bounded` cuts the sentence instead of failing, so there is no error to pass on.
            let _ = write!(Bounded(&mut self.error_text), "{failure}");
        }
    }
}

impl Default for Host {
    fn default() -> Host {
        Host::new()
    }
}

/// Writes at most what was reserved, in whole characters.
struct Bounded<'a>(&'a mut String);

impl Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for c in text.chars() {
            if self.0.len() + c.len_utf8() <= ERROR_TEXT_BYTES {
                self.0.push(c);
            }
        }
        Ok(())
    }
}
