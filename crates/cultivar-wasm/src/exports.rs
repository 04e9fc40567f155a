//! How a method of [`Host`] becomes an export: one macro, one cell, no imports.
//!
//! Each verb file ends with an `exports!` block; together these blocks are the export table, and
//! `cargo xtask abi` writes `web/runtime/abi.js` from their text. Must stay the only way in.

use crate::host::Host;

/// Declares exported functions: `fn name(arguments) -> i32 = method;` calls the method of the
/// same arguments on the one [`Host`]. A method that answers `i32` gives `Result<i32, Failure>`
/// and its failure becomes a negative status; one that answers `ptr` gives an address, 0 when it
/// failed; `plain` methods cannot fail.
macro_rules! exports {
    ($($(#[doc = $doc:literal])+ fn $name:ident($($arg:ident: $kind:ty),*) -> $answer:ident;)*) => {
        $(
            $(#[doc = $doc])+
            // SAFETY of the name: every export is declared once, in one of these blocks, and the
            // names do not collide with the symbols that the linker makes.
            #[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
            pub extern "C" fn $name($($arg: $kind),*) -> $crate::exports::$answer::Answer {
                $crate::exports::enter(|host| {
                    $crate::exports::$answer::answer(host, |host| host.$name($($arg),*))
                })
            }
        )*
    };
}
pub(crate) use exports;

/// Verbs that answer a number or a negative status.
pub mod status {
    use crate::host::Host;
    use crate::status::Failure;

    /// What the host sees.
    pub type Answer = i32;

    /// Calls the verb and keeps its refusal.
    pub fn answer(host: &mut Host, verb: impl FnOnce(&mut Host) -> Result<i32, Failure>) -> Answer {
        let result = verb(host);
        host.settle(result)
    }
}

/// Verbs that answer an address, 0 for a refusal.
pub mod ptr {
    use crate::host::Host;
    use crate::status::Failure;

    /// What the host sees.
    pub type Answer = u32;

    /// Calls the verb and keeps its refusal.
    pub fn answer(
        host: &mut Host,
        verb: impl FnOnce(&mut Host) -> Result<*const u8, Failure>,
    ) -> Answer {
        let result = verb(host);
        host.settle_ptr(result)
    }
}

#[cfg(target_arch = "wasm32")]
mod cell {
    use super::Host;
    use core::cell::UnsafeCell;

    struct HostCell(UnsafeCell<Host>);

    // SAFETY: the module is built without shared memory, so only one thread ever runs in it.
    unsafe impl Sync for HostCell {}

    static HOST: HostCell = HostCell(UnsafeCell::new(Host::new()));

    /// Runs `work` on the one host object.
    pub fn enter<R>(work: impl FnOnce(&mut Host) -> R) -> R {
        // SAFETY: one thread; the module imports nothing, so no export can be called while
        // another runs, and no method of `Host` calls an export: this is the only reference.
        // After a trap the host page throws the instance away and never enters again.
        work(unsafe { &mut *HOST.0.get() })
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod cell {
    extern crate std;
    use super::Host;
    use core::cell::RefCell;

    std::thread_local! {
        static HOST: RefCell<Host> = const { RefCell::new(Host::new()) };
    }

    /// Runs `work` on this thread's host object.
    pub fn enter<R>(work: impl FnOnce(&mut Host) -> R) -> R {
        HOST.with_borrow_mut(work)
    }
}

pub use cell::enter;
