//! The verbs, one file per export group; a module has the groups of its feature, and those of
//! neither. Each file holds the methods of [`crate::host::Host`]
//! that do the work, the objects its handles name, and the group's part of the export table.

#[cfg(feature = "engine")]
pub mod adapter;
#[cfg(feature = "engine")]
pub mod batch;
#[cfg(feature = "bench")]
pub mod bench;
pub mod buffer;
#[cfg(feature = "engine")]
pub mod decode;
#[cfg(feature = "exporter")]
pub mod export;
#[cfg(feature = "text")]
pub mod grammar;
#[cfg(feature = "packer")]
pub mod import;
#[cfg(feature = "breeder")]
pub mod job;
pub mod meta;
#[cfg(feature = "engine")]
pub mod package;
#[cfg(any(feature = "breeder", feature = "exporter", feature = "packer"))]
pub mod pump;
#[cfg(feature = "engine")]
pub mod record;
#[cfg(feature = "engine")]
pub mod selftest;
#[cfg(feature = "engine")]
pub mod session;
#[cfg(feature = "text")]
pub mod text;
pub mod trap;
