//! llama2.c (Andrej Karpathy, 2023): checkpoints of version 0 and their tokenizer files.
//!
//! The checkpoint has no names, no vocabulary and no magic number: everything follows from seven
//! integers, so the file's length is the proof that they were read rightly. The engine must never
//! see its interleaved rotary rows; they are put into half-split order on the way.

pub(crate) mod checkpoint;
pub(crate) mod tokenizer_file;
