//! The verbs, one file per export group. Each file holds the methods of [`crate::host::Host`]
//! that do the work, the objects its handles name, and the group's part of the export table.

pub mod buffer;
pub mod import;
pub mod meta;
pub mod package;
pub mod session;
pub mod test;
pub mod text;
