//! Content types by file ending. Browsers refuse modules and wasm under a wrong one, and with
//! `nosniff` nothing is guessed: an unknown ending is bytes.

use std::path::Path;

const TYPES: &[(&str, &str)] = &[
    ("css", "text/css; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("jsonl", "application/x-ndjson"),
    ("md", "text/markdown; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("ts", "text/plain; charset=utf-8"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("webmanifest", "application/manifest+json"),
];

/// The content type of a file.
pub fn of(file: &Path) -> &'static str {
    let ending = file
        .extension()
        .map(|e| e.to_string_lossy().to_ascii_lowercase());
    let row = TYPES
        .iter()
        .find(|(known, _)| ending.as_deref() == Some(*known));
    row.map_or("application/octet-stream", |(_, mime)| mime)
}
