//! A trap on purpose. Must never be called outside a test.

use crate::exports::exports;
use crate::host::Host;
use crate::status::Failure;

impl Host {
    fn test_trap(&mut self, code: u32) -> Result<i32, Failure> {
        panic!("test_trap was called with {code}")
    }
}

exports! {
    /// Ends in a trap, so that hosts can test what they do about one.
    fn test_trap(code: u32) -> status;
}
