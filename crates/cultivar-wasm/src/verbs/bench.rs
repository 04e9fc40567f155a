//! What the bench's own modules have beside an engine's verbs: where the time of the forward pass
//! goes. The only place that asks its host for anything, a clock, which must call nothing back;
//! fetched only when a profile is asked for.
//!
//! Not part of the export table; the kit's `Engine.profile` calls it by name.

use crate::exports::exports;
use crate::host::Host;
use crate::status::Failure;

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
}

exports! {
    /// Starts a profile of the forward passes of a package.
    fn bench_profile(package: i32) -> status;
}
