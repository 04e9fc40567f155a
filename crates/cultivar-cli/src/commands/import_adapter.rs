//! `cultivar import --base`: a PEFT folder or a GGUF LoRA file becomes an adapter for that base.

use crate::adapter_files::{name_of, output_path, read};
use crate::arguments::Arguments;
use crate::commands::adapter::write;
use crate::failure::Failure;
use crate::output::Report;
use crate::package_file::PackageFile;
use cultivar_core::adapter::Adapter;
use cultivar_core::package::Head;
use cultivar_import::{LoraFile, LoraOptions, adapter_report, import_adapter};
use std::path::{Path, PathBuf};

/// Files of a PEFT folder that are read; the others (tokenizer, training state) are not.
const PEFT_FILES: [&str; 3] = [
    "adapter_config.json",
    "adapter_model.safetensors",
    "README.md",
];

pub fn run(given: &Arguments, base: &Path) -> Result<Report, Failure> {
    for flag in ["--format", "--requantize"] {
        if given.has(flag) {
            let why = "is for models: an adapter's factors stay as they are stored";
            return Err(Failure::usage(format!("{flag} {why}")));
        }
    }
    let text = |flag| given.text(flag).map(|text| text.unwrap_or("").to_string());
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
        license: text("--license")?,
        source: text("--source")?,
        notes: text("--notes")?,
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
    let out_text = out.to_string_lossy();
    let json = adapter_report(&adapter, bytes.len() as u64, base, Some(&out_text));
    let text = format!(
        "{}: adapter with {} targets, weights {}\n",
        out.display(),
        adapter.head.deltas.len(),
        adapter.head.weights
    );
    Ok(Report::new(json, text))
}
