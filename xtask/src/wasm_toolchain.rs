//! Finds a compiler that can build for wasm32-unknown-unknown, and installs one if there is none.
//! In this order: a rustc that has its library's sources, which makes the smallest modules; those
//! by rustup, or Debian's (rust-web-src) by apt; a rustc that has the target; `rustup target add`.
//! Never changes the user's default toolchain.

use crate::{TaskError, TaskResult, process};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const TARGET: &str = "wasm32-unknown-unknown";

/// Oldest compiler that builds this workspace; the same number as in Cargo.toml.
const OLDEST_RUST: (u32, u32) = (1, 95);

/// Debian's packages that together can build for wasm: they follow the browser's needs and so are
/// current even in an old release.
const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "lld"];

/// Inlines little by itself, which makes the modules a tenth smaller and no slower: kernels say
/// what must be inlined. (`opt-level = "s"` instead would halve the speed of decoding.)
const SMALLER: &str = "-C llvm-args=-inline-threshold=15";

/// A panic is a defect of ours and ends the instance either way; without its sentence and place a
/// module is 7 KiB smaller. Wants the library from source, since that panics too.
const WITHOUT_PANIC_TEXTS: &str = "-Zunstable-options -Cpanic=immediate-abort";

/// Compiles the library along.
const BUILD_STD: &str = "-Zbuild-std=core,alloc,panic_abort";

/// A compiler and how to use it for wasm.
pub struct WasmToolchain {
    rustc: PathBuf,
    cargo: PathBuf,
    /// The standard library must be compiled from source; holds the linker to use.
    build_std: Option<PathBuf>,
    version: String,
}

impl WasmToolchain {
    /// A cargo command set to this compiler, with `target_features` such as `+simd128`; with or
    /// without the texts of panics, which only a library from source can leave out.
    pub fn cargo_build(&self, target_features: &str, panic_texts: bool) -> Command {
        let mut command = self.cargo("build", target_features);
        if self.build_std.is_some() {
            command.arg(BUILD_STD);
            // The library's sorts and number printing in their small forms: a seventh of all.
            command.arg("-Zbuild-std-features=optimize_for_size");
            if !panic_texts {
                let flags = format!("{} {WITHOUT_PANIC_TEXTS}", flags(target_features));
                command.env("RUSTFLAGS", flags);
            }
        }
        command
    }

    /// The same for `cargo clippy`, where this compiler has it.
    pub fn clippy(&self, target_features: &str) -> Option<Command> {
        let found = self.cargo.parent()?.join("cargo-clippy");
        let usable = process::is_executable(&found);
        usable.then(|| {
            let mut command = self.cargo("clippy", target_features);
            command.args(self.build_std.is_some().then_some(BUILD_STD));
            command
        })
    }

    /// Whether modules can be made without the texts of panics.
    pub fn makes_smallest(&self) -> bool {
        self.build_std.is_some()
    }

    fn cargo(&self, verb: &str, target_features: &str) -> Command {
        let mut command = Command::new(&self.cargo);
        process::clear_toolchain(&mut command);
        command
            .current_dir(crate::workspace::root())
            .args([verb, "--target", TARGET]);
        // The environment must win over a user's configured flags: others could change the bits.
        command.env("RUSTC", &self.rustc);
        command.env("RUSTFLAGS", flags(target_features));
        if let Some(linker) = &self.build_std {
            command.env("RUSTC_BOOTSTRAP", "1");
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        command
    }

    /// One line for the user: which compiler, and how the library is made.
    pub fn describe(&self) -> String {
        let library = if self.build_std.is_some() {
            "library from source"
        } else {
            "its own target"
        };
        format!("{} at {}, {library}", self.version, self.rustc.display())
    }
}

fn flags(target_features: &str) -> String {
    match target_features {
        "" => SMALLER.to_string(),
        features => format!("-C target-feature={features} {SMALLER}"),
    }
}

/// The toolchain if one is installed, one that makes the smallest modules if there is one;
/// installs nothing.
pub fn find() -> Option<WasmToolchain> {
    let candidates: Vec<Candidate> = rustc_paths().iter().filter_map(|p| candidate(p)).collect();
    let linker = candidates
        .iter()
        .flat_map(|one| one.linkers())
        .find(|path| process::is_executable(path))
        .or_else(|| process::find_program("rust-lld"))
        .or_else(|| process::find_program("wasm-ld"));
    let with_source = candidates.iter().find(|one| one.has_source());
    if let (Some(found), Some(linker)) = (with_source, linker) {
        return Some(found.toolchain(Some(linker)));
    }
    let ready = candidates.iter().find(|one| one.has_target())?;
    Some(ready.toolchain(None))
}

/// A toolchain that has the target, to be used with its own library.
pub fn find_with_target() -> Option<WasmToolchain> {
    let mut candidates = rustc_paths()
        .into_iter()
        .filter_map(|path| candidate(&path));
    Some(candidates.find(Candidate::has_target)?.toolchain(None))
}

/// The toolchain, installed if need be; what could not be had is not asked for again.
pub fn find_or_install() -> TaskResult<WasmToolchain> {
    static HAS_ASKED: AtomicBool = AtomicBool::new(false);
    let has_asked = HAS_ASKED.swap(true, Ordering::Relaxed);
    if let Some(ready) = find().filter(|found| has_asked || found.makes_smallest()) {
        return Ok(ready);
    }
    if std::env::var_os("CULTIVAR_RUSTC").is_none() && process::find_program("rustup").is_some() {
        for (kind, name) in [("component", "rust-src"), ("target", TARGET)] {
            println!("adding the {kind} {name} with rustup");
            let mut add = Command::new("rustup");
            add.args([kind, "add", name]);
            if process::succeeds_within(&mut add, Duration::from_secs(120)) {
                break;
            }
            println!("rustup could not add it");
        }
    }
    if let Some(found) = find() {
        return Ok(found);
    }
    process::apt_install(DEBIAN_PACKAGES, "a Rust compiler for wasm")?;
    find().ok_or_else(|| {
        TaskError::Usage(format!(
            "no Rust {}.{} or later can build for {TARGET}; run: rustup target add {TARGET}",
            OLDEST_RUST.0, OLDEST_RUST.1
        ))
    })
}

/// A rustc of sufficient age and its library folder.
struct Candidate {
    rustc: PathBuf,
    cargo: PathBuf,
    version: String,
    rustlib: PathBuf,
}

impl Candidate {
    fn has_target(&self) -> bool {
        self.rustlib.join(TARGET).join("lib").is_dir()
    }

    fn has_source(&self) -> bool {
        self.rustlib
            .join("src/rust/library/core/Cargo.toml")
            .is_file()
    }

    fn linkers(&self) -> Vec<PathBuf> {
        let Ok(hosts) = std::fs::read_dir(&self.rustlib) else {
            return Vec::new();
        };
        hosts
            .flatten()
            .map(|host| host.path().join("bin/rust-lld"))
            .collect()
    }

    fn toolchain(&self, build_std: Option<PathBuf>) -> WasmToolchain {
        WasmToolchain {
            rustc: self.rustc.clone(),
            cargo: self.cargo.clone(),
            build_std,
            version: self.version.clone(),
        }
    }
}

/// Where a rustc may be, best first. `CULTIVAR_RUSTC` names the only one to use.
fn rustc_paths() -> Vec<PathBuf> {
    if let Some(path) = std::env::var_os("CULTIVAR_RUSTC") {
        return vec![PathBuf::from(path)];
    }
    let beside_cargo = std::env::var_os("CARGO")
        .map(PathBuf::from)
        .and_then(|cargo| Some(cargo.parent()?.join("rustc")));
    let mut paths: Vec<PathBuf> = beside_cargo.into_iter().collect();
    paths.extend(process::find_program("rustc"));
    paths.push(PathBuf::from("/usr/bin/rustc"));
    paths.dedup();
    paths
}

fn candidate(rustc: &Path) -> Option<Candidate> {
    let cargo = rustc.parent()?.join("cargo");
    if !process::is_executable(rustc) || !process::is_executable(&cargo) {
        return None;
    }
    let version = process::output(Command::new(rustc).arg("--version"), "rustc").ok()?;
    if release(&version)? < OLDEST_RUST {
        return None;
    }
    let mut ask = Command::new(rustc);
    let sysroot = process::output(ask.args(["--print", "sysroot"]), "rustc").ok()?;
    Some(Candidate {
        rustc: rustc.to_path_buf(),
        cargo,
        version: version
            .split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" "),
        rustlib: Path::new(sysroot.trim()).join("lib/rustlib"),
    })
}

/// Major and minor number of what `rustc --version` prints: "rustc 1.95.0 (…)".
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_and_compared() {
        assert_eq!(
            release("rustc 1.95.0 (59807616e 2026-03-21)"),
            Some((1, 95))
        );
        assert_eq!(release("rustc 1.100.0-nightly (x)"), Some((1, 100)));
        assert_eq!(release("garbage"), None);
        assert!(release("rustc 1.9.0") < Some(OLDEST_RUST));
    }

    #[test]
    fn the_oldest_release_is_the_manifests() {
        let manifest = std::fs::read_to_string(crate::workspace::root().join("Cargo.toml"));
        let line = format!("rust-version = \"{}.{}\"", OLDEST_RUST.0, OLDEST_RUST.1);
        assert!(manifest.is_ok_and(|text| text.contains(&line)));
    }
}
