//! llama2.c (Andrej Karpathy, 2023): checkpoints of version 0 and their tokenizer files.
//!
//! The checkpoint has no names, no vocabulary and no magic number: everything follows from seven
//! integers, so the file's length is the proof that they were read rightly. The engine must never
//! see its interleaved rotary rows; they are put into half-split order on the way.

pub(crate) mod checkpoint;
pub(crate) mod tokenizer_file;

use crate::error::{ImportError, ImportErrorKind};
use crate::model_files::{SourceFile, stem};
use crate::plan::ImportPlan;
use alloc::string::String;
use alloc::vec;
use cultivar_core::package::metadata_key;
use cultivar_core::tokenizer::Tokenizer;

/// The plan of a checkpoint and its tokenizer file, which must have as many pieces.
pub(crate) fn plan(
    checkpoint: &SourceFile<'_>,
    tokenizer: &SourceFile<'_>,
) -> Result<ImportPlan, ImportError> {
    let in_weights = |error: ImportError| error.file(checkpoint.name);
    let in_tokenizer = |error: ImportError| error.file(tokenizer.name);
    let header = checkpoint::Header::parse(checkpoint.kept).map_err(in_weights)?;
    let record = tokenizer_file::parse(tokenizer.kept).map_err(in_tokenizer)?;
    let n_pieces = record.vocab_size() as u64;
    if n_pieces != header.vocab_size() {
        let error = ImportError::new(ImportErrorKind::SizesDisagree).field("vocab_size");
        return Err(in_tokenizer(error.numbers(n_pieces, header.vocab_size())));
    }
    let record = Tokenizer::new(record).map_err(|error| in_tokenizer(error.into()))?;
    let tensors = header.checked_tensors(checkpoint.bytes, checkpoint.idx);
    let tensors = tensors.map_err(in_weights)?;
    let config = header.config();
    let valid = config.validate().and_then(|()| config.check_supported());
    valid.map_err(|error| in_weights(error.into()))?;
    Ok(ImportPlan {
        config,
        tokenizer: record.into_record(),
        chat_template: String::new(),
        metadata: vec![(metadata_key::NAME, String::from(stem(checkpoint.name)))],
        tensors,
    })
}
