//! Writes the random-weight packages that `cargo xtask bench` measures, each to the path given,
//! whose file name says what: SHAPE-FORMAT.slm, SHAPE-rank16.sla for an adapter of that shape, or
//! constraint.table for the bench's grammar, compiled. One that is newer than this program is left
//! alone.
//! A program of its own, so that it can be built optimized and xtask itself needs no engine.
#![forbid(unsafe_code)]

use cultivar_core::grammar::GrammarSource;
use cultivar_testdata::adapters::{DeltaSpec, adapter_for};
use cultivar_testdata::models::ModelSpec;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

const GRAMMAR: &str = include_str!("../../../web/test/bench/constraint.gbnf");

type Shape = fn(&'static str) -> ModelSpec;

/// Name of a shape, and the model of it in a format.
const SHAPES: &[(&str, Shape)] = &[
    ("15m", ModelSpec::shape_15m),
    ("135m", ModelSpec::shape_135m),
    ("360m", ModelSpec::shape_360m),
    ("600m", ModelSpec::shape_600m),
];

const FORMATS: &[&str] = &["q8_0", "q4_0", "q5_0", "q4_k", "q6_k", "f16"];

fn main() -> ExitCode {
    for path in std::env::args().skip(1) {
        if let Err(error) = write(Path::new(&path)) {
            eprintln!("cannot write {path}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn write(path: &Path) -> std::io::Result<()> {
    let program = modified(&std::env::current_exe()?)?;
    if modified(path).is_ok_and(|written| written > program) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    if path
        .extension()
        .is_some_and(|extension| extension == "table")
    {
        let table = GrammarSource::Gbnf(GRAMMAR.into()).compile();
        let table = table.map_err(|error| std::io::Error::other(error.to_string()))?;
        return std::fs::write(path, table);
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let wanted = name.split_once('-').unwrap_or_default();
    let shape = SHAPES.iter().find(|(shape, _)| *shape == wanted.0);
    let format = FORMATS.iter().find(|format| **format == wanted.1);
    let bytes = match (shape, format) {
        (Some((_, shape)), Some(format)) => shape(format).build(),
        (Some((_, shape)), None) if wanted.1 == "rank16" => adapter(&shape("q4_0").build()),
        _ => {
            let reason = "its name must be SHAPE-FORMAT.slm or SHAPE-rank16.sla, both known";
            return Err(std::io::Error::other(reason));
        }
    };
    std::fs::write(path, bytes)
}

/// An adapter of rank 16 on the seven matrices of every layer.
fn adapter(model: &[u8]) -> Vec<u8> {
    let is_matrix = |name: &str| {
        let (_, name) = name.rsplit_once('.').unwrap_or_default();
        ["w_q", "w_k", "w_v", "w_o", "w_gate", "w_up", "w_down"].contains(&name)
    };
    adapter_for(model, 16, DeltaSpec::LowRank(16, "f16"), is_matrix)
}

fn modified(path: &Path) -> std::io::Result<SystemTime> {
    std::fs::metadata(path)?.modified()
}
