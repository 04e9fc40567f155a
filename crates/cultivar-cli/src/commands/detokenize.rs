//! `cultivar detokenize`: token ids to text, by the package's own tokenizer. Reads no weights.

use super::Command;
use crate::arguments::{Arguments, Flag};
use crate::failure::Failure;
use crate::output::Report;
use crate::package_file::PackageFile;
use cultivar_core::json::JsonWriter;
use cultivar_core::tokenizer::Tokenizer;

pub const COMMAND: Command = Command {
    name: "detokenize",
    summary: "Turn token ids into text",
    usage: &["FILE --ids 1,2,3 [--json]"],
    about: "Markers give no text; bytes that are no UTF-8 become U+FFFD.",
    flags: &[Flag::with("--ids", "1,2,3", "the ids")],
    run,
};

fn run(given: &Arguments) -> Result<Report, Failure> {
    let path = given.file()?;
    let ids = given
        .ids("--ids")?
        .ok_or_else(|| Failure::usage("give --ids"))?;
    let mut file = PackageFile::open(path)?;
    let tokenizer = Tokenizer::new(file.head()?.tokenizer).map_err(|error| file.about(error))?;
    let text = tokenizer.decode(&ids)?;
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str("schema", "cultivar.detokenize.v1");
    json.field_str("text", &text);
    json.end_object();
    Ok(Report::new(json.finish(), text + "\n"))
}
