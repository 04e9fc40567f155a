//! Running other programs: one place that clears what an outer cargo leaves in the environment,
//! says which program could not be started, and keeps output of a failed call.

use crate::{TaskError, TaskResult};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs the command with inherited output; an exit code other than zero is a failure named `what`.
pub fn run(command: &mut Command, what: &str) -> TaskResult {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(TaskError::Failed(format!("{what} failed ({status})"))),
        Err(error) => Err(TaskError::Usage(format!(
            "{what}: cannot start {program}: {error}"
        ))),
    }
}

/// Runs the command and returns its standard output; on failure the message holds its last words.
pub fn output(command: &mut Command, what: &str) -> TaskResult<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let result = command.stdin(Stdio::null()).output();
    let done = result
        .map_err(|error| TaskError::Usage(format!("{what}: cannot start {program}: {error}")))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&done.stderr);
    let tail: Vec<&str> = errors.lines().rev().take(20).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Err(TaskError::Failed(format!(
        "{what} failed ({}):\n{}",
        done.status,
        tail.join("\n")
    )))
}

/// Whether the command ends with success within the time; its output is dropped.
pub fn succeeds_within(command: &mut Command, limit: Duration) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if start.elapsed() < limit => {
                std::thread::sleep(Duration::from_millis(20));
            }
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}

/// First program of that name in `PATH`.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| is_executable(file))
}

/// Whether a file exists and may be run.
pub fn is_executable(file: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(file)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    }
    #[cfg(not(unix))]
    file.is_file()
}

/// The cargo that started this program, or the one in `PATH`.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::workspace::root());
    clear_cargo_run(&mut command);
    command
}

/// Removes what `cargo run` sets for its child and a nested build must not inherit: the package's
/// own description (it would rebuild what reads it) but not the user's settings.
fn clear_cargo_run(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().into_owned();
        let described = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ];
        if described.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
}

/// Removes every variable that would bind a nested cargo to the outer toolchain or its flags.
pub fn clear_toolchain(command: &mut Command) {
    clear_cargo_run(command);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().into_owned();
        let bound = text == "CARGO"
            || text.starts_with("CARGO_ENCODED")
            || text.starts_with("CARGO_BUILD_")
            || text.starts_with("CARGO_TARGET_")
            || [
                "RUSTC",
                "RUSTDOC",
                "RUSTFLAGS",
                "RUSTUP_TOOLCHAIN",
                "RUST_RECURSION_COUNT",
            ]
            .contains(&text.as_str())
            || text.starts_with("RUSTC_");
        if bound && text != "CARGO_TARGET_DIR" {
            command.env_remove(&name);
        }
    }
}

/// Whether this process runs as root, so that a system package can be installed.
pub fn is_root() -> bool {
    output(Command::new("id").arg("-u"), "id").is_ok_and(|text| text.trim() == "0")
}

/// Installs Debian packages if this is a Debian-like system and we are root. Never removes any:
/// a conflict is a failure that names the command.
pub fn apt_install(packages: &[&str], what_for: &str) -> TaskResult {
    let command = format!(
        "apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    );
    if find_program("apt-get").is_none() {
        let names = packages.join(" ");
        return Err(TaskError::Usage(format!(
            "{what_for} is missing; install it with your system's package manager (Debian: {names})"
        )));
    }
    if !is_root() {
        return Err(TaskError::Usage(format!(
            "{what_for} is missing; run: sudo {command}"
        )));
    }
    println!("installing {what_for}: {command}");
    let apt = |args: &[&dyn AsRef<OsStr>]| {
        let mut apt = Command::new("apt-get");
        apt.args(args)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null());
        output(&mut apt, "apt-get")
    };
    // A fresh machine has no package lists, and stale lists name files that are gone: refresh
    // once; if that fails (no network), what is cached may still do.
    let refreshed = apt(&[&"update", &"-qq"]);
    let mut args: Vec<&dyn AsRef<OsStr>> = vec![
        &"install",
        &"-y",
        &"-qq",
        &"--no-remove",
        &"--no-install-recommends",
    ];
    args.extend(packages.iter().map(|name| name as &dyn AsRef<OsStr>));
    apt(&args).map(|_| ()).map_err(|error| {
        let TaskError::Failed(reason) = &error else {
            return error;
        };
        let update = if refreshed.is_err() {
            " (apt-get update failed before)"
        } else {
            ""
        };
        TaskError::Usage(format!("{what_for}: `{command}` failed{update}: {reason}"))
    })
}
