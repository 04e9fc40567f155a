//! `cultivar import --base`: a PEFT folder or a GGUF LoRA file becomes an adapter for that base.

use crate::adapter_files::{name_of, output_path, read};
use crate::arguments::Arguments;
use crate::commands::adapter::write;
use crate::failure::Failure;
use crate::output::Report;
use crate::package_file::PackageFile;
use cultivar_core::adapter::Adapter;
use cultivar_core::json::JsonWriter;
use cultivar_core::package::Head;
use cultivar_import::{LoraFile, LoraOptions, import_adapter};
use std::path::{Path, PathBuf};

/// Files of a PEFT folder that are read; the others (readme, tokenizer, training state) are not.
const PEFT_FILES: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];

pub fn run(given: &Arguments, base: &Path) -> Result<Report, Failure> {
    let paths = paths(given)?;
    let mut inputs: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    inputs.push(base);
    let out = output_path(given, "OUT.sla", &inputs)?;
    let head = PackageFile::open(base)?.head()?;
    let mut files = Vec::new();
    for path in &paths {
        let name = path.file_name().unwrap_or(path.as_os_str());
        files.push((name.to_string_lossy().into_owned(), read(path)?));
    }
    let files: Vec<LoraFile<'_>> = files
        .iter()
        .map(|(name, bytes)| LoraFile { name, bytes })
        .collect();
    let options = LoraOptions {
        name: given.text("--name")?.map_or(name_of(out), String::from),
        exact_base: given.has("--exact-base"),
    };
    let bytes = import_adapter(&files, &head, &options)?;
    write(out, &bytes)?;
    report(out, &bytes, &head)
}

/// The files given; of a folder those that an adapter has.
fn paths(given: &Arguments) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = Vec::new();
    for path in given.files()?.iter().map(Path::new) {
        if !path.is_dir() {
            paths.push(path.to_path_buf());
            continue;
        }
        let inside = PEFT_FILES.iter().map(|name| path.join(name));
        paths.extend(inside.filter(|path| path.is_file()));
    }
    Ok(paths)
}

fn report(out: &Path, bytes: &[u8], base: &Head) -> Result<Report, Failure> {
    let adapter = Adapter::parse(bytes)?;
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str("schema", "cultivar.import.v1");
    json.field_str("out", &out.to_string_lossy());
    json.field_str("kind", "adapter");
    json.field_u64("file_bytes", bytes.len() as u64);
    json.field_u64("n_targets", adapter.head.deltas.len() as u64);
    json.key("identities").begin_object();
    json.field_display("content", adapter.tail.content);
    json.field_display("weights", adapter.head.weights);
    json.field_display("base_weights", base.identities.weights);
    json.end_object();
    json.key("conversion_record")
        .raw(adapter.tail.conversion_record.as_deref().unwrap_or("null"));
    json.end_object();
    let text = format!(
        "{}: adapter with {} targets, weights {}\n",
        out.display(),
        adapter.head.deltas.len(),
        adapter.head.weights
    );
    Ok(Report::new(json.finish(), text))
}
