//! The one buffer through which texts, ids, records and results pass.
//!
//! The host reserves, writes at the front, and calls a verb with the length it wrote; a verb that
//! answers with a length has written that much at the front. Contents live until the next call
//! that writes. Must never shrink while the host may look at it, and never hand out more than
//! was reserved.

use crate::status::{Failure, Status};
use alloc::vec::Vec;
#[cfg(any(feature = "packer", feature = "text"))]
use cultivar_core::json::{self, JsonValue};

/// More than any head of a package (256 MiB); what is larger goes straight into a tensor.
const RESERVE_BYTES_MAX: usize = 320 << 20;
/// After a long use the buffer falls back to this, so that a head's bytes do not stay taken.
const KEEP_BYTES: usize = 1 << 20;

/// The shared buffer. Its length is what the host reserved or a verb wrote.
pub struct Buffer {
    bytes: Vec<u8>,
}

impl Buffer {
    /// An empty buffer.
    pub const fn new() -> Buffer {
        Buffer { bytes: Vec::new() }
    }

    /// Makes room for `len` bytes at the front; what was there is lost.
    pub fn reserve(&mut self, len: usize) -> Result<(), Failure> {
        let refused = || Failure::number(Status::OutOfMemory, len as i64);
        if len > RESERVE_BYTES_MAX {
            return Err(refused());
        }
        if len < KEEP_BYTES && self.bytes.capacity() > KEEP_BYTES {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.bytes.try_reserve_exact(len).map_err(|_| refused())?;
        self.bytes.resize(len, 0);
        Ok(())
    }

    /// Address of the first byte.
    pub fn ptr(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    /// The first `len` bytes, as the host wrote them.
    pub fn read(&self, len: u32) -> Result<&[u8], Failure> {
        self.bytes
            .get(..len as usize)
            .ok_or_else(|| Failure::number(Status::BadLength, len))
    }

    /// The first `len` bytes to write to; natively, tests play the host with it.
    pub fn write(&mut self, len: u32) -> Result<&mut [u8], Failure> {
        self.bytes
            .get_mut(..len as usize)
            .ok_or_else(|| Failure::number(Status::BadLength, len))
    }

    /// The first `N` bytes, for verbs with a fixed record.
    pub fn array<const N: usize>(&self) -> Result<&[u8; N], Failure> {
        let short = || Failure::number(Status::BadLength, self.bytes.len() as i64);
        self.bytes.first_chunk().ok_or_else(short)
    }

    /// The first `len` bytes as text.
    pub fn text(&self, len: u32) -> Result<&str, Failure> {
        core::str::from_utf8(self.read(len)?)
            .map_err(|error| Failure::number(Status::BadUtf8, error.valid_up_to() as i64))
    }

    /// The first `len` bytes as JSON.
    #[cfg(any(feature = "packer", feature = "text"))]
    pub fn json(&self, len: u32) -> Result<JsonValue, Failure> {
        json::parse_unique(self.read(len)?)
            .map_err(|error| Failure::of(Status::BadJson).named(&alloc::format!("{error}")))
    }

    /// The first `n` little-endian 32-bit numbers.
    pub fn ids(&self, n: u32) -> Result<Vec<u32>, Failure> {
        let len = n
            .checked_mul(4)
            .ok_or_else(|| Failure::number(Status::BadLength, n))?;
        let bytes = self.read(len)?;
        let mut ids = Vec::new();
        ids.try_reserve_exact(n as usize)
            .map_err(|_| Failure::number(Status::OutOfMemory, len))?;
        let (words, _) = bytes.as_chunks::<4>();
        ids.extend(words.iter().map(|word| u32::from_le_bytes(*word)));
        Ok(ids)
    }

    /// Replaces the contents by `bytes`; returns their length.
    pub fn put(&mut self, bytes: &[u8]) -> Result<i32, Failure> {
        self.make_room(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        self.length()
    }

    /// Replaces the contents by little-endian 32-bit words; returns how many there are.
    pub fn put_words(
        &mut self,
        words: impl ExactSizeIterator<Item = [u8; 4]>,
    ) -> Result<i32, Failure> {
        let n = words.len();
        self.make_room(n.saturating_mul(4))?;
        for word in words {
            self.bytes.extend_from_slice(&word);
        }
        Ok(n as i32)
    }

    fn make_room(&mut self, len: usize) -> Result<(), Failure> {
        self.bytes.clear();
        let refused = || Failure::number(Status::OutOfMemory, len as i64);
        if len > RESERVE_BYTES_MAX {
            return Err(refused());
        }
        self.bytes.try_reserve(len).map_err(|_| refused())
    }

    fn length(&self) -> Result<i32, Failure> {
        let len = self.bytes.len();
        i32::try_from(len).map_err(|_| Failure::number(Status::OutOfMemory, len as i64))
    }
}

impl Default for Buffer {
    fn default() -> Buffer {
        Buffer::new()
    }
}

/// A sentence for [`Failure::named`] that says which call must come first.
pub fn out_of_order(what: &str) -> Failure {
    Failure::of(Status::OutOfOrder).named(what)
}
