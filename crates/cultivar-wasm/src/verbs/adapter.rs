//! Adapter verbs: an adapter is opened for a package, checked in steps, and put on sessions.
//!
//! Every session has a stack of its own, so that the same prompt can run with and without. What is
//! refused leaves package, stack and session as they were.

use crate::buffer::out_of_order;
use crate::exports::exports;
use crate::host::Host;
use crate::status::{Failure, Status};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use cultivar_core::adapter::{
    Adapter, FusedCheck, LoadedAdapter, Stack, StackError, StackLimits, Weighing,
};
use cultivar_core::json::{self, JsonValue};
use cultivar_core::model::Engine;
use cultivar_core::session::Session;

/// An adapter, from its bytes to one that sessions may use.
pub struct AdapterSlot {
    /// Handle of the package that it is for.
    pub(crate) package: i32,
    card: String,
    loaded: Arc<LoadedAdapter>,
    /// What is left to check; `None` when all is.
    check: Option<FusedCheck>,
}

impl AdapterSlot {
    /// The adapter, once all of it is checked.
    fn usable(&self) -> Result<&Arc<LoadedAdapter>, Failure> {
        match self.check {
            None => Ok(&self.loaded),
            Some(_) => Err(out_of_order("adapter_check_step until nothing is left")),
        }
    }
}

/// Gives a fork a copy of the stack that it shares with its source.
pub(super) fn own_stack(session: &mut Session, engine: &mut Engine) -> Result<(), Failure> {
    if let Some(shared) = session.stack(engine).and_then(|id| engine.stack(id)) {
        let id = engine.add_stack(shared.clone())?;
        session.use_stack(engine, Some(id))?;
    }
    Ok(())
}

/// Closes a session and forgets its stack.
pub(super) fn end(session: Session, engine: &mut Engine) {
    let stack = session.stack(engine);
    session.close(engine);
    if let Some(id) = stack {
        engine.remove_stack(id);
    }
}

fn bad(what: &str) -> Failure {
    Failure::of(Status::BadJson).named(what)
}

impl Host {
    /// Reads the adapter in the buffer, verifies it and compares it with the package; answers its
    /// handle.
    pub fn adapter_open(&mut self, package: i32, len: u32) -> Result<i32, Failure> {
        let engine = self.packages.get_mut(package)?.engine()?;
        let bytes = self.buffer.read(len)?;
        let adapter = Adapter::parse(bytes).map_err(StackError::from)?;
        let bytes_max = StackLimits::default().max_bytes;
        let loaded = LoadedAdapter::new(&adapter, &engine.model.head, bytes_max)?;
        let slot = AdapterSlot {
            package,
            card: adapter.card_json(u64::from(len)),
            loaded: Arc::new(loaded),
            check: Some(FusedCheck::new()),
        };
        self.adapters
            .insert(Box::new(slot))
            .map_err(|(failure, _)| failure)
    }

    /// Checks base plus delta; answers 1 while something is left, then 0. An adapter that is
    /// refused here stays unusable.
    pub fn adapter_check_step(&mut self, adapter: i32, budget: u32) -> Result<i32, Failure> {
        let slot = self.adapters.get_mut(adapter)?;
        let engine = self.packages.get_mut(slot.package)?.engine()?;
        let Some(check) = &mut slot.check else {
            return Ok(0);
        };
        let is_over = check.step(&slot.loaded, 1.0, &engine.model, budget as usize)?;
        if is_over {
            slot.check = None;
        }
        Ok(i32::from(!is_over))
    }

    /// Writes the card.
    pub fn adapter_describe(&mut self, adapter: i32) -> Result<i32, Failure> {
        let slot = self.adapters.get(adapter)?;
        self.buffer.put(slot.card.as_bytes())
    }

    /// Closes an adapter; sessions that use it keep it.
    pub fn adapter_close(&mut self, adapter: i32) -> Result<i32, Failure> {
        self.adapters.remove(adapter).map(|_| 0)
    }

    /// Writes the identity that the package would have with a stack.
    pub fn adapter_assembly(&mut self, package: i32, len: u32) -> Result<i32, Failure> {
        let stack = self.stack_of(package, len)?;
        let engine = self.packages.get_mut(package)?.engine()?;
        let assembly = stack.assembly(&engine.model.head.identities.weights);
        self.buffer.put(&assembly.to_hex())
    }

    /// Gives a session a stack; the next token uses it.
    pub fn session_adapters(&mut self, s: i32, len: u32) -> Result<i32, Failure> {
        let package = self.sessions.get(s)?.package;
        let stack = self.stack_of(package, len)?;
        let n_adapters = stack.entries().len();
        let (slot, package) = self.pair(s)?;
        slot.session.change_stack(package.engine()?, stack)?;
        Ok(n_adapters as i32)
    }

    /// All adapters of a package that are checked: what its records and snapshots may ask for.
    pub(super) fn adapters_of(&self, package: i32) -> Vec<Arc<LoadedAdapter>> {
        let slots = self.adapters.iter().filter(|slot| slot.package == package);
        slots
            .filter_map(|slot| slot.usable().ok().cloned())
            .collect()
    }

    /// Changes a weight of a session's stack; the next token uses it.
    pub fn session_weight(&mut self, s: i32, idx: u32, weight: f64) -> Result<i32, Failure> {
        let (slot, package) = self.pair(s)?;
        let engine = package.engine()?;
        let id = slot.session.stack(engine);
        let id = id.ok_or_else(|| out_of_order("session_adapters comes first"))?;
        engine.set_adapter_weight(id, idx as usize, weight as f32)?;
        Ok(0)
    }

    /// Lets a session read all of its tokens again with the weights as they are.
    pub fn session_reread(&mut self, s: i32) -> Result<i32, Failure> {
        let (slot, package) = self.pair(s)?;
        slot.session.reread(package.engine()?)?;
        Ok(0)
    }

    /// The stack that the JSON in the buffer asks for; nothing else changes.
    fn stack_of(&mut self, package: i32, len: u32) -> Result<Stack, Failure> {
        let engine = self.packages.get_mut(package)?.engine()?;
        let wanted =
            json::parse_unique(self.buffer.read(len)?).map_err(|_| bad("a list of adapters"))?;
        let rows = wanted.as_array().ok_or_else(|| bad("a list of adapters"))?;
        let mut stack = engine.new_stack(StackLimits::default());
        for row in rows {
            let handle = row.get("adapter").and_then(JsonValue::as_u32);
            let handle = handle.ok_or_else(|| bad("adapter"))? as i32;
            let slot = self.adapters.get(handle)?;
            if slot.package != package {
                return Err(Failure::number(Status::NotAHandle, handle).named("adapter of it"));
            }
            let weighing = Weighing::from_json(row).map_err(bad)?;
            stack.push_weighed(slot.usable()?.clone(), weighing)?;
        }
        Ok(stack)
    }
}

exports! {
    /// Reads and verifies an adapter of `len` bytes for a package; answers a handle.
    fn adapter_open(package: i32, len: u32) -> status;
    /// Checks about `budget` elements of base plus delta; answers 1 while some are left, then 0.
    fn adapter_check_step(adapter: i32, budget: u32) -> status;
    /// JSON `cultivar.adapter.v1` into the buffer; answers its bytes.
    fn adapter_describe(adapter: i32) -> status;
    /// Closes the adapter; sessions that use it keep it.
    fn adapter_close(adapter: i32) -> status;
    /// The assembly identity, hexadecimal, that `len` bytes of JSON (a stack) would give.
    fn adapter_assembly(package: i32, len: u32) -> status;
    /// Gives a session the stack in `len` bytes of JSON from the next token on; answers its number
    /// of adapters.
    fn session_adapters(session: i32, len: u32) -> status;
    /// Gives adapter `idx` of a session's stack another weight from the next token on.
    fn session_weight(session: i32, idx: u32, weight: f64) -> status;
    /// Lets a session read all its tokens again with its weights as they are now.
    fn session_reread(session: i32) -> status;
}
