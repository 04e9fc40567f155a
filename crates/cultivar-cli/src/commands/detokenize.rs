//! `cultivar detokenize`: token ids to text, by a package's or any model's tokenizer. Reads no
//! weights.

use super::Command;
use crate::arguments::{Arguments, Flag};
use crate::failure::Failure;
use crate::output::Report;
use crate::tokenizer_file;
use cultivar_core::json::JsonWriter;

pub const COMMAND: Command = Command {
    name: "detokenize",
    summary: "Turn token ids into text",
    usage: &["FILE --ids 1,2,3 [--json]"],
    about: "FILE is a package, a GGUF file (vocabulary alone too), a tokenizer.json, a\n\
            tokenizer.model, a vocab.json with its merges.txt beside it, or a folder with one of\n\
            these. Markers give no text; bytes that are no UTF-8 become U+FFFD.",
    flags: &[Flag::with("--ids", "1,2,3", "the ids")],
    run,
};

fn run(given: &Arguments) -> Result<Report, Failure> {
    let path = given.file()?;
    let ids = given
        .ids("--ids")?
        .ok_or_else(|| Failure::usage("give --ids"))?;
    let tokenizer = tokenizer_file::open(path)?;
    let text = tokenizer.decode(&ids)?;
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str("schema", "cultivar.detokenize.v1");
    json.field_str("text", &text);
    json.end_object();
    Ok(Report::new(json.finish(), text + "\n"))
}
