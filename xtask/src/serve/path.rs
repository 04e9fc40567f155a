//! From the path of a URL to a file that may be served. Decoding comes first and once, judging
//! after: what is judged is what is opened. The last word has the file system: the real path,
//! links followed, must lie in the folder that is served.

use std::path::{Component, Path, PathBuf};

/// The file for a percent-encoded URL path, or `None` if there is none that may be served.
pub fn resolve(mounts: &[(&'static str, PathBuf)], encoded: &str) -> Option<PathBuf> {
    let decoded = percent_decode(encoded.strip_prefix('/')?)?;
    let fits = mounts
        .iter()
        .filter(|(prefix, _)| decoded.starts_with(prefix));
    let (prefix, folder) = fits.max_by_key(|(prefix, _)| prefix.len())?;
    let relative = safe_relative(&decoded[prefix.len()..])?;
    let root = folder.canonicalize().ok()?;
    let mut file = root.join(relative);
    if decoded.is_empty() || decoded.ends_with('/') {
        file.push("index.html");
    }
    let real = file.canonicalize().ok()?;
    (real.starts_with(&root) && real.is_file()).then_some(real)
}

/// Decodes `%41` once; `None` for a broken escape, a zero byte or bytes that are not UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            other => other,
        };
        if byte == 0 {
            return None;
        }
        out.push(byte);
    }
    String::from_utf8(out).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// The path if each part is a plain visible name: no `..`, no drive, no hidden file. A backslash
/// separates on some systems, so it is refused on all.
fn safe_relative(decoded: &str) -> Option<&Path> {
    if decoded.contains('\\') {
        return None;
    }
    let path = Path::new(decoded);
    let plain = path.components().all(|part| match part {
        Component::Normal(name) => !name.to_string_lossy().starts_with('.'),
        _ => false,
    });
    plain.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_once() {
        assert_eq!(percent_decode("a%20b%C3%A9").as_deref(), Some("a bé"));
        assert_eq!(percent_decode("%252e").as_deref(), Some("%2e"));
        for broken in ["%", "%4", "%zz", "a%00b", "%ff"] {
            assert_eq!(percent_decode(broken), None, "{broken}");
        }
    }

    #[test]
    fn only_plain_names_pass() {
        for good in ["", "a", "a/b.js", "a//b", "a b", "..a"] {
            let hidden = good.starts_with("..");
            assert_eq!(safe_relative(good).is_some(), !hidden, "{good}");
        }
        for bad in [
            "..",
            "a/../b",
            "/etc/passwd",
            "../x",
            "a/..",
            ".git/config",
            "a\\..\\b",
        ] {
            assert_eq!(safe_relative(bad), None, "{bad}");
        }
    }
}
