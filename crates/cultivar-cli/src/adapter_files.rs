//! Adapters on the command line: `FILE.sla[=WEIGHT]`, read, validated, put on a stack in order.
//!
//! A file whose own name ends in `=NUMBER` can be given with a weight behind it. Nothing is applied
//! before every adapter is valid and fits the base.

use crate::arguments::{Arguments, Flag};
use crate::failure::{Exit, Failure};
use cultivar_core::adapter::{Adapter, BaseFit, LoadedAdapter, Stack, StackLimits};
use cultivar_core::model::{Engine, StackId};
use cultivar_core::package::Head;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The flag of every command that computes or generates.
pub const ADAPTER_FLAG: Flag = Flag::repeated(
    "--adapter",
    "FILE.sla[=W]",
    "apply an adapter with this weight (1); repeatable, in order",
);

/// The flag of every command that makes something out of adapters.
pub const LICENSE_FLAG: Flag = Flag::with(
    "--license",
    "TEXT",
    "licence in the metadata (those of all that went into it)",
);

/// The flag of every command that makes an adapter for a base.
pub const EXACT_BASE_FLAG: Flag =
    Flag::switch("--exact-base", "the adapter suits only these very weights");

/// What the command line lets a stack hold: as many adapters as anybody types, in 4 GiB.
pub const LIMITS: StackLimits = StackLimits {
    max_adapters: 1024,
    max_bytes: 4 << 30,
};

/// An adapter as it was asked for.
pub struct WeightedFile {
    /// Its file.
    pub path: PathBuf,
    /// Its weight.
    pub weight: f32,
}

impl WeightedFile {
    /// Reads `FILE` or `FILE=WEIGHT`; a number behind the last `=` is a weight.
    pub fn parse(given: &OsStr) -> Result<WeightedFile, Failure> {
        let text = given.to_string_lossy();
        let weighted = text.rsplit_once('=').and_then(|(file, weight)| {
            let weight: f32 = weight.trim().parse().ok()?;
            Some((file.to_string(), weight))
        });
        let Some((file, weight)) = weighted else {
            return Ok(WeightedFile {
                path: PathBuf::from(given),
                weight: 1.0,
            });
        };
        if !weight.is_finite() {
            let message = format!("{text}: the weight must be a finite number");
            return Err(Failure::usage(message));
        }
        Ok(WeightedFile {
            path: PathBuf::from(file),
            weight,
        })
    }

    /// Several of them.
    pub fn parse_all<'a>(
        given: impl Iterator<Item = &'a OsStr>,
    ) -> Result<Vec<WeightedFile>, Failure> {
        given.map(WeightedFile::parse).collect()
    }
}

/// Reads, verifies and decodes an adapter for this base; base plus delta is not looked at.
pub fn load(path: &Path, base: &Head) -> Result<Arc<LoadedAdapter>, Failure> {
    let bytes = read(path)?;
    let adapter = Adapter::parse(&bytes).map_err(|error| Failure::from(error).about(path))?;
    let loaded = LoadedAdapter::new(&adapter, base, LIMITS.max_bytes);
    let loaded = loaded.map_err(|error| Failure::from(error).about(path))?;
    note_fit(path, loaded.fit);
    Ok(Arc::new(loaded))
}

/// A whole file.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::reading(path, &error))
}

/// A stack of these adapters for this base.
pub fn stack(files: &[WeightedFile], base: &Head) -> Result<Stack, Failure> {
    let mut stack = Stack::new(base.config.n_layers, LIMITS);
    for file in files {
        let adapter = load(&file.path, base)?;
        let pushed = stack.push(adapter, file.weight);
        pushed.map_err(|error| Failure::from(error).about(&file.path))?;
    }
    Ok(stack)
}

/// Puts the adapters of `--adapter` on the engine; `None` if there are none. Every one is validated
/// wholly, base plus delta included.
pub fn put(given: &Arguments, engine: &mut Engine) -> Result<Option<StackId>, Failure> {
    let files = WeightedFile::parse_all(given.values("--adapter"))?;
    if files.is_empty() {
        return Ok(None);
    }
    let mut stack = engine.new_stack(LIMITS);
    for WeightedFile { path, weight } in &files {
        let about = |failure: Failure| failure.about(path);
        let bytes = read(path)?;
        let adapter = Adapter::parse(&bytes).map_err(|error| about(error.into()))?;
        let loaded = engine.load_adapter(&adapter, LIMITS);
        let loaded = loaded.map_err(|error| about(error.into()))?;
        note_fit(path, loaded.fit);
        let pushed = stack.push(loaded, *weight);
        pushed.map_err(|error| about(error.into()))?;
    }
    Ok(Some(engine.add_stack(stack)?))
}

/// Warns of an adapter that was made for other weights of the same form.
fn note_fit(path: &Path, fit: BaseFit) {
    if fit == BaseFit::OtherWeights {
        crate::output::note(&format!(
            "cultivar: {}: made for other weights of the same form; it may not do what was meant",
            path.display()
        ));
    }
}

/// A name for what is made, from the file that it goes to.
pub fn name_of(out: &Path) -> String {
    let stem = out.file_stem().map(OsString::from).unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// The output file that `-o` names; refused where it is an input too.
pub fn output_path<'a>(
    given: &'a Arguments,
    what: &str,
    inputs: &[&Path],
) -> Result<&'a Path, Failure> {
    let out = given.path("--out");
    let out = out.ok_or_else(|| Failure::usage(format!("where to? Give -o {what}")))?;
    for input in inputs {
        let same = match (input.canonicalize(), out.canonicalize()) {
            (Ok(input), Ok(out)) => input == out,
            _ => false,
        };
        if same {
            return Err(Failure::new(Exit::Usage, "is both an input and the output").about(input));
        }
    }
    Ok(out)
}
