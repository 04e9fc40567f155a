//! Buffer verbs: where the host writes what the next verb reads.
//!
//! The address changes with every call that writes or reserves, so the host asks for it each
//! time and makes its view at that moment.

use crate::exports::exports;
use crate::host::Host;
use crate::status::Failure;

impl Host {
    fn buffer_reserve(&mut self, len: u32) -> Result<*const u8, Failure> {
        self.buffer.reserve(len as usize)?;
        Ok(self.buffer.ptr())
    }

    fn buffer_ptr(&mut self) -> Result<*const u8, Failure> {
        Ok(self.buffer.ptr())
    }
}

exports! {
    /// Makes room for `len` bytes; answers the buffer's address, 0 when there is no memory.
    fn buffer_reserve(len: u32) -> ptr;
    /// The buffer's address now; valid until the next call.
    fn buffer_ptr() -> ptr;
}
