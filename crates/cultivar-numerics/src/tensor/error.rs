//! What can be wrong with a tensor's shape, room or bytes.

use core::fmt;

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorErrorKind {
    /// A row is not a whole number of blocks, or the size overflows.
    Shape,
    /// A buffer does not have the length that the shape asks for.
    Length,
    /// A stored float, or a block's scale, is not finite.
    NotFinite,
    /// The rows that fill up the last tile are not zero.
    Padding,
}

/// An error of a tensor: the rule, and the byte within the tensor where that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorError {
    /// The rule that was broken.
    pub kind: TensorErrorKind,
    /// Byte offset within the stored tensor.
    pub offset: u64,
}

impl fmt::Display for TensorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TensorErrorKind::Shape => {
                f.write_str("a row is not a whole number of blocks, or the tensor is too large")
            }
            TensorErrorKind::Length => {
                f.write_str("the tensor's bytes do not have the length of its shape")
            }
            TensorErrorKind::NotFinite => {
                write!(f, "a value that is not finite at byte {}", self.offset)
            }
            TensorErrorKind::Padding => {
                write!(f, "padding that is not zero at byte {}", self.offset)
            }
        }
    }
}
