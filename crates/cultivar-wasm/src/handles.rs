//! Handles: small positive numbers by which the host names what lives in the module.
//!
//! A handle carries the kind of thing, the slot it lies in, and how often the slot was used
//! before, so that a stale or mistaken one is told apart from a live one and never reaches
//! another object. Must never hand out a pointer.

use crate::status::{Failure, Status};
use alloc::vec::Vec;

/// Bits of a handle that number the slot.
const SLOT_BITS: u32 = 12;
/// Bits that count the uses of a slot; a slot whose count is exhausted is not used again.
const GENERATION_BITS: u32 = 16;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
const GENERATION_MASK: u32 = (1 << GENERATION_BITS) - 1;

/// What a handle names; the number is part of the handle, so it must be 1 to 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// A package that is being opened or is open.
    Package = 1,
    /// A generation session.
    Session = 2,
    /// A running import.
    Import = 3,
    /// An adapter for a package.
    Adapter = 4,
    /// A running export.
    Export = 6,
    /// A record that is being replayed.
    Replay = 5,
    /// A job of the breeder.
    Job = 7,
}

impl Kind {
    /// The word used in messages.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Package => "package",
            Kind::Session => "session",
            Kind::Import => "import",
            Kind::Adapter => "adapter",
            Kind::Export => "export",
            Kind::Replay => "replay",
            Kind::Job => "job",
        }
    }
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Live objects of one kind.
pub struct Table<T> {
    kind: Kind,
    n_live_max: usize,
    slots: Vec<Slot<T>>,
}

impl<T> Table<T> {
    /// An empty table for at most `n_live_max` (<= 4096) objects at a time.
    pub const fn new(kind: Kind, n_live_max: usize) -> Table<T> {
        Table {
            kind,
            n_live_max,
            slots: Vec::new(),
        }
    }

    /// Stores `value` and names it; a value that finds no place is handed back.
    pub fn insert(&mut self, value: T) -> Result<i32, (Failure, T)> {
        let slot_idx = match self.free_slot() {
            Ok(slot_idx) => slot_idx,
            Err(failure) => return Err((failure, value)),
        };
        let Some(slot) = self.slots.get_mut(slot_idx) else {
            return Err((self.full(), value));
        };
        // Generations start at 1, so that a handle is never a small number typed by accident.
        slot.generation += 1;
        slot.value = Some(value);
        let bits = (self.kind as u32) << (SLOT_BITS + GENERATION_BITS)
            | slot.generation << SLOT_BITS
            | slot_idx as u32;
        Ok(bits as i32)
    }

    /// Index of a slot that is free and not worn out.
    fn free_slot(&mut self) -> Result<usize, Failure> {
        let n_live = self
            .slots
            .iter()
            .filter(|slot| slot.value.is_some())
            .count();
        if n_live >= self.n_live_max {
            return Err(self.full());
        }
        let is_free = |s: &Slot<T>| s.value.is_none() && s.generation < GENERATION_MASK;
        if let Some(slot_idx) = self.slots.iter().position(is_free) {
            return Ok(slot_idx);
        }
        if self.slots.len() > SLOT_MASK as usize {
            return Err(self.full());
        }
        self.slots
            .try_reserve(1)
            .map_err(|_| Failure::of(Status::OutOfMemory))?;
        self.slots.push(Slot {
            generation: 0,
            value: None,
        });
        Ok(self.slots.len() - 1)
    }

    /// The object that `handle` names.
    pub fn get(&self, handle: i32) -> Result<&T, Failure> {
        let stale = self.stale(handle);
        let (generation, slot_idx) = self.parts(handle)?;
        match self.slots.get(slot_idx) {
            Some(Slot {
                generation: g,
                value: Some(value),
            }) if *g == generation => Ok(value),
            _ => Err(stale),
        }
    }

    /// The object that `handle` names, to change it.
    pub fn get_mut(&mut self, handle: i32) -> Result<&mut T, Failure> {
        let stale = self.stale(handle);
        let (generation, slot_idx) = self.parts(handle)?;
        match self.slots.get_mut(slot_idx) {
            Some(Slot {
                generation: g,
                value: Some(value),
            }) if *g == generation => Ok(value),
            _ => Err(stale),
        }
    }

    /// The objects that the handles name, in their order; each may be named once.
    pub fn get_many(&mut self, handles: &[u32]) -> Result<Vec<&mut T>, Failure> {
        let mut found: Vec<Option<&mut T>> = Vec::new();
        let no_room = Failure::of(Status::OutOfMemory);
        found
            .try_reserve_exact(handles.len())
            .map_err(|_| no_room)?;
        found.resize_with(handles.len(), || None);
        for (i, &handle) in handles.iter().enumerate() {
            self.get(handle as i32)?;
            if handles[..i].contains(&handle) {
                let twice = Failure::number(Status::NotAHandle, handle as i32);
                return Err(twice.named("second of its kind"));
            }
        }
        for (slot_idx, slot) in self.slots.iter_mut().enumerate() {
            let is_it = |handle: &u32| (handle & SLOT_MASK) as usize == slot_idx;
            let place = handles.iter().position(is_it);
            if let Some(place) = place.and_then(|place| found.get_mut(place)) {
                *place = slot.value.as_mut();
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// Takes the object out; its handle is stale from now on.
    pub fn remove(&mut self, handle: i32) -> Result<T, Failure> {
        let stale = self.stale(handle);
        let (generation, slot_idx) = self.parts(handle)?;
        match self.slots.get_mut(slot_idx) {
            Some(slot) if slot.generation == generation => slot.value.take().ok_or(stale),
            _ => Err(stale),
        }
    }

    /// All live objects.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.value.as_ref())
    }

    /// Drops every object for which `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        for slot in &mut self.slots {
            if slot.value.as_ref().is_some_and(|value| !keep(value)) {
                slot.value = None;
            }
        }
    }

    fn parts(&self, handle: i32) -> Result<(u32, usize), Failure> {
        let bits = handle as u32;
        if handle <= 0 || bits >> (SLOT_BITS + GENERATION_BITS) != self.kind as u32 {
            return Err(Failure::number(Status::NotAHandle, handle).named(self.kind.name()));
        }
        Ok((
            bits >> SLOT_BITS & GENERATION_MASK,
            (bits & SLOT_MASK) as usize,
        ))
    }

    fn stale(&self, handle: i32) -> Failure {
        Failure::number(Status::StaleHandle, handle).named(self.kind.name())
    }

    fn full(&self) -> Failure {
        Failure::number(Status::TooMany, self.n_live_max as i32).named(self.kind.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_handle_is_stale_even_when_its_slot_is_used_again() {
        let mut table: Table<&str> = Table::new(Kind::Package, 4);
        let first = table.insert("first").unwrap();
        assert!(first > 4096);
        assert_eq!(table.get(first).copied(), Ok("first"));
        assert_eq!(table.remove(first), Ok("first"));
        let second = table.insert("second").unwrap();
        assert_ne!(first, second);
        assert_eq!(
            table.get(first).map_err(|f| f.code()),
            Err(Status::StaleHandle.code())
        );
        assert_eq!(
            table.remove(first).map_err(|f| f.code()),
            Err(Status::StaleHandle.code())
        );
        assert_eq!(table.get_mut(second).copied(), Ok("second"));
    }

    #[test]
    fn handles_of_another_kind_and_plain_numbers_are_refused() {
        let mut packages: Table<u8> = Table::new(Kind::Package, 4);
        let mut sessions: Table<u8> = Table::new(Kind::Session, 4);
        let package = packages.insert(1).unwrap();
        let session = sessions.insert(2).unwrap();
        for wrong in [session, 0, 1, -1, i32::MAX, i32::MIN, 1 << 12] {
            let code = packages.get(wrong).map_err(|f| f.code());
            assert_eq!(code, Err(Status::NotAHandle.code()), "{wrong}");
        }
        assert!(packages.get(package | 0xfff).is_err());
    }

    #[test]
    fn a_full_table_says_so_and_serves_again_after_a_close() {
        let mut table: Table<usize> = Table::new(Kind::Import, 2);
        let a = table.insert(0).unwrap();
        table.insert(1).unwrap();
        let refused = table
            .insert(2)
            .map_err(|(failure, value)| (failure.code(), value));
        assert_eq!(refused, Err((Status::TooMany.code(), 2)));
        table.remove(a).unwrap();
        assert!(table.insert(3).is_ok());
    }

    #[test]
    fn a_slot_is_retired_before_its_count_repeats() {
        let mut table: Table<()> = Table::new(Kind::Package, 4);
        let first = table.insert(()).unwrap();
        table.remove(first).unwrap();
        for _ in 0..70_000 {
            let handle = table.insert(()).unwrap();
            assert_ne!(handle, first);
            table.remove(handle).unwrap();
        }
    }

    #[test]
    fn several_are_found_in_the_order_of_their_handles_and_each_once() {
        let mut table: Table<u32> = Table::new(Kind::Session, 4);
        let handles: Vec<u32> = (0..3).map(|i| table.insert(i).unwrap() as u32).collect();
        let order = [handles[2], handles[0], handles[1]];
        let found = table.get_many(&order).unwrap();
        assert_eq!(found.into_iter().map(|v| *v).collect::<Vec<_>>(), [2, 0, 1]);
        let code = |result: Result<Vec<&mut u32>, Failure>| result.unwrap_err().code();
        let twice = table.get_many(&[handles[0], handles[0]]);
        assert_eq!(code(twice), Status::NotAHandle.code());
        table.remove(handles[1] as i32).unwrap();
        let stale = table.get_many(&order);
        assert_eq!(code(stale), Status::StaleHandle.code());
        assert!(table.get_many(&[]).unwrap().is_empty());
    }

    #[test]
    fn retain_makes_the_dropped_handles_stale() {
        let mut table: Table<u8> = Table::new(Kind::Session, 4);
        let a = table.insert(1).unwrap();
        let b = table.insert(2).unwrap();
        table.retain(|&value| value != 1);
        assert!(table.get(a).is_err());
        assert!(table.get(b).is_ok());
    }
}
