//! `wasm`: builds the modules from one source, optimizes them where wasm-opt is there, checks them
//! and writes them to `web/wasm`, the demo beside them. Variants of other compiler flags have their
//! own target folders, so that they do not rebuild each other. A module that fails a check is not
//! written.

use crate::abi_js::Part;
use crate::flags::Given;
use crate::module_check::{self, Kind};
use crate::npm_tools::{self, Wanted};
use crate::wasm_toolchain::{self, WasmToolchain};
use crate::{TaskError, TaskResult, demo, process, workspace};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One module that can be built.
struct Variant {
    /// File name in `web/wasm`.
    file: &'static str,
    folder: &'static str,
    rust_features: &'static str,
    opt_features: &'static [&'static str],
    kind: Kind,
    /// An engine to be measured, with verbs and an import that none has that ships.
    is_bench: bool,
}

impl Variant {
    /// The cargo feature of `cultivar-wasm`.
    fn feature(&self) -> &'static str {
        match self.is_bench {
            true => "bench",
            false => self.kind.part().feature(),
        }
    }

    /// The profile of Cargo.toml.
    fn profile(&self) -> &'static str {
        match self.kind.part() {
            Part::Engine => "engine",
            Part::Text | Part::Packer | Part::Exporter | Part::Breeder => "compact",
        }
    }
}

const SIMD128: Variant = Variant {
    file: "cultivar.wasm",
    folder: "wasm-simd128",
    rust_features: "+simd128",
    opt_features: &["--enable-simd"],
    kind: Kind::Simd128,
    is_bench: false,
};

const RELAXED: Variant = Variant {
    file: "cultivar-relaxed.wasm",
    folder: "wasm-relaxed",
    rust_features: "+simd128,+relaxed-simd",
    opt_features: &["--enable-simd", "--enable-relaxed-simd"],
    kind: Kind::Relaxed,
    is_bench: false,
};

/// Made small, not fast: a prompt is read far more slowly than it is encoded.
const TEXT: Variant = Variant {
    file: "cultivar-text.wasm",
    kind: Kind::Text,
    ..PACKER
};

/// Made small, not fast: it waits for the disk, and its work is done once per file.
const PACKER: Variant = Variant {
    file: "cultivar-packer.wasm",
    folder: "wasm-compact",
    rust_features: "+simd128",
    opt_features: &["--enable-simd"],
    kind: Kind::Packer,
    is_bench: false,
};

/// Made small for the same reason.
const EXPORTER: Variant = Variant {
    file: "cultivar-exporter.wasm",
    kind: Kind::Exporter,
    ..PACKER
};

/// Made small for the same reason.
const BREEDER: Variant = Variant {
    file: "cultivar-breeder.wasm",
    kind: Kind::Breeder,
    ..PACKER
};

const SCALAR: Variant = Variant {
    file: "cultivar-scalar.wasm",
    folder: "wasm-scalar",
    rust_features: "",
    opt_features: &[],
    kind: Kind::Scalar,
    is_bench: false,
};

/// Engines that note where time goes, by a clock that they ask their host for: fetched only when
/// a profile is asked for.
const BENCH: &[Variant] = &[
    Variant {
        file: "cultivar-bench.wasm",
        is_bench: true,
        ..SIMD128
    },
    Variant {
        file: "cultivar-bench-relaxed.wasm",
        is_bench: true,
        ..RELAXED
    },
];

/// What rustc's wasm32 target turns on by itself; wasm-opt must be told.
const BASE_FEATURES: &[&str] = &[
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Files that a visitor gets, in `web/wasm`.
pub const SHIPPED: &[&str] = &[
    SIMD128.file,
    RELAXED.file,
    TEXT.file,
    PACKER.file,
    EXPORTER.file,
    BREEDER.file,
];

/// Where the modules go.
pub fn folder() -> PathBuf {
    workspace::root().join("web/wasm")
}

/// The task: the modules that ship, and the scalar one if asked for.
pub fn run(given: &Given) -> TaskResult {
    build(given.has("--scalar"), given.has("--debug-names"))
}

/// Installs what is missing, then builds, checks and writes the modules.
pub fn build(scalar: bool, debug_names: bool) -> TaskResult {
    let toolchain = wasm_toolchain::find_or_install()?;
    println!("wasm: {}", toolchain.describe());
    let optimizer = optimizer();
    let mut variants = vec![&SIMD128, &RELAXED, &TEXT, &PACKER, &EXPORTER, &BREEDER];
    variants.extend(BENCH);
    if scalar {
        variants.push(&SCALAR);
    }
    let toolchain = usable(toolchain, debug_names)?;
    let build =
        |variant: &&Variant| build_one(&toolchain, variant, optimizer.as_deref(), debug_names);
    let folders: BTreeSet<&str> = variants.iter().map(|variant| variant.folder).collect();
    // Cargo compiles a module with one thread most of the time, and one at a time in a folder.
    std::thread::scope(|scope| {
        let build_folder = |folder| {
            let mut own = variants
                .iter()
                .filter(move |variant| variant.folder == folder);
            scope.spawn(move || own.try_for_each(build))
        };
        let builds: Vec<_> = folders.into_iter().map(build_folder).collect();
        let panicked = |_| Err(TaskError::Failed("a build ended too early".into()));
        let mut results = builds
            .into_iter()
            .map(|one| one.join().unwrap_or_else(panicked));
        results.try_for_each(|result| result)
    })?;
    demo::place()
}

/// The toolchain, if it compiles Rust's library and the arithmetic. The library's sources alone are
/// not enough, since cargo fetches what they depend on: without that, one that has the target.
fn usable(toolchain: WasmToolchain, debug_names: bool) -> TaskResult<WasmToolchain> {
    let mut build = cargo_build(&toolchain, &SIMD128, debug_names);
    build.args(["-p", "cultivar-numerics"]);
    let Err(error) = process::run(&mut build, "Rust for WebAssembly") else {
        return Ok(toolchain);
    };
    match wasm_toolchain::find_with_target() {
        Some(other) if toolchain.makes_smallest() => {
            println!("wasm: not from source, then: {}", other.describe());
            Ok(other)
        }
        _ => Err(error),
    }
}

/// wasm-opt, installed if it can be. Without it the modules are larger, but work the same.
fn optimizer() -> Option<PathBuf> {
    if let Err(TaskError::Failed(reason) | TaskError::Usage(reason)) =
        npm_tools::install(Wanted::Optimizer)
    {
        println!("wasm: no wasm-opt, so the modules are larger ({reason})");
        return None;
    }
    npm_tools::wasm_opt()
}

/// Cargo, about to build with the flags and in the folder of a variant.
fn cargo_build(toolchain: &WasmToolchain, variant: &Variant, debug_names: bool) -> Command {
    let mut build = toolchain.cargo_build(variant.rust_features, debug_names);
    let profile = variant.profile();
    build
        .args(["--quiet", "--lib", "--profile", profile, "--target-dir"])
        .arg(workspace::target_dir().join(variant.folder));
    if debug_names {
        build.args(["--config", &format!("profile.{profile}.strip=false")]);
    }
    build
}

fn build_one(
    toolchain: &WasmToolchain,
    variant: &Variant,
    optimizer: Option<&Path>,
    debug_names: bool,
) -> TaskResult {
    let mut build = cargo_build(toolchain, variant, debug_names);
    build
        .args(["-p", "cultivar-wasm", "--no-default-features", "--features"])
        .arg(variant.feature());
    process::run(&mut build, variant.file)?;
    let profile_folder = format!(
        "{}/wasm32-unknown-unknown/{}",
        variant.folder,
        variant.profile()
    );
    let built = workspace::target_dir()
        .join(profile_folder)
        .join("cultivar_wasm.wasm");
    let finished = match optimizer {
        None => built,
        Some(script) => optimize(script, variant, &built, debug_names)?,
    };
    let bytes = read(&finished)?;
    if !variant.is_bench {
        module_check::check(&bytes, variant.kind).map_err(|error| match error {
            TaskError::Failed(reason) => TaskError::Failed(format!("{}: {reason}", variant.file)),
            other => other,
        })?;
    }
    let out = folder().join(variant.file);
    std::fs::create_dir_all(folder())
        .and_then(|()| std::fs::write(&out, &bytes))
        .map_err(|error| TaskError::Failed(format!("cannot write {}: {error}", out.display())))?;
    let packed = gzip_len(&out).map_or(String::new(), |len| format!(", {} gzip", kib(len)));
    println!(
        "wasm: web/wasm/{}  {} raw{packed}",
        variant.file,
        kib(bytes.len() as u64)
    );
    Ok(())
}

fn optimize(script: &Path, variant: &Variant, built: &Path, names: bool) -> TaskResult<PathBuf> {
    let out = built.with_extension("opt.wasm");
    let mut command = Command::new(npm_tools::node()?);
    command
        .arg(script)
        .arg(built)
        .arg("-o")
        .arg(&out)
        .arg("-O3");
    command.args(BASE_FEATURES).args(variant.opt_features);
    if names {
        command.arg("-g");
    }
    process::output(&mut command, "wasm-opt")?;
    Ok(out)
}

fn read(path: &Path) -> TaskResult<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| TaskError::Failed(format!("cannot read {}: {error}", path.display())))
}

/// Bytes of the file after `gzip -9`; `None` where there is no gzip.
pub fn gzip_len(path: &Path) -> Option<u64> {
    gzip_bytes_len(&std::fs::read(path).ok()?)
}

/// The same of bytes.
pub fn gzip_bytes_len(bytes: &[u8]) -> Option<u64> {
    let mut gzip = Command::new("gzip")
        .args(["-9", "-n", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut input = gzip.stdin.take()?;
    let packed = std::thread::scope(|scope| {
        // It reads while it writes.
        scope.spawn(move || input.write_all(bytes));
        gzip.wait_with_output()
    });
    let packed = packed.ok()?;
    packed
        .status
        .success()
        .then_some(packed.stdout.len() as u64)
}

/// Bytes as KiB with one decimal.
pub fn kib(bytes: u64) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}
