//! What a caller does next while models are read and written piece by piece.

/// The next thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreedStep {
    /// Read exactly these bytes of a source and supply them.
    Read {
        /// Which source, in the order in which they were given.
        source: usize,
        /// First byte.
        offset: u64,
        /// How many bytes.
        len: u64,
    },
    /// Write the output at this byte of the new file.
    Write {
        /// First byte.
        offset: u64,
    },
    /// Everything is done.
    Done,
}
