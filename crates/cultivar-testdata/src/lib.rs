//! testdata.

