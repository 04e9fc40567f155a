//! A tokenizer on disk: in a package, in a GGUF file, or alone as Hugging Face and SentencePiece
//! write it. The kind is told from the content; weights are never read.
//!
//! Beside a tokenizer.json or tokenizer.model, tokenizer_config.json and generation_config.json
//! are read if they are there, since they name the special tokens; beside a vocab.json, merges.txt.

use crate::failure::{Exit, Failure};
use crate::package_file::PackageFile;
use cultivar_core::json::{self, JsonValue};
use cultivar_core::package::MAGIC;
use cultivar_core::tokenizer::Tokenizer;
use cultivar_import::ImportError;
use cultivar_import::gguf::{self, Gguf, HEADER_BYTES_MAX, Parsed};
use cultivar_import::tokenizers::{
    ForeignTokenizer, SideFiles, from_gguf, from_json, from_sentencepiece, from_vocab_and_merges,
    is_sentencepiece,
};
use std::io::Read;
use std::path::Path;

/// Longest file of a tokenizer alone; the largest in use have 40 MB.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Files that a folder is looked through for, the best first.
const NAMES: &[&str] = &["tokenizer.json", "tokenizer.model", "vocab.json"];

/// Opens the tokenizer of a file, or of a folder with one in it.
pub fn open(path: &Path) -> Result<Tokenizer, Failure> {
    if path.is_dir() {
        let found = NAMES.iter().map(|name| path.join(name));
        return match found.into_iter().find(|file| file.is_file()) {
            Some(file) => open(&file),
            None => {
                let message = "holds none of tokenizer.json, tokenizer.model, vocab.json";
                Err(Failure::new(Exit::BadInput, message).about(path))
            }
        };
    }
    let mut start = [0u8; 8];
    let n_start = std::fs::File::open(path)
        .and_then(|mut file| file.read(&mut start))
        .map_err(|error| Failure::reading(path, &error))?;
    let start = start.get(..n_start).unwrap_or_default();
    let about = |error: ImportError| Failure::from(error).about(path);
    let foreign = if start.starts_with(gguf::MAGIC) {
        of_gguf(path)?
    } else if is_sentencepiece(start) {
        let beside = Beside::read(path)?;
        from_sentencepiece(&whole(path)?, &beside.side_files()).map_err(about)?
    } else if start != MAGIC && start.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
    {
        of_json(path)?
    } else {
        let mut file = PackageFile::open(path)?;
        let tokenizer = file.head()?.tokenizer;
        return Tokenizer::new(tokenizer).map_err(|error| file.about(error));
    };
    Tokenizer::new(foreign.record).map_err(|error| Failure::from(error).about(path))
}

/// The files beside a tokenizer, parsed.
struct Beside {
    tokenizer_config: Option<JsonValue>,
    generation_config: Option<JsonValue>,
}

impl Beside {
    fn read(path: &Path) -> Result<Beside, Failure> {
        let read = |name: &str| {
            let file = path.with_file_name(name);
            file.is_file().then(|| parsed(&file)).transpose()
        };
        Ok(Beside {
            tokenizer_config: read("tokenizer_config.json")?,
            generation_config: read("generation_config.json")?,
        })
    }

    fn side_files(&self) -> SideFiles<'_> {
        SideFiles {
            tokenizer_config: self.tokenizer_config.as_ref(),
            generation_config: self.generation_config.as_ref(),
            model_config: None,
        }
    }
}

/// A file that is read whole.
fn whole(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut file = PackageFile::open(path)?;
    let n_bytes = file.file_bytes;
    if n_bytes > FILE_BYTES_MAX {
        let message =
            format!("has {n_bytes} bytes; a tokenizer's file has at most {FILE_BYTES_MAX}");
        return Err(Failure::new(Exit::BadInput, message).about(path));
    }
    file.bytes(0, n_bytes)
}

fn parsed(path: &Path) -> Result<JsonValue, Failure> {
    json::parse(&whole(path)?).map_err(|error| Failure::from(ImportError::from(error)).about(path))
}

/// tokenizer.json, or vocab.json with merges.txt beside it.
fn of_json(path: &Path) -> Result<ForeignTokenizer, Failure> {
    let file = parsed(path)?;
    let beside = Beside::read(path)?;
    let about = |error: ImportError| Failure::from(error).about(path);
    if file
        .get("model")
        .is_some_and(|model| model.as_object().is_some())
    {
        return from_json(&file, &beside.side_files()).map_err(about);
    }
    let merges_path = path.with_file_name("merges.txt");
    if !merges_path.is_file() {
        let message = "is neither a tokenizer.json nor a vocab.json with a merges.txt beside it";
        return Err(Failure::new(Exit::BadInput, message).about(path));
    }
    let merges = String::from_utf8(whole(&merges_path)?).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        Failure::new(Exit::BadInput, format!("not UTF-8 at byte {place}")).about(&merges_path)
    })?;
    from_vocab_and_merges(&file, &merges, &beside.side_files()).map_err(about)
}

/// The header of a GGUF file, read as far as it goes.
fn of_gguf(path: &Path) -> Result<ForeignTokenizer, Failure> {
    let mut file = PackageFile::open(path)?;
    let file_bytes = file.file_bytes;
    let mut n_bytes = file_bytes.min(1 << 20);
    loop {
        let bytes = file.bytes(0, n_bytes)?;
        let parsed = Gguf::parse(&bytes, file_bytes).map_err(|error| file.about(error))?;
        match parsed {
            Parsed::Whole(header) => {
                return from_gguf(&header).map_err(|error| file.about(error));
            }
            Parsed::More(more) => n_bytes = more.min(HEADER_BYTES_MAX),
        }
    }
}
