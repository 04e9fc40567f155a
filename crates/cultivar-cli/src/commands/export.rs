//! `cultivar export`: a package into the files of other programs, each written beside its place and
//! renamed when all are complete.

use super::{Command, human_bytes};
use crate::arguments::{Arguments, Flag};
use crate::failure::Failure;
use crate::output::Report;
use crate::package_file::PackageFile;
use crate::part_file::PartFile;
use cultivar_core::json::JsonWriter;
use cultivar_import::{ExportKind, ExportStep, Exporter};
use std::path::{Path, PathBuf};

pub const COMMAND: Command = Command {
    name: "export",
    summary: "Make a GGUF file or a Hugging Face folder from a package",
    usage: &[
        "MODEL.slm --gguf OUT.gguf [--json]",
        "MODEL.slm --safetensors OUT_DIR [--json]",
    ],
    about: "GGUF keeps every tensor's bits; q4_k and q6_k rows that are no multiple of 256, which\n\
            ggml does not have, become q5_0 and q8_0, and are listed. safetensors keeps f32, f16\n\
            and bf16 and holds blocks as the f32 that they stand for; config.json and the\n\
            tokenizer (tokenizer.model for SentencePiece's BPE, else tokenizer.json) are written\n\
            beside. Chat templates go out as they came. Llama, Mistral, Qwen2, Qwen3 and Gemma\n\
            models can be exported, and others that have no more options than these; GPT-2 and\n\
            GPT-NeoX as GGUF, Mistral's window only as safetensors.",
    flags: &[
        Flag::with("--gguf", "OUT.gguf", "write one GGUF file"),
        Flag::with(
            "--safetensors",
            "OUT_DIR",
            "write model.safetensors and what goes with it",
        ),
    ],
    run,
};

fn run(given: &Arguments) -> Result<Report, Failure> {
    let (kind, out) = match (given.path("--gguf"), given.path("--safetensors")) {
        (Some(out), None) => (ExportKind::Gguf, out),
        (None, Some(out)) => (ExportKind::Safetensors, out),
        _ => {
            return Err(Failure::usage(
                "give --gguf OUT.gguf or --safetensors OUT_DIR",
            ));
        }
    };
    let [path] = given.files()? else {
        return Err(Failure::usage("give one package"));
    };
    let mut package = PackageFile::open(Path::new(path))?;
    let head = package.head()?;
    let mut exporter = Exporter::new(&head, kind).map_err(|error| package.about(error))?;
    let paths = out_paths(&exporter, kind, out)?;
    let mut parts = Vec::with_capacity(paths.len());
    for path in &paths {
        parts.push(PartFile::create(path)?);
    }
    loop {
        match exporter.step()? {
            ExportStep::Read { offset, len } => {
                let bytes = package.bytes(offset, len)?;
                exporter.supply(&bytes)?;
            }
            ExportStep::Write { file, offset } => {
                if let Some(part) = parts.get_mut(file) {
                    part.write_at(offset, exporter.output())?;
                }
            }
            ExportStep::Done => break,
        }
    }
    for part in parts {
        part.finish()?;
    }
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str("schema", "cultivar.export_files.v1");
    json.field_str("out", &out.to_string_lossy());
    json.key("files").begin_array();
    for path in &paths {
        json.string(&path.to_string_lossy());
    }
    json.end_array();
    json.key("report").raw(&exporter.report_json());
    json.end_object();
    let mut text = String::new();
    for note in exporter.notes() {
        text.push_str(&format!("note: {note}\n"));
    }
    let bytes = human_bytes(exporter.n_bytes());
    text.push_str(&format!("{}: {bytes} of weights\n", out.display()));
    Ok(Report::new(json.finish(), text))
}

/// Where each file goes; the folder is made if it is not there.
fn out_paths(exporter: &Exporter, kind: ExportKind, out: &Path) -> Result<Vec<PathBuf>, Failure> {
    if kind == ExportKind::Gguf {
        return Ok(vec![out.to_path_buf()]);
    }
    std::fs::create_dir_all(out).map_err(|error| Failure::writing(out, &error))?;
    let names = exporter.file_names().iter();
    Ok(names.map(|name| out.join(name)).collect())
}
