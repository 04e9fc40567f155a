//! What a step of an import, an export or a job answers; the host does it and steps again.

/// Outcome of a step: the file is complete.
pub const STEP_DONE: i32 = 0;
/// Outcome of a step: the host reads a range of a source and supplies it.
pub const STEP_READ: i32 = 1;
/// Outcome of a step: the host takes the output and writes it at an offset.
pub const STEP_WRITE: i32 = 2;
/// Outcome of a step: nothing to do but to show how far it is.
pub const STEP_PROGRESS: i32 = 3;
