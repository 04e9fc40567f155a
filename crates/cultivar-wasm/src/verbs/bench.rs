//! What the bench's own modules have beside an engine's verbs: where the time of the forward pass
//! goes, and kernels on shapes that seeds draw, for tests. The only place that asks its host for
//! anything, a clock, which must call nothing back; fetched only when a profile is asked for.
//!
//! Not part of the export table; the kit's `Engine.profile` and tests call them by name.

use crate::exports::exports;
use crate::host::Host;
use crate::status::{Failure, Status};
use cultivar_core::kernels::Backend;
use cultivar_core::self_test::agreement;

#[cfg(target_arch = "wasm32")]
mod imported {
    // SAFETY: it takes nothing and answers a number, as the bench's host gives it.
    #[link(wasm_import_module = "bench")]
    unsafe extern "C" {
        pub safe fn now_ms() -> f64;
    }
}

/// Milliseconds by the host's clock.
fn now_ms() -> f64 {
    #[cfg(target_arch = "wasm32")]
    return imported::now_ms();
    #[cfg(not(target_arch = "wasm32"))]
    return 0.0;
}

impl Host {
    /// Starts a profile of a package's forward passes; reports of its sessions carry it.
    pub fn bench_profile(&mut self, package: i32) -> Result<i32, Failure> {
        let engine = self.packages.get_mut(package)?.engine()?;
        engine.start_profile(now_ms);
        Ok(0)
    }

    /// What all kernels give on the shapes and values of a seed, as the lower 31 bits of a digest.
    pub fn bench_kernels(&mut self, seed: i32) -> Result<i32, Failure> {
        let digest = agreement::seeded(Backend::Fast, u64::from(seed.cast_unsigned()));
        let digest = digest.ok_or(Failure::of(Status::OutOfMemory))?;
        Ok((digest & 0x7fff_ffff) as i32)
    }
}

exports! {
    /// Starts a profile of the forward passes of a package.
    fn bench_profile(package: i32) -> status;
    /// What the kernels give on the shapes and values of a seed: 31 bits of a digest.
    fn bench_kernels(seed: i32) -> status;
}
