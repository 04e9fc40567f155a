//! Allocation that may fail: everything sized by a package or by a setting is had this way, so that
//! too little memory is an error with a name and never an abort.

use alloc::vec::Vec;

/// An empty vector with room for exactly `capacity` elements; `None` if memory cannot be had.
pub fn reserved<T>(capacity: usize) -> Option<Vec<T>> {
    let mut v = Vec::new();
    v.try_reserve_exact(capacity).ok()?;
    Some(v)
}

/// `len` times `value`; `None` if memory cannot be had.
pub fn filled<T: Clone>(value: T, len: usize) -> Option<Vec<T>> {
    let mut v = reserved(len)?;
    v.resize(len, value);
    Some(v)
}
