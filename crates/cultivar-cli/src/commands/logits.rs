//! `cultivar logits`: what the model thinks comes next, after the last position or after each.

use super::{BACKEND_FLAG, Command, KV_FLAG, backend, kv_format};
use crate::adapter_files::{self, ADAPTER_FLAG};
use crate::arguments::{Arguments, Flag};
use crate::failure::Failure;
use crate::output::Report;
use crate::package_file::PackageFile;
use crate::part_file::PartFile;
use cultivar_core::digest::Digest;
use cultivar_core::json::JsonWriter;
use cultivar_core::model::{Engine, EngineOptions, Row};
use std::fmt::Write;
use std::path::Path;

pub const COMMAND: Command = Command {
    name: "logits",
    summary: "Print the likeliest next tokens, or write all logits to a file",
    usage: &[
        "FILE --prompt-ids 1,2,3 [--top N] [--json]",
        "FILE --prompt-ids 1,2,3 --all -o F [--json]",
    ],
    about: "F gets raw little-endian f32, one row of vocab_size per prompt position.",
    flags: &[
        Flag::with("--prompt-ids", "1,2,3", "the prompt as token ids"),
        Flag::with("--top", "N", "how many tokens to print (10)"),
        Flag::switch("--all", "logits after every position, with -o"),
        Flag {
            name: "--out",
            short: "-o",
            repeats: false,
            value: "F",
            help: "file for --all",
        },
        ADAPTER_FLAG,
        KV_FLAG,
        BACKEND_FLAG,
    ],
    run,
};

fn run(given: &Arguments) -> Result<Report, Failure> {
    let path = given.file()?;
    let ids = given
        .ids("--prompt-ids")?
        .ok_or_else(|| Failure::usage("give --prompt-ids"))?;
    let n_top = given.number::<usize>("--top")?;
    let out = match (given.has("--all"), given.path("--out"), n_top) {
        (true, Some(out), None) => Some(out),
        (true, None, _) => return Err(Failure::usage("--all needs -o F")),
        (true, _, Some(_)) => return Err(Failure::usage("--top does not go with --all")),
        (false, Some(_), _) => return Err(Failure::usage("-o needs --all")),
        (false, None, _) => None,
    };
    let kv = kv_format(given)?;
    let mut options = EngineOptions {
        backend: backend(given)?,
        ..EngineOptions::default()
    };
    if out.is_some() {
        options.max_logit_rows = options.max_rows;
    }
    let mut file = PackageFile::open(path)?;
    let mut engine = Engine::new(file.model()?, options).map_err(|error| file.about(error))?;
    let context_len = engine.model.dims.context_len;
    if ids.len() > context_len {
        let message = format!("{} ids do not fit the context of {context_len}", ids.len());
        return Err(Failure::usage(message));
    }
    let stack = adapter_files::put(given, &mut engine)?;
    let sequence = engine.open_sequence(ids.len(), kv)?;
    engine.use_stack(sequence, stack)?;
    let assembly = engine.assembly(stack);
    let mut rows = (0u32..).zip(&ids).map(|(position, &token)| Row {
        sequence,
        position,
        token,
        wants_logits: out.is_some() || position as usize + 1 == ids.len(),
    });
    let mut sink = out.map(PartFile::create).transpose()?;
    let mut n_written = 0;
    loop {
        let batch: Vec<Row> = rows.by_ref().take(engine.max_rows()).collect();
        if batch.is_empty() {
            break;
        }
        engine.forward(&batch)?;
        if let Some(sink) = &mut sink {
            for row_idx in 0..batch.len() {
                let logits = engine.logits(row_idx);
                let bytes: Vec<u8> = logits.iter().flat_map(|l| l.to_le_bytes()).collect();
                sink.write_at(n_written, &bytes)?;
                n_written += bytes.len() as u64;
            }
        }
    }
    if let Some(sink) = sink {
        sink.finish()?;
    }
    Ok(match out {
        Some(out) => all_report(&engine, &ids, assembly, out, n_written),
        None => top_report(&engine, &ids, assembly, n_top.unwrap_or(10)),
    })
}

fn begin(json: &mut JsonWriter, engine: &Engine, ids: &[u32], assembly: Digest) {
    json.begin_object();
    json.field_str("schema", "cultivar.logits.v1");
    json.field_display("assembly", assembly);
    json.field_u32s("prompt_ids", ids);
    json.field_u64("vocab_size", engine.model.dims.vocab_size as u64);
}

fn all_report(engine: &Engine, ids: &[u32], assembly: Digest, out: &Path, n_bytes: u64) -> Report {
    let mut json = JsonWriter::new();
    begin(&mut json, engine, ids, assembly);
    json.field_u64("n_prompt", ids.len() as u64);
    json.field_str("out", &out.to_string_lossy());
    json.field_u64("bytes", n_bytes);
    json.end_object();
    let shape = format!("[{}, {}]", ids.len(), engine.model.dims.vocab_size);
    Report::new(
        json.finish(),
        format!("{}: f32 {shape}, {n_bytes} bytes\n", out.display()),
    )
}

/// The greatest logits, equal ones in order of ids.
fn top_report(engine: &Engine, ids: &[u32], assembly: Digest, n_top: usize) -> Report {
    let mut top: Vec<(u32, f32)> = (0u32..).zip(engine.logits(0).iter().copied()).collect();
    top.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    top.truncate(n_top);
    let mut json = JsonWriter::new();
    begin(&mut json, engine, ids, assembly);
    json.key("top").begin_array();
    let mut text = String::new();
    for (id, logit) in top {
        json.begin_array().u64(u64::from(id)).f32(logit).end_array();
        let piece = engine.model.tokenizer.piece(id).unwrap_or_default();
        let _ = writeln!(
            text,
            "{id:>7}  {logit:>10.4}  {:?}",
            String::from_utf8_lossy(piece)
        );
    }
    json.end_array().end_object();
    Report::new(json.finish(), text)
}
