//! Every error of an import as a sentence that a person can act on.
//!
//! One row per rule: its code and what to say, with `{field}`, `{0}` and `{1}` for the error's
//! field and numbers and `{-0}` for the first number with its sign.

use crate::error::{ImportError, ImportErrorKind};
use crate::tokenizers;
use core::fmt::{self, Write};

const SENTENCES: &[(i32, &str)] = &[
    (
        500,
        "no model file was given; give a GGUF file, a Hugging Face folder, or a llama2.c \
         checkpoint and its tokenizer file",
    ),
    (501, "{0} files were given; an import takes at most {1}"),
    (502, "the file is empty"),
    (
        503,
        "not a model file that can be imported; known are GGUF, safetensors with their JSON files, \
         and llama2.c checkpoints (version 0) with their tokenizer files",
    ),
    (504, "{field} files are not supported yet by this version"),
    (
        505,
        "this is a Cultivar package already; open it instead of importing it",
    ),
    (
        506,
        "this llama2.c checkpoint needs its tokenizer file too, e.g. tok512.bin",
    ),
    (
        507,
        "this llama2.c tokenizer file needs its checkpoint too, e.g. stories260K.bin",
    ),
    (508, "a second {field}; an import takes one of each kind"),
    (
        509,
        "the file is cut off: its header calls for {0} bytes, but it has {1}",
    ),
    (
        510,
        "the header calls for {0} bytes, but the file has {1}: the header is wrong or something \
         was appended",
    ),
    (511, "header field {field} has the impossible value {-0}"),
    (
        512,
        "{field} is {0} here but {1} in the other file: they do not fit together",
    ),
    (
        513,
        "weight {0} of tensor {field} is infinite or not a number",
    ),
    (
        514,
        "a weight in row {0} of tensor {field} is too large for the chosen format; use f32",
    ),
    (
        515,
        "piece {0} of the vocabulary is cut off or has an impossible length",
    ),
    (516, "the vocabulary has more than {0} pieces"),
    (
        517,
        "the file has {1} bytes; a file of its kind has at most {0}",
    ),
    (518, "out of memory: {0} bytes refused"),
    (
        519,
        "{1} bytes arrived where {0} were asked for: did the file change?",
    ),
    (520, "the import was called out of order"),
    (
        522,
        "there is no format {field}; use keep, f32, f16, bf16, q8_0, q6_k, q5_0, q4_k, q4_0, \
         q4_k_m or q4_k_l",
    ),
    (
        523,
        "this GGUF file is big-endian; only little-endian files can be imported",
    ),
    (524, "GGUF version {0} is not read; versions 2 and 3 are"),
    (525, "{field} is {0}, more than the {1} that are possible"),
    (
        526,
        "metadata key {field} has a value of unknown type {0}, or an array of arrays",
    ),
    (527, "metadata key {field} stands twice"),
    (528, "the name at byte {0} is empty, too long or not UTF-8"),
    (529, "{field} has a value of the wrong type or out of range"),
    (530, "{field} is missing; the model needs it"),
    (531, "tensor {field} has an unknown element type ({0})"),
    (
        532,
        "tensor {field} has impossible dimensions ({0} of them, rows of {1})",
    ),
    (
        533,
        "tensor {field} (bytes {0} to {1}) does not lie within the file or not at its alignment",
    ),
    (
        534,
        "tensor {field} begins at byte {0}, before the end of another at {1}",
    ),
    (535, "bytes {0} to {1} of the file belong to no tensor"),
    (
        536,
        "tensor {field} has {1} bytes where its shape calls for {0}",
    ),
    (537, "tensor {field} stands twice"),
    (
        538,
        "a scale in row {0} of tensor {field} is infinite or not a number",
    ),
    (
        539,
        "architecture {field} is not supported; supported are {supported}",
    ),
    (540, "option {field} is not supported"),
    (541, "tensor {field} is missing"),
    (
        542,
        "tensor {field} is none that a model of this configuration has",
    ),
    (
        543,
        "a dimension of tensor {field} is {1} where the configuration calls for {0}",
    ),
    (
        544,
        "tensor {field} has {1} dimensions where the configuration calls for {0}",
    ),
    (
        545,
        "this GGUF file holds only a vocabulary; give one with weights",
    ),
    (
        546,
        "file {0} of {1} of this model is missing ({field}); give all of them at once",
    ),
    (
        547,
        "the files of this model contradict one another about {field}",
    ),
    (
        548,
        "{field} is missing; give all files of the model at once",
    ),
    (
        549,
        "files of more than one model were given; give those of one at a time",
    ),
    (
        550,
        "{field} is no choice for re-quantized tensors; use q8_0 or nearest",
    ),
    (
        551,
        "tensor {field} has elements of type {type}, which cannot be imported",
    ),
    (
        552,
        "{field} cannot be expressed in the format of the export",
    ),
];

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}: ", self.file)?;
        }
        match &self.kind {
            ImportErrorKind::Package(error) => error.fmt(f),
            ImportErrorKind::Config(error) => error.fmt(f),
            ImportErrorKind::Tokenizer(error) => error.fmt(f),
            ImportErrorKind::Json(error) => error.fmt(f),
            _ => {
                let code = self.code();
                let mut rows = SENTENCES.iter().chain(tokenizers::SENTENCES);
                let row = rows.find(|(known, _)| *known == code);
                self.fill_in(f, row.map_or("", |(_, sentence)| sentence))
            }
        }
    }
}

impl ImportErrorKind {
    /// The element type that is not read.
    fn type_name(&self) -> &'static str {
        match self {
            ImportErrorKind::TensorTypeUnread(name) => name,
            _ => "",
        }
    }
}

impl ImportError {
    /// Writes a sentence with the error's field and numbers in their places.
    fn fill_in(&self, f: &mut fmt::Formatter<'_>, sentence: &str) -> fmt::Result {
        let [first, second] = self.numbers;
        let mut rest = sentence;
        while let Some((before, after)) = rest.split_once('{') {
            f.write_str(before)?;
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            match name {
                "field" => f.write_str(self.field.as_str())?,
                "0" => write!(f, "{first}")?,
                "1" => write!(f, "{second}")?,
                "-0" => write!(f, "{}", first as i64)?,
                "supported" => f.write_str(crate::architecture::SUPPORTED)?,
                "type" => f.write_str(self.kind.type_name())?,
                _ => f.write_char('?')?,
            }
            rest = after;
        }
        f.write_str(rest)
    }
}

impl core::error::Error for ImportError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn every_code_has_one_sentence_without_unknown_places() {
        for table in [SENTENCES, tokenizers::SENTENCES] {
            for [(a, _), (b, _)] in table.array_windows() {
                assert!(a < b, "codes ascend");
            }
        }
        let error = ImportError::new(ImportErrorKind::NoSource).field("x");
        for (code, sentence) in SENTENCES.iter().chain(tokenizers::SENTENCES) {
            let places = sentence
                .split('{')
                .skip(1)
                .map(|rest| rest.split_once('}').unwrap().0);
            for place in places {
                assert!(
                    ["field", "0", "1", "-0", "supported", "type"].contains(&place),
                    "{code}: {place}"
                );
            }
        }
        assert!(error.to_string().starts_with("no model file"));
        let error = ImportError::new(ImportErrorKind::HeaderField).field("n_heads");
        let error = error.file("m.bin").numbers(-3_i64 as u64, 0);
        let text = "m.bin: header field n_heads has the impossible value -3";
        assert_eq!(error.to_string(), text);
    }
}
