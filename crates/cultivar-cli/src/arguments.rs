//! The command line: flags declared in tables, parsed by one loop, wrong ones named with the flag
//! that was probably meant.
//!
//! A flag's value is the next argument, whatever it begins with, or follows `=`; `--` ends flags.

use crate::failure::Failure;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// A flag of a command.
#[derive(Clone, Copy)]
pub struct Flag {
    /// `--name`.
    pub name: &'static str,
    /// `-n`, or empty.
    pub short: &'static str,
    /// What its value is called in help; empty if it takes none.
    pub value: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// Whether it may be given several times; the order counts.
    pub repeats: bool,
}

impl Flag {
    /// A flag without a value.
    pub const fn switch(name: &'static str, help: &'static str) -> Flag {
        Flag {
            name,
            short: "",
            repeats: false,
            value: "",
            help,
        }
    }

    /// A flag with a value.
    pub const fn with(name: &'static str, value: &'static str, help: &'static str) -> Flag {
        Flag {
            name,
            short: "",
            repeats: false,
            value,
            help,
        }
    }

    /// A flag with a value that may be given several times.
    pub const fn repeated(name: &'static str, value: &'static str, help: &'static str) -> Flag {
        Flag {
            repeats: true,
            ..Flag::with(name, value, help)
        }
    }
}

/// What was given.
#[derive(Debug)]
pub struct Arguments {
    files: Vec<OsString>,
    flags: Vec<(&'static str, OsString)>,
}

impl Arguments {
    /// Sorts arguments into files and flags; each flag may be given once, but for a few.
    pub fn parse(given: &[OsString], flags: &[&'static [Flag]]) -> Result<Arguments, Failure> {
        let mut parsed = Arguments {
            files: Vec::new(),
            flags: Vec::new(),
        };
        let mut given = given.iter();
        while let Some(argument) = given.next() {
            let text = argument.to_string_lossy();
            if text == "--" {
                parsed.files.extend(given.by_ref().cloned());
            } else if text.starts_with('-') && text.len() > 1 {
                let (name, attached) = match text.split_once('=') {
                    Some((name, value)) if text.starts_with("--") => (name, Some(value)),
                    _ => (&*text, None),
                };
                let flag = find(name, flags)?;
                let value = match (flag.value.is_empty(), attached) {
                    (true, None) => OsString::new(),
                    (true, Some(_)) => {
                        return Err(Failure::usage(format!("{} takes no value", flag.name)));
                    }
                    (false, Some(value)) => OsString::from(value),
                    (false, None) => given.next().cloned().ok_or_else(|| {
                        Failure::usage(format!("{} needs a value: {}", flag.name, flag.value))
                    })?,
                };
                if parsed.has(flag.name) && !flag.repeats {
                    return Err(Failure::usage(format!("{} is given twice", flag.name)));
                }
                parsed.flags.push((flag.name, value));
            } else {
                parsed.files.push(argument.clone());
            }
        }
        Ok(parsed)
    }

    /// Whether a flag was given.
    pub fn has(&self, name: &str) -> bool {
        self.flags.iter().any(|(given, _)| *given == name)
    }

    /// The files, at least one.
    pub fn files(&self) -> Result<&[OsString], Failure> {
        match self.files.is_empty() {
            true => Err(Failure::usage("which file? Give its name")),
            false => Ok(&self.files),
        }
    }

    /// The only file.
    pub fn file(&self) -> Result<&Path, Failure> {
        match self.files()? {
            [file] => Ok(Path::new(file)),
            [_, second, ..] => {
                let second = second.to_string_lossy();
                Err(Failure::usage(format!(
                    "one file is enough: what is {second:?} for?"
                )))
            }
            [] => Err(Failure::usage("which file? Give its name")),
        }
    }

    /// A flag's value as a path.
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.value(name).map(Path::new)
    }

    /// A flag's value as text.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        let value = self.value(name);
        value.map(|value| text_of(name, value)).transpose()
    }

    /// A flag's value as a number of this type.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let number = text.trim().parse();
        let kind = match std::any::type_name::<T>() {
            "f32" | "f64" => "a number",
            _ => "a whole number in range",
        };
        number
            .map(Some)
            .map_err(|_| Failure::usage(format!("{name}: {text:?} is not {kind}")))
    }

    /// A flag's value as one of a few words.
    pub fn choice<T>(
        &self,
        name: &str,
        words: &str,
        find: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let found = find(text).map(Some);
        found.ok_or_else(|| Failure::usage(format!("{name}: {text:?} is not one of {words}")))
    }

    /// A flag's value as token ids, `1,2,3`; at least one.
    pub fn ids(&self, name: &str) -> Result<Option<Vec<u32>>, Failure> {
        let text = self.text(name)?;
        text.map(|text| ids_of(name, text)).transpose()
    }

    /// All values of a flag that may be given several times, in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a OsStr> {
        let given = self.flags.iter().filter(move |(given, _)| *given == name);
        given.map(|(_, value)| value.as_os_str())
    }

    /// All values of these flags, each with its flag, in the order in which they were given.
    pub fn sequence<'a>(
        &'a self,
        names: &'a [&str],
    ) -> impl Iterator<Item = (&'static str, &'a OsStr)> {
        let given = self.flags.iter().filter(|(name, _)| names.contains(name));
        given.map(|(name, value)| (*name, value.as_os_str()))
    }

    fn value(&self, name: &str) -> Option<&OsStr> {
        self.flags
            .iter()
            .find(|(given, _)| *given == name)
            .map(|(_, value)| value.as_os_str())
    }
}

/// A flag's value as text.
pub fn text_of<'a>(name: &str, value: &'a OsStr) -> Result<&'a str, Failure> {
    let text = value.to_str();
    text.ok_or_else(|| Failure::usage(format!("{name}: the text is not UTF-8")))
}

/// The token ids of a flag's value, `1,2,3`.
pub fn ids_of(name: &str, text: &str) -> Result<Vec<u32>, Failure> {
    let id = |word: &str| {
        word.trim()
            .parse::<u32>()
            .map_err(|_| Failure::usage(format!("{name}: {word:?} is not a token id; write 1,2,3")))
    };
    text.split(',').map(id).collect()
}

/// The flag of this name, or an error that says which one was probably meant.
fn find(name: &str, tables: &[&'static [Flag]]) -> Result<&'static Flag, Failure> {
    let all = || tables.iter().flat_map(|table| table.iter());
    if let Some(flag) = all().find(|flag| flag.name == name || flag.short == name) {
        return Ok(flag);
    }
    let hint = closest(name, all().map(|flag| flag.name));
    Err(Failure::usage(format!("there is no flag {name}{hint}")))
}

/// "; did you mean …?" for the word that is nearest, if one is near.
pub fn closest<'a>(given: &str, words: impl Iterator<Item = &'a str>) -> String {
    let near = words.map(|word| (distance(given, word), word)).min();
    match near {
        Some((distance, word)) if distance <= 1 + word.len() / 3 => {
            format!("; did you mean {word}?")
        }
        _ => String::new(),
    }
}

/// How many characters must be put, dropped or replaced (Levenshtein, 1965).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (a_idx, a_char) in a.chars().enumerate() {
        let mut diagonal = a_idx;
        let mut left = a_idx + 1;
        for (b_char, above) in b.iter().zip(row.iter_mut().skip(1)) {
            let changed = diagonal + usize::from(a_char != *b_char);
            diagonal = *above;
            left = changed.min(left + 1).min(diagonal + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = a_idx + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[
        Flag::with("--top-k", "K", ""),
        Flag::with("--prompt", "TEXT", ""),
        Flag {
            name: "--out",
            short: "-o",
            repeats: false,
            value: "FILE",
            help: "",
        },
        Flag::switch("--json", ""),
    ];

    fn parse(words: &[&str]) -> Result<Arguments, Failure> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        Arguments::parse(&words, &[FLAGS])
    }

    #[test]
    fn values_are_taken_whatever_they_begin_with() {
        let given = parse(&[
            "m.slm",
            "--prompt",
            "--json",
            "--top-k=7",
            "-o",
            "x",
            "--",
            "-y",
        ]);
        let given = given.unwrap();
        assert_eq!(given.text("--prompt").unwrap(), Some("--json"));
        assert!(!given.has("--json"));
        assert_eq!(given.number::<u32>("--top-k").unwrap(), Some(7));
        assert_eq!(given.path("--out"), Some(Path::new("x")));
        assert_eq!(given.files().unwrap(), ["m.slm", "-y"]);
    }

    #[test]
    fn wrong_flags_are_named() {
        for (words, message) in [
            (
                &["--topk"][..],
                "there is no flag --topk; did you mean --top-k?",
            ),
            (&["--colour"], "there is no flag --colour"),
            (&["-x"], "there is no flag -x"),
            (&["--prompt"], "--prompt needs a value: TEXT"),
            (&["--json=1"], "--json takes no value"),
            (&["--json", "--json"], "--json is given twice"),
        ] {
            assert_eq!(parse(words).unwrap_err().message, message);
        }
        let given = parse(&["--top-k", "many", "--prompt", "1,x"]).unwrap();
        let error = given.number::<u32>("--top-k").unwrap_err();
        assert_eq!(
            error.message,
            "--top-k: \"many\" is not a whole number in range"
        );
        assert!(
            given
                .ids("--prompt")
                .unwrap_err()
                .message
                .contains("\"x\" is not a token id")
        );
        assert!(given.file().unwrap_err().message.contains("which file"));
    }

    #[test]
    fn distances() {
        for (a, b, n) in [
            ("", "", 0),
            ("a", "", 1),
            ("kitten", "sitting", 3),
            ("ab", "ba", 2),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (n, n));
        }
    }
}
