//! Package verbs: a model arrives piece by piece, is verified, and becomes an engine.
//!
//! The order is begin, head, tensors, tail, finish; every step checks what came before, and
//! nothing that is already open is touched by a package that turns out bad. Tensors are written
//! by the host straight into their final buffers; digests are compared here, whoever computed.

use crate::buffer::out_of_order;
use crate::exports::exports;
use crate::host::Host;
use crate::status::{Failure, Status};
use alloc::boxed::Box;
use cultivar_core::digest::Digest;
use cultivar_core::grammar::Grammar;
use cultivar_core::json::JsonWriter;
use cultivar_core::kv_cache::KvBudget;
use cultivar_core::model::{Engine, EngineOptions, ModelBuilder, card_json};
use cultivar_core::package::{HEADER_BYTES, Head, Header, Tail};
use cultivar_core::session::LoadTimes;
use cultivar_core::tokenizer::Detokenizer;

/// A package, from its first bytes to a running engine.
pub struct PackageSlot {
    pub(crate) state: PackageState,
    pub(crate) tail: Option<Tail>,
    pub(crate) load: LoadTimes,
    /// Counts what the engine computed, since all sessions share one workspace: a session whose
    /// logits came from this batch still finds them there.
    pub(crate) n_batches: u64,
}

/// How far a package has come.
pub enum PackageState {
    /// The header is read.
    Begun(Header),
    /// The head is read; tensors and tail are arriving.
    Loading(Box<ModelBuilder>),
    /// Ready for sessions.
    Open(Box<Engine>),
    /// The engine could not be made; only closing is left.
    Failed,
}

impl PackageSlot {
    /// The builder, while tensors arrive.
    fn builder(&mut self) -> Result<&mut ModelBuilder, Failure> {
        match &mut self.state {
            PackageState::Loading(builder) => Ok(builder),
            PackageState::Begun(_) => Err(out_of_order("package_head comes first")),
            PackageState::Open(_) => Err(out_of_order("the package is open already")),
            PackageState::Failed => Err(out_of_order("the package failed to open")),
        }
    }

    /// The engine, once the package is open.
    pub(crate) fn engine(&mut self) -> Result<&mut Engine, Failure> {
        match &mut self.state {
            PackageState::Open(engine) => Ok(engine),
            _ => Err(out_of_order("the package is not open yet")),
        }
    }

    /// What the package says of itself, once its head is read.
    pub(crate) fn head(&self) -> Result<&Head, Failure> {
        match &self.state {
            PackageState::Loading(builder) => Ok(builder.head()),
            PackageState::Open(engine) => Ok(&engine.model.head),
            _ => Err(out_of_order("package_head comes first")),
        }
    }

    /// The package's tokenizer, once its head is read.
    pub(crate) fn tokenizer(&self) -> Result<&Detokenizer, Failure> {
        match &self.state {
            PackageState::Loading(builder) => Ok(builder.tokenizer()),
            PackageState::Open(engine) => Ok(&engine.model.tokenizer),
            _ => Err(out_of_order("package_head comes first")),
        }
    }
}

impl Host {
    /// Begins a package from the header in the buffer; answers its handle.
    pub fn package_begin(&mut self, len: u32, file_bytes: f64) -> Result<i32, Failure> {
        if len as usize > HEADER_BYTES {
            return Err(Failure::number(Status::BadLength, len).named("at most 64"));
        }
        // NaN and negative numbers become 0 here, which no header states.
        let header = Header::of_file(self.buffer.read(len)?, file_bytes as u64)?;
        let slot = PackageSlot {
            state: PackageState::Begun(header),
            tail: None,
            load: LoadTimes::default(),
            n_batches: 1,
        };
        self.packages
            .insert(Box::new(slot))
            .map_err(|(failure, _)| failure)
    }

    /// Bytes before the tensors, the header included.
    pub fn package_head_bytes(&mut self, package: i32) -> Result<i32, Failure> {
        match &self.packages.get(package)?.state {
            PackageState::Begun(header) => Ok(header.head_bytes as i32),
            _ => Err(out_of_order("the head is read already")),
        }
    }

    /// Reads the head from the buffer.
    pub fn package_head(&mut self, package: i32, len: u32) -> Result<i32, Failure> {
        let slot = self.packages.get_mut(package)?;
        let PackageState::Begun(header) = &slot.state else {
            return Err(out_of_order("the head is read already"));
        };
        let head = Head::parse(self.buffer.read(len)?, header.file_bytes)?;
        let builder = ModelBuilder::new(head)?;
        let n_tensors = builder.n_tensors();
        slot.state = PackageState::Loading(Box::new(builder));
        Ok(n_tensors as i32)
    }

    /// Writes the card.
    pub fn package_describe(&mut self, package: i32) -> Result<i32, Failure> {
        let slot = self.packages.get(package)?;
        let json = card_json(slot.head()?, slot.tail.as_ref());
        self.buffer.put(json.as_bytes())
    }

    /// Allocates the buffer of a tensor and answers its address.
    pub fn package_tensor_ptr(&mut self, package: i32, idx: u32) -> Result<*const u8, Failure> {
        Ok(self.tensor_buffer(package, idx)?.as_ptr())
    }

    /// The buffer of a tensor, to be filled with the file's bytes from the tensor's offset on.
    pub fn tensor_buffer(&mut self, package: i32, idx: u32) -> Result<&mut [u8], Failure> {
        let builder = self.packages.get_mut(package)?.builder()?;
        Ok(builder.buffer(idx as usize)?)
    }

    /// Compares the 32 bytes in the buffer with the stored digest of a tensor.
    pub fn package_tensor_digest(&mut self, package: i32, idx: u32) -> Result<i32, Failure> {
        let builder = self.packages.get_mut(package)?.builder()?;
        let digest = Digest(*self.buffer.array::<32>()?);
        builder.accept_digest(idx as usize, &digest)?;
        Ok(0)
    }

    /// Hashes a tensor, `budget_bytes` at a time.
    pub fn package_tensor_verify_step(
        &mut self,
        package: i32,
        idx: u32,
        budget_bytes: u32,
    ) -> Result<i32, Failure> {
        let builder = self.packages.get_mut(package)?.builder()?;
        let left = builder.verify_step(idx as usize, budget_bytes as usize)?;
        Ok(clamp(left as u64))
    }

    /// Reads what stands behind the tensors from the buffer.
    pub fn package_tail(&mut self, package: i32, len: u32) -> Result<i32, Failure> {
        let slot = self.packages.get_mut(package)?;
        let tail = slot.builder()?.head().parse_tail(self.buffer.read(len)?)?;
        slot.tail = Some(tail);
        Ok(0)
    }

    /// Checks values, `budget_bytes` at a time; with nothing left, the engine is made.
    pub fn package_finish_step(&mut self, package: i32, budget_bytes: u32) -> Result<i32, Failure> {
        let slot = self.packages.get_mut(package)?;
        let left = slot.builder()?.check_step(budget_bytes as usize)?;
        if left > 0 {
            return Ok(clamp(left));
        }
        if slot.tail.is_none() {
            return Err(out_of_order("package_tail comes first"));
        }
        let PackageState::Loading(builder) =
            core::mem::replace(&mut slot.state, PackageState::Failed)
        else {
            return Err(out_of_order("package_head comes first"));
        };
        let engine = Engine::new(builder.finish()?, EngineOptions::default())?;
        slot.state = PackageState::Open(Box::new(engine));
        Ok(0)
    }

    /// Notes how long loading took by the host's clock; it appears in reports.
    pub fn package_note_load_ms(&mut self, package: i32, ms: f64) -> Result<i32, Failure> {
        self.packages.get_mut(package)?.load = LoadTimes { load_ms: ms };
        Ok(0)
    }

    /// Closes a package, its adapters and all of its sessions; answers how many sessions there
    /// were.
    pub fn package_close(&mut self, package: i32) -> Result<i32, Failure> {
        self.packages.remove(package)?;
        self.replays.retain(|replay| replay.package != package);
        self.adapters.retain(|adapter| adapter.package != package);
        let mut n_sessions = 0;
        self.sessions.retain(|session| {
            let is_other = session.package != package;
            n_sessions += i32::from(!is_other);
            is_other
        });
        Ok(n_sessions)
    }
}

/// Rows that one batch can be given room for.
const ROWS_MAX: u32 = 4096;

impl PackageSlot {
    /// Sees to it that one batch may have so many rows, and so many with logits.
    pub(crate) fn make_room(&mut self, n_rows: usize, n_logit_rows: usize) -> Result<(), Failure> {
        let engine = self.engine()?;
        let (had_rows, had_logit_rows) = (engine.max_rows(), engine.max_logit_rows());
        if n_rows > had_rows || n_logit_rows > had_logit_rows {
            engine.set_rows(n_rows.max(had_rows), n_logit_rows.max(had_logit_rows))?;
            self.n_batches += 1;
        }
        Ok(())
    }
}

impl Host {
    /// Keeps the table in the buffer for sessions of this package.
    pub fn package_constraint(&mut self, package: i32, len: u32) -> Result<i32, Failure> {
        let engine = self.packages.get_mut(package)?.engine()?;
        engine.add_grammar(Grammar::read(self.buffer.read(len)?)?);
        Ok(0)
    }

    /// Sets rows of a batch and bytes of the cache; 0 rows and NaN bytes leave them as they are.
    pub fn package_limits(
        &mut self,
        package: i32,
        max_rows: u32,
        max_logit_rows: u32,
        kv_bytes: f64,
        kv_retained_bytes: f64,
    ) -> Result<i32, Failure> {
        let slot = self.packages.get_mut(package)?;
        let engine = slot.engine()?;
        if max_rows > ROWS_MAX || max_logit_rows > ROWS_MAX {
            let most = max_rows.max(max_logit_rows);
            return Err(Failure::number(Status::BadLength, most).named("up to 4096 rows"));
        }
        if max_rows > 0 || max_logit_rows > 0 {
            let or = |asked: u32, had: usize| if asked == 0 { had } else { asked as usize };
            let n_rows = or(max_rows, engine.max_rows());
            engine.set_rows(n_rows, or(max_logit_rows, engine.max_logit_rows()))?;
        }
        let had = engine.kv().budget();
        let or = |asked: f64, had: u64| if asked.is_nan() { had } else { asked as u64 };
        engine.set_kv_budget(KvBudget {
            total_bytes: or(kv_bytes, had.total_bytes),
            retained_bytes: or(kv_retained_bytes, had.retained_bytes),
        });
        slot.n_batches += 1;
        Ok(0)
    }

    /// Writes what a batch and the cache may take, and what the cache takes now.
    pub fn package_cache(&mut self, package: i32) -> Result<i32, Failure> {
        let engine = self.packages.get_mut(package)?.engine()?;
        let (kv, budget) = (engine.kv(), engine.kv().budget());
        let mut json = JsonWriter::new();
        json.begin_object();
        json.field_str("schema", "cultivar.cache.v1");
        json.field_u64("max_rows", engine.max_rows() as u64);
        json.field_u64("max_logit_rows", engine.max_logit_rows() as u64);
        match budget.total_bytes {
            u64::MAX => json.key("kv_bytes_max").null(),
            bytes => json.field_u64("kv_bytes_max", bytes),
        };
        json.field_u64("kv_retained_bytes_max", budget.retained_bytes);
        json.field_u64("kv_bytes", kv.allocated_bytes());
        json.field_u64("kv_used_bytes", kv.used_bytes());
        json.field_u64("kv_retained_bytes", kv.retained_bytes());
        json.field_u64("kv_peak_bytes", kv.peak_bytes());
        json.end_object();
        self.buffer.put(json.finish().as_bytes())
    }
}

/// A remaining amount as a status: never negative, and zero only for zero.
fn clamp(left: u64) -> i32 {
    i32::try_from(left).unwrap_or(i32::MAX)
}

exports! {
    /// Begins a package of `file_bytes` from its first `len` (at most 64) bytes; answers a handle.
    fn package_begin(len: u32, file_bytes: f64) -> status;
    /// Bytes before the tensors, header included: what `package_head` wants in the buffer.
    fn package_head_bytes(package: i32) -> status;
    /// Reads the head of `len` bytes; answers the number of tensors.
    fn package_head(package: i32, len: u32) -> status;
    /// JSON `cultivar.card.v1` into the buffer; answers its bytes.
    fn package_describe(package: i32) -> status;
    /// Address of tensor `idx`'s own buffer of the card's `read_bytes`, until it is verified.
    fn package_tensor_ptr(package: i32, idx: u32) -> ptr;
    /// Compares the 32 bytes in the buffer, the host's SHA-256 of tensor `idx`, with the stored.
    fn package_tensor_digest(package: i32, idx: u32) -> status;
    /// Hashes about `budget_bytes` of tensor `idx` here; answers the bytes that are left.
    fn package_tensor_verify_step(package: i32, idx: u32, budget_bytes: u32) -> status;
    /// Reads the `len` bytes behind the tensors.
    fn package_tail(package: i32, len: u32) -> status;
    /// Checks about `budget_bytes` of values; answers the bytes left, 0 when the package is open.
    fn package_finish_step(package: i32, budget_bytes: u32) -> status;
    /// Rows of one batch, those with logits (0 as it is), bytes of keys and values in all and kept
    /// for their content alone (NaN as it is).
    fn package_limits(package: i32, rows: u32, logit_rows: u32, kv: f64, retained: f64) -> status;
    /// JSON `cultivar.cache.v1` into the buffer; answers its bytes.
    fn package_cache(package: i32) -> status;
    /// Keeps the table of a constraint, `len` bytes as `grammar_compile` makes them, for sessions.
    fn package_constraint(package: i32, len: u32) -> status;
    /// Notes how long loading took, in milliseconds, for reports.
    fn package_note_load_ms(package: i32, ms: f64) -> status;
    /// Closes the package and its sessions; answers how many sessions were closed.
    fn package_close(package: i32) -> status;
}
