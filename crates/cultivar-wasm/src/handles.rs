//! Handles: small positive numbers by which the host names what lives in the module.
//!
//! A handle carries the kind of thing, the slot it lies in, and how often the slot was used
//! before, so that a stale or mistaken one is told apart from a live one and never reaches
//! another object. Must never hand out a pointer.

use crate::status::{Failure, Status};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Bits of a handle that number the slot.
const SLOT_BITS: u32 = 12;
/// Bits that count the uses of a slot; a slot whose count is exhausted is not used again.
const GENERATION_BITS: u32 = 16;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
const GENERATION_MASK: u32 = (1 << GENERATION_BITS) - 1;

/// What a handle names; the number is part of the handle, so it must be 0 to 7.
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
    /// Tokenizer and chat format of a package.
    Text = 0,
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
            Kind::Text => "text",
        }
    }
}

/// Which slots are taken and how often each was: what all tables have in common, so that the code
/// is there once and not for each type.
struct Slots {
    kind: Kind,
    n_live_max: usize,
    /// Per slot: its generation, and whether it is taken.
    marks: Vec<(u32, bool)>,
}

impl Slots {
    /// Takes a slot; answers its index and the handle that names it.
    fn take(&mut self) -> Result<(usize, i32), Failure> {
        let n_live = self.marks.iter().filter(|(_, is_live)| *is_live).count();
        if n_live >= self.n_live_max {
            return Err(self.full());
        }
        let is_free =
            |(generation, is_live): &(u32, bool)| !is_live && *generation < GENERATION_MASK;
        let slot_idx = match self.marks.iter().position(is_free) {
            Some(slot_idx) => slot_idx,
            None if self.marks.len() > SLOT_MASK as usize => return Err(self.full()),
            None => {
                self.marks.try_reserve(1).map_err(|_| no_memory())?;
                self.marks.push((0, false));
                self.marks.len() - 1
            }
        };
        // Generations start at 1, so that a handle is never a small number typed by accident.
        let generation = self.marks[slot_idx].0 + 1;
        self.marks[slot_idx] = (generation, true);
        let bits = (self.kind as u32) << (SLOT_BITS + GENERATION_BITS)
            | generation << SLOT_BITS
            | slot_idx as u32;
        Ok((slot_idx, bits as i32))
    }

    /// The slot that `handle` names, if it is still that handle's.
    fn find(&self, handle: i32) -> Result<usize, Failure> {
        let bits = handle as u32;
        if handle <= 0 || bits >> (SLOT_BITS + GENERATION_BITS) != self.kind as u32 {
            return Err(Failure::number(Status::NotAHandle, handle).named(self.kind.name()));
        }
        let slot_idx = (bits & SLOT_MASK) as usize;
        let mark = (bits >> SLOT_BITS & GENERATION_MASK, true);
        match self.marks.get(slot_idx) {
            Some(found) if *found == mark => Ok(slot_idx),
            _ => Err(self.stale(handle)),
        }
    }

    fn free(&mut self, slot_idx: usize) {
        if let Some(mark) = self.marks.get_mut(slot_idx) {
            mark.1 = false;
        }
    }

    fn stale(&self, handle: i32) -> Failure {
        Failure::number(Status::StaleHandle, handle).named(self.kind.name())
    }

    fn full(&self) -> Failure {
        Failure::number(Status::TooMany, self.n_live_max as i32).named(self.kind.name())
    }
}

fn no_memory() -> Failure {
    Failure::of(Status::OutOfMemory)
}

/// Live objects of one kind, each behind a pointer: none is moved when the table grows.
pub struct Table<T> {
    slots: Slots,
    values: Vec<Option<Box<T>>>,
}

impl<T> Table<T> {
    /// An empty table for at most `n_live_max` (<= 4096) objects at a time.
    pub const fn new(kind: Kind, n_live_max: usize) -> Table<T> {
        Table {
            slots: Slots {
                kind,
                n_live_max,
                marks: Vec::new(),
            },
            values: Vec::new(),
        }
    }

    /// Stores `value` and names it; a value that finds no place is handed back.
    pub fn insert(&mut self, value: Box<T>) -> Result<i32, (Failure, Box<T>)> {
        if self.values.try_reserve(1).is_err() {
            return Err((no_memory(), value));
        }
        match self.slots.take() {
            Ok((slot_idx, handle)) => {
                if slot_idx == self.values.len() {
                    self.values.push(None);
                }
                self.values[slot_idx] = Some(value);
                Ok(handle)
            }
            Err(failure) => Err((failure, value)),
        }
    }

    /// The object that `handle` names.
    pub fn get(&self, handle: i32) -> Result<&T, Failure> {
        let slot_idx = self.slots.find(handle)?;
        let stale = || self.slots.stale(handle);
        self.values[slot_idx].as_deref().ok_or_else(stale)
    }

    /// The object that `handle` names, to change it.
    pub fn get_mut(&mut self, handle: i32) -> Result<&mut T, Failure> {
        let slot_idx = self.slots.find(handle)?;
        let stale = || self.slots.stale(handle);
        self.values[slot_idx].as_deref_mut().ok_or_else(stale)
    }

    /// The objects that the handles name, in their order; each may be named once.
    pub fn get_many(&mut self, handles: &[u32]) -> Result<Vec<&mut T>, Failure> {
        let mut found: Vec<Option<&mut T>> = Vec::new();
        found
            .try_reserve_exact(handles.len())
            .map_err(|_| no_memory())?;
        found.resize_with(handles.len(), || None);
        for (i, &handle) in handles.iter().enumerate() {
            self.slots.find(handle as i32)?;
            if handles[..i].contains(&handle) {
                let twice = Failure::number(Status::NotAHandle, handle as i32);
                return Err(twice.named("second of its kind"));
            }
        }
        for (slot_idx, value) in self.values.iter_mut().enumerate() {
            let is_it = |handle: &u32| (handle & SLOT_MASK) as usize == slot_idx;
            let place = handles.iter().position(is_it);
            if let Some(place) = place.and_then(|place| found.get_mut(place)) {
                *place = value.as_deref_mut();
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// Takes the object out; its handle is stale from now on.
    pub fn remove(&mut self, handle: i32) -> Result<Box<T>, Failure> {
        let slot_idx = self.slots.find(handle)?;
        self.slots.free(slot_idx);
        let stale = || self.slots.stale(handle);
        self.values[slot_idx].take().ok_or_else(stale)
    }

    /// All live objects.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.values.iter().filter_map(|value| value.as_deref())
    }

    /// Drops every object for which `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        for (slot_idx, slot) in self.values.iter_mut().enumerate() {
            if slot.as_deref().is_some_and(|value| !keep(value)) {
                *slot = None;
                self.slots.free(slot_idx);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_handle_is_stale_even_when_its_slot_is_used_again() {
        let mut table: Table<&str> = Table::new(Kind::Package, 4);
        let first = table.insert(Box::new("first")).unwrap();
        assert!(first > 4096);
        assert_eq!(table.get(first).copied(), Ok("first"));
        assert_eq!(table.remove(first), Ok(Box::new("first")));
        let second = table.insert(Box::new("second")).unwrap();
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
        let package = packages.insert(Box::new(1)).unwrap();
        let session = sessions.insert(Box::new(2)).unwrap();
        for wrong in [session, 0, 1, -1, i32::MAX, i32::MIN, 1 << 12] {
            let code = packages.get(wrong).map_err(|f| f.code());
            assert_eq!(code, Err(Status::NotAHandle.code()), "{wrong}");
        }
        assert!(packages.get(package | 0xfff).is_err());
    }

    #[test]
    fn a_full_table_says_so_and_serves_again_after_a_close() {
        let mut table: Table<usize> = Table::new(Kind::Import, 2);
        let a = table.insert(Box::new(0)).unwrap();
        table.insert(Box::new(1)).unwrap();
        let refused = table
            .insert(Box::new(2))
            .map_err(|(failure, value)| (failure.code(), value));
        assert_eq!(refused, Err((Status::TooMany.code(), Box::new(2))));
        table.remove(a).unwrap();
        assert!(table.insert(Box::new(3)).is_ok());
    }

    #[test]
    fn a_slot_is_retired_before_its_count_repeats() {
        let mut table: Table<()> = Table::new(Kind::Package, 4);
        let first = table.insert(Box::new(())).unwrap();
        table.remove(first).unwrap();
        for _ in 0..70_000 {
            let handle = table.insert(Box::new(())).unwrap();
            assert_ne!(handle, first);
            table.remove(handle).unwrap();
        }
    }

    #[test]
    fn several_are_found_in_the_order_of_their_handles_and_each_once() {
        let mut table: Table<u32> = Table::new(Kind::Session, 4);
        let handles: Vec<u32> = (0..3)
            .map(|i| table.insert(Box::new(i)).unwrap() as u32)
            .collect();
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
        let a = table.insert(Box::new(1)).unwrap();
        let b = table.insert(Box::new(2)).unwrap();
        table.retain(|&value| value != 1);
        assert!(table.get(a).is_err());
        assert!(table.get(b).is_ok());
    }
}
