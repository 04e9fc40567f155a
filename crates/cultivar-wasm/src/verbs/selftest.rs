//! The self test: the module proves on this very machine that its kernels equal the specification.

use crate::exports::exports;
use crate::host::Host;
use crate::status::{Failure, Status};
use cultivar_core::self_test;

impl Host {
    /// Compares what all kernels compute from seeded values with the scalar specification.
    pub fn selftest(&mut self) -> Result<i32, Failure> {
        match self_test::run() {
            Ok(n_checks) => Ok(n_checks as i32),
            Err(error) => Err(Failure::number(Status::SelfTest, error.check).named(error.kernel)),
        }
    }
}

exports! {
    /// Compares every kernel with its specification bit for bit; answers the number of checks.
    fn selftest() -> status;
}
