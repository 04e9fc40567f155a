//! `cultivar import`: foreign model files into one package, written beside its place and renamed.

use super::{Command, human_bytes};
use crate::adapter_files::EXACT_BASE_FLAG;
use crate::arguments::{Arguments, Flag};
use crate::failure::{Exit, Failure};
use crate::output::{self, Report};
use crate::package_file::PackageFile;
use crate::part_file::PartFile;
use cultivar_core::json::{self, JsonValue, JsonWriter};
use cultivar_core::package::{Head, Tail};
use cultivar_core::tokenizer::ChatFormat;
use cultivar_import::{ImportOptions, ImportStep, Importer, Requantize, SourceInfo, TargetFormat};
use std::fs::File;
use std::io::{IsTerminal, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

pub const COMMAND: Command = Command {
    name: "import",
    summary: "Make a package from foreign model files",
    usage: &[
        "INPUT… -o OUT [--format FORMAT] [--requantize q8_0|nearest] [--json]",
        "ADAPTER_DIR_OR_GGUF --base MODEL.slm -o OUT.sla [--exact-base] [--json]",
    ],
    about: "INPUT is files or a folder, in any order. Known: GGUF (versions 2 and 3, also split),\n\
            safetensors with config.json and a tokenizer (a Hugging Face folder, also sharded),\n\
            and llama2.c checkpoints (version 0) with their tokenizer file.\n\n\
            FORMAT: keep (as the source), f32, f16, bf16, q8_0, q6_k, q5_0, q4_k, q4_0, or a mix:\n\
            q4_k_m (output and half of the value and down matrices q6_k), q4_k_l (embedding and\n\
            output q8_0 too). Formats apply to matrices: norms and biases stay f32, and rows that\n\
            are no multiple of 32 become f16 where blocks are asked for. Where formats are kept,\n\
            blocks of others (q4_1, q5_k, iq4_nl, …) are decoded exactly and become --requantize.\n\
            What that loses is recorded. What running the model takes is told before a weight is\n\
            read (on a terminal) and in the report.\n\n\
            OUT appears only when it is complete and read back; an older one stays until then.\n\
            An import that is killed (Ctrl-C) leaves OUT.N.part, N its process id. Its head is\n\
            written last, so that no command takes half a package for one; it may be deleted.",
    flags: &[
        Flag {
            name: "--out",
            short: "-o",
            repeats: false,
            value: "OUT",
            help: "the package to write, NAME.slm",
        },
        Flag::with("--format", "FORMAT", "how matrices are stored (keep)"),
        Flag::with(
            "--requantize",
            "CHOICE",
            "what unkept blocks become: q8_0 or nearest (q8_0)",
        ),
        Flag::with(
            "--name",
            "TEXT",
            "the model's name (the file's, without its ending)",
        ),
        Flag::with("--license", "TEXT", "its licence (the one its files state)"),
        Flag::with("--source", "TEXT", "where it comes from"),
        Flag::with("--notes", "TEXT", "anything else worth keeping"),
        Flag::with(
            "--base",
            "MODEL.slm",
            "import a LoRA adapter for this model",
        ),
        EXACT_BASE_FLAG,
    ],
    run,
};

/// Source bytes read per step.
const STEP_BYTES: u64 = 4 << 20;

fn run(given: &Arguments) -> Result<Report, Failure> {
    if let Some(base) = given.path("--base") {
        return super::import_adapter::run(given, base);
    }
    let out = given
        .path("--out")
        .ok_or_else(|| Failure::usage("where to? Give -o OUT"))?;
    let format = match given.text("--format")? {
        Some(name) => TargetFormat::from_name(name).map_err(|error| {
            let mut failure = Failure::from(error);
            failure.message = format!("--format: {}", failure.message);
            failure
        })?,
        None => TargetFormat::Keep,
    };
    let requantize = match given.text("--requantize")? {
        Some(name) => Requantize::from_name(name)?,
        None => Requantize::default(),
    };
    let text = |flag| given.text(flag).map(|text| text.unwrap_or("").to_string());
    let (paths, has_folder) = input_files(given)?;
    let options = ImportOptions {
        format,
        requantize,
        name: text("--name")?,
        license: text("--license")?,
        source: text("--source")?,
        notes: text("--notes")?,
        skip_unrecognised: has_folder,
    };
    let mut sources = Vec::with_capacity(paths.len());
    let mut files = Vec::with_capacity(paths.len());
    for path in &paths {
        let (info, file) = open_source(path, out)?;
        sources.push(info);
        files.push(file);
    }
    let mut importer = Importer::new(sources, options)?;
    let mut sink = PartFile::create(out)?;
    convert(&mut importer, &mut files, &paths, &mut sink)?;
    // What was written is read back before it gets its name.
    let mut written = PackageFile::open(sink.part())?;
    let head = written.head()?;
    let tail = written.tail(&head)?;
    drop(written);
    sink.finish()?;
    Ok(report(&importer, format, out, &head, &tail))
}

/// The files given, folders replaced by what they hold; and whether there was a folder.
fn input_files(given: &Arguments) -> Result<(Vec<PathBuf>, bool), Failure> {
    let mut paths = Vec::new();
    let mut has_folder = false;
    for path in given.files()?.iter().map(Path::new) {
        if !path.is_dir() {
            paths.push(path.to_path_buf());
            continue;
        }
        has_folder = true;
        let reading = |error| Failure::reading(path, &error);
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(reading)? {
            let entry = entry.map_err(reading)?.path();
            if entry.is_file() {
                inside.push(entry);
            }
        }
        inside.sort();
        paths.extend(inside);
    }
    Ok((paths, has_folder))
}

fn open_source(path: &Path, out: &Path) -> Result<(SourceInfo, File), Failure> {
    let reading = |error| Failure::reading(path, &error);
    let file = File::open(path).map_err(reading)?;
    let bytes = file.metadata().map_err(reading)?.len();
    let same = match (path.canonicalize(), out.canonicalize()) {
        (Ok(path), Ok(out)) => path == out,
        _ => false,
    };
    if same {
        return Err(Failure::usage("is both an input and the output").about(path));
    }
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned();
    Ok((SourceInfo { name, bytes }, file))
}

/// Works the importer's steps off.
fn convert(
    importer: &mut Importer,
    files: &mut [File],
    paths: &[PathBuf],
    sink: &mut PartFile,
) -> Result<(), Failure> {
    let mut buffer: Vec<u8> = Vec::new();
    let shows_progress = std::io::stderr().is_terminal();
    let mut is_estimated = false;
    loop {
        let step = importer.step(STEP_BYTES)?;
        if shows_progress
            && !is_estimated
            && let Some(estimate) = estimate(importer)
        {
            output::note(&estimate);
            is_estimated = true;
        }
        match step {
            ImportStep::Read {
                source,
                offset,
                len,
            } => {
                let (Some(file), Some(path)) = (files.get_mut(source), paths.get(source)) else {
                    return Err(Failure::new(Exit::BadInput, "a source is gone"));
                };
                let n_bytes = usize::try_from(len).unwrap_or(usize::MAX);
                buffer.clear();
                if buffer.try_reserve_exact(n_bytes).is_err() {
                    let message = format!("out of memory: {n_bytes} bytes");
                    return Err(Failure::new(Exit::OutOfSpace, message));
                }
                buffer.resize(n_bytes, 0);
                let read = file.seek(SeekFrom::Start(offset));
                let read = read.and_then(|_| file.read_exact(&mut buffer));
                read.map_err(|error| Failure::reading(path, &error))?;
                importer.supply(&buffer)?;
            }
            ImportStep::Write { offset } => sink.write_at(offset, importer.output())?,
            ImportStep::Progress {
                done_bytes,
                total_bytes,
            } => {
                if shows_progress && total_bytes > 64 << 20 {
                    let percent = done_bytes * 100 / total_bytes;
                    eprint!("\rconverting: {percent} %");
                }
            }
            ImportStep::Done => {
                if shows_progress && importer.progress().1 > 64 << 20 {
                    output::note("");
                }
                return Ok(());
            }
        }
    }
}

/// What running the model at its whole context takes, once the files' headers are read.
fn estimate(importer: &Importer) -> Option<String> {
    let plan = json::parse(importer.plan_json().as_bytes()).ok()?;
    let count = |value: &JsonValue, key: &str| value.get(key).and_then(JsonValue::as_u64);
    let memory = plan.get("memory")?;
    let bytes = |key: &str| count(memory, key).map(human_bytes);
    Some(format!(
        "running it takes {}: weights {}, keys and values of {} tokens {}, workspace {}",
        bytes("total_bytes")?,
        bytes("weights_bytes")?,
        count(&plan, "context_len")?,
        bytes("kv_bytes")?,
        bytes("workspace_bytes")?,
    ))
}

fn report(
    importer: &Importer,
    format: TargetFormat,
    out: &Path,
    head: &Head,
    tail: &Tail,
) -> Report {
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str("schema", "cultivar.import.v1");
    json.field_str("out", &out.to_string_lossy());
    json.field_str("format", format.name());
    json.field_u64("file_bytes", importer.file_bytes());
    json.field_u64("n_parameters", head.directory.n_parameters());
    json.field_u64("n_tensors", head.directory.entries().len() as u64);
    let chat = chat_family(head);
    if let Some(family) = &chat {
        json.field_str("chat_format", family);
    }
    json.key("identities").begin_object();
    json.field_display("content", tail.content);
    json.field_display("weights", head.identities.weights);
    json.field_display("architecture", head.identities.architecture);
    json.field_display("tokenizer", head.identities.tokenizer);
    json.field_display("tensor_schema", head.identities.tensor_schema);
    json.end_object();
    json.key("plan").raw(importer.plan_json());
    json.key("conversion_record").raw(importer.record_json());
    json.end_object();
    let mut text = format!(
        "{}: {} parameters, {}, content {}\n",
        out.display(),
        head.directory.n_parameters(),
        human_bytes(importer.file_bytes()),
        tail.content,
    );
    if let Some(estimate) = estimate(importer) {
        text += &format!("{estimate}\n");
    }
    match chat.as_deref() {
        Some("plain") => text.push_str(
            "chat template of no known family, kept as text; chats use the plain format \
             (User: … Assistant: …)\n",
        ),
        Some(family) => text += &format!("chat format: {family}\n"),
        None => {}
    }
    Report::new(json.finish(), text)
}

/// The family of the package's chat format, `plain` for a template of none; nothing without one.
fn chat_family(head: &Head) -> Option<String> {
    let stored = head.chat_template.as_deref()?;
    let known = ChatFormat::from_stored(stored).ok().flatten();
    Some(known.unwrap_or_else(ChatFormat::plain).family)
}
