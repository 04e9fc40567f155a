//! `cultivar tokenize`: text to token ids, by a package's or any model's tokenizer. Reads no
//! weights.

use super::Command;
use crate::arguments::{Arguments, Flag};
use crate::failure::{Exit, Failure};
use crate::output::Report;
use crate::tokenizer_file;
use cultivar_core::json::JsonWriter;
use cultivar_core::tokenizer::EncodeOptions;
use std::borrow::Cow;

pub const COMMAND: Command = Command {
    name: "tokenize",
    summary: "Turn text into token ids",
    usage: &["FILE (--text TEXT | --file F) [--special] [--no-bos] [--json]"],
    about: "FILE is a package, a GGUF file (vocabulary alone too), a tokenizer.json, a\n\
            tokenizer.model, a vocab.json with its merges.txt beside it, or a folder with one of\n\
            these.",
    flags: &[
        Flag::with("--text", "TEXT", "the text"),
        Flag::with("--file", "F", "a UTF-8 file that holds the text"),
        Flag::switch(
            "--special",
            "markers such as <s> in the text become their ids",
        ),
        Flag::switch("--no-bos", "do not begin with the begin marker"),
    ],
    run,
};

fn run(given: &Arguments) -> Result<Report, Failure> {
    let path = given.file()?;
    let text = match (given.text("--text")?, given.path("--file")) {
        (Some(text), None) => Cow::Borrowed(text),
        (None, Some(file)) => {
            let bytes = std::fs::read(file).map_err(|error| Failure::reading(file, &error))?;
            let text = String::from_utf8(bytes).map_err(|error| {
                let place = error.utf8_error().valid_up_to();
                Failure::new(Exit::BadInput, format!("not UTF-8 at byte {place}")).about(file)
            })?;
            Cow::Owned(text)
        }
        _ => return Err(Failure::usage("give either --text or --file")),
    };
    let tokenizer = tokenizer_file::open(path)?;
    let options = EncodeOptions {
        add_bos: given.has("--no-bos").then_some(false),
        parse_special: given.has("--special"),
    };
    let ids = tokenizer.ids(&text, options)?;
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str("schema", "cultivar.tokenize.v1");
    json.field_u32s("ids", &ids);
    json.field_u64("n_ids", ids.len() as u64);
    json.end_object();
    let words: Vec<String> = ids.iter().map(u32::to_string).collect();
    Ok(Report::new(json.finish(), words.join(",") + "\n"))
}
