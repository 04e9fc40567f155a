//! `cultivar adapter merge`: a weighted stack of adapters becomes one adapter.

use super::base;
use crate::adapter_files::{WeightedFile, name_of, output_path, stack};
use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::Report;
use crate::package_file::PackageFile;
use crate::part_file::PartFile;
use cultivar_breed::{MERGE_METHODS, Merge, MergeOptions, Merged, merge};
use cultivar_core::adapter::Adapter;
use std::path::Path;

pub fn run(given: &Arguments) -> Result<Report, Failure> {
    let words = given.files()?.iter().skip(1);
    let files = WeightedFile::parse_all(words.map(|word| word.as_os_str()))?;
    if files.is_empty() {
        return Err(Failure::usage("which adapters? Give their files"));
    }
    let method = method(given)?;
    let base = base(given)?;
    let inputs: Vec<&Path> = files.iter().map(|file| file.path.as_path()).collect();
    let out = output_path(given, "OUT.sla", &[inputs.as_slice(), &[base]].concat())?;
    let head = PackageFile::open(base)?.head()?;
    let stack = stack(&files, &head)?;
    let name = given.text("--name")?.map_or(name_of(out), String::from);
    let factors = given.choice("--factors", "f32, f16, bf16, q8_0", |name| {
        ["f32", "f16", "bf16", "q8_0"]
            .into_iter()
            .find(|known| *known == name)
    })?;
    let options = MergeOptions {
        name: &name,
        license: given.text("--license")?.unwrap_or(""),
        factors,
        exact_base: given.has("--exact-base"),
    };
    let merged = merge(&head, &stack, method, options)?;
    write(out, &merged.bytes)?;
    report(out, method.name(), &merged)
}

fn method(given: &Arguments) -> Result<Merge, Failure> {
    let seed = given.number("--seed")?.unwrap_or(0);
    let name = given.text("--method")?.unwrap_or("cat");
    match name {
        "cat" => Ok(Merge::Concatenate),
        "sum" => Ok(Merge::Sum),
        "svd" => {
            let rank = given.number("--rank")?;
            let rank = rank.ok_or_else(|| Failure::usage("svd needs --rank R"))?;
            Ok(Merge::Truncate { rank, seed })
        }
        "blend" => Ok(Merge::Blend {
            alpha: given.number("--alpha")?.unwrap_or(0.5),
            noise: given.number("--noise")?.unwrap_or(0.0),
            seed,
        }),
        other => {
            let names: Vec<&str> = MERGE_METHODS.iter().map(|method| method.name).collect();
            let names = names.join(", ");
            Err(Failure::usage(format!(
                "--method: {other:?} is not one of {names}"
            )))
        }
    }
}

/// Writes a whole package; it appears under its name only when it is complete.
pub fn write(out: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut sink = PartFile::create(out)?;
    sink.write_at(0, bytes)?;
    sink.finish()
}

/// What was made and what it lost.
pub fn report(out: &Path, operator: &str, merged: &Merged) -> Result<Report, Failure> {
    let adapter = Adapter::parse(&merged.bytes)?;
    let json = merged.report(operator, Some(&out.to_string_lossy()))?;
    let text = format!(
        "{}: {} deltas, relative error {:.3e}, weights {}\n",
        out.display(),
        adapter.head.deltas.len(),
        merged.loss.relative(),
        adapter.head.weights
    );
    Ok(Report::new(json, text))
}
