//! Writes the random-weight packages that `cargo xtask bench` measures into a folder. A program of
//! its own, so that it can be built optimized and xtask itself needs no engine to start.
//! Usage: bench-packages FOLDER [--small]
#![forbid(unsafe_code)]

use cultivar_testdata::models::ModelSpec;
use std::path::Path;
use std::process::ExitCode;

type Shape = fn(&'static str) -> ModelSpec;

/// Name of a shape, and the model of it in a format. The first one is small.
const SHAPES: &[(&str, Shape)] = &[
    ("15m", ModelSpec::shape_15m),
    ("135m", ModelSpec::shape_135m),
];

const FORMATS: &[&str] = &["q8_0", "q4_0", "q4_k"];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((folder, rest)) = args.split_first() else {
        eprintln!("usage: bench-packages FOLDER [--small]");
        return ExitCode::from(2);
    };
    let n_shapes = if rest.iter().any(|word| word == "--small") {
        1
    } else {
        SHAPES.len()
    };
    match write_all(Path::new(folder), &SHAPES[..n_shapes]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write packages into {folder}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_all(folder: &Path, shapes: &[(&str, Shape)]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, shape) in shapes {
        for format in FORMATS {
            std::fs::write(
                folder.join(format!("{name}-{format}.slm")),
                shape(format).build(),
            )?;
        }
    }
    Ok(())
}
