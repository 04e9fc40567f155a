//! `cultivar unbake`: a baked model's base, bit for bit.
//!
//! Baking never changes the base, so taking it back means finding it: the genome names its weights,
//! and what is given out is that package's own bytes, every digest checked. Nothing is subtracted,
//! because storing in a narrow format loses what could be subtracted.

use super::Command;
use super::verify::is_whole;
use crate::adapter_files::output_path;
use crate::arguments::{Arguments, Flag};
use crate::failure::{Exit, Failure};
use crate::output::Report;
use crate::package_file::PackageFile;
use crate::part_file::PartFile;
use cultivar_core::json::{self, JsonValue, JsonWriter};
use cultivar_core::package::SectionId;
use std::path::Path;

/// Bytes copied at once.
const COPY_BYTES: u64 = 16 << 20;

pub const COMMAND: Command = Command {
    name: "unbake",
    summary: "Give back the base that a baked model was made from",
    usage: &["CHILD.slm --base BASE.slm [-o OUT.slm] [--json]"],
    about: "CHILD's genome names the weights of its base. BASE is verified wholly and compared\n\
            with it; -o writes it anew, byte for byte. Exit code 1: CHILD has another base, or\n\
            BASE is damaged, and nothing is written.",
    flags: &[
        Flag::with(
            "--base",
            "BASE.slm",
            "the package that is thought to be the base",
        ),
        Flag {
            name: "--out",
            short: "-o",
            repeats: false,
            value: "OUT.slm",
            help: "where the base goes",
        },
    ],
    run,
};

fn run(given: &Arguments) -> Result<Report, Failure> {
    let child = given.file()?;
    let base = given.path("--base");
    let base = base.ok_or_else(|| Failure::usage("which base? Give --base BASE.slm"))?;
    let wanted = base_of(child)?;
    let found = PackageFile::open(base)?
        .head()?
        .identities
        .weights
        .to_string();
    let is_base = found == wanted;
    let is_whole = is_base && is_whole(base)?;
    let mut out = None;
    if is_whole && given.path("--out").is_some() {
        let path = output_path(given, "OUT.slm", &[child, base])?;
        copy(base, path)?;
        out = Some(path);
    }
    let mut json = JsonWriter::new();
    json.begin_object()
        .field_str("schema", "cultivar.unbake.v1")
        .field_str("base_weights", &wanted)
        .field_str("found_weights", &found)
        .field_bool("is_base", is_base)
        .field_bool("is_whole", is_whole);
    if let Some(out) = out {
        json.field_str("out", &out.to_string_lossy());
    }
    json.end_object();
    let text = match (is_base, is_whole, out) {
        (false, ..) => format!(
            "{} has the weights {found}, but the base of {} had {wanted}\n",
            base.display(),
            child.display()
        ),
        (_, false, _) => format!("{} is damaged: see cultivar verify\n", base.display()),
        (.., None) => format!("{} is the base of {}\n", base.display(), child.display()),
        (.., Some(out)) => format!(
            "{}: the base, byte for byte, weights {found}\n",
            out.display()
        ),
    };
    Ok(Report {
        json: json.finish(),
        text,
        is_no: !is_whole,
    })
}

/// The weights of the base that this model's genome names.
fn base_of(child: &Path) -> Result<String, Failure> {
    let mut file = PackageFile::open(child)?;
    let head = file.head()?;
    let tail = file.tail(&head)?;
    let genome = tail.section(SectionId::GENOME).unwrap_or_default();
    let genome = json::parse_unique(genome).ok();
    let text = |value: &JsonValue, key: &str| {
        let found = value.get(key).and_then(JsonValue::as_str);
        found.map(String::from)
    };
    let is_baked = |genome: &JsonValue| text(genome, "operator").as_deref() == Some("bake");
    let genome = genome.filter(is_baked);
    let parents = genome
        .as_ref()
        .and_then(|genome| genome.get("parents")?.as_array());
    let base = parents.and_then(|parents| {
        let is_base = |parent: &&JsonValue| text(parent, "role").as_deref() == Some("base");
        text(parents.iter().find(is_base)?, "weights")
    });
    base.ok_or_else(|| {
        let message = "was not baked: it has no genome that names a base";
        Failure::new(Exit::BadInput, message).about(child)
    })
}

/// The package's bytes under another name, which it gets when all are there.
fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let mut file = PackageFile::open(from)?;
    let mut sink = PartFile::create(to)?;
    let mut offset = 0;
    while offset < file.file_bytes {
        let n_bytes = COPY_BYTES.min(file.file_bytes - offset);
        sink.write_at(offset, &file.bytes(offset, n_bytes)?)?;
        offset += n_bytes;
    }
    sink.finish()
}
