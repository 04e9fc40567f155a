//! Writes the engine's and the importer's Unicode tables from the extract in
//! `fixtures/unicode/unicode.txt`, so that nobody edits a table by hand. Each table is one byte
//! string of base-128 numbers (low seven bits first, the high bit set on all but the last byte);
//! the readers in `cultivar-core` and `cultivar-import` say what the numbers mean, and
//! `cargo xtask test` fails if a table is not fresh.

use crate::{TaskError, TaskResult, workspace};
use std::fmt::Write;
use std::fs;

/// What the tables are made from.
const EXTRACT: &str = "fixtures/unicode/unicode.txt";
/// The engine's generated file.
const TARGET: &str = "crates/cultivar-core/src/tokenizer/unicode/tables.rs";
/// The importer's: what only NFKC needs.
const IMPORT_TARGET: &str = "crates/cultivar-import/src/tokenizers/compatibility_table.rs";
/// Bytes of a table on one line of source: four columns each.
const BYTES_PER_LINE: usize = 23;

/// One line of the extract: what it is about, the numbers in hexadecimal, and a last word.
struct Row<'a> {
    subject: &'a str,
    codes: Vec<u32>,
    last: &'a str,
}

/// Writes the tables, or with `check` only compares them and fails if they are not fresh.
pub fn run(check: bool) -> TaskResult {
    let path = workspace::root().join(EXTRACT);
    let extract = fs::read_to_string(path)
        .map_err(|error| TaskError::Failed(format!("{EXTRACT} cannot be read: {error}")))?;
    let rows = rows(&extract)?;
    let version = extract.split_whitespace().nth(2).unwrap_or_default();
    let version = version.trim_end_matches(',');
    let tables = [
        (
            "CLASS_RUNS",
            "Runs of letters, numbers, punctuation.",
            classes(&rows)?,
        ),
        (
            "COMBINING_RUNS",
            "Runs of one combining class.",
            combining(&rows),
        ),
        ("CANONICAL", "Canonical decompositions.", canonical(&rows)),
    ];
    refresh(TARGET, &generate(version, &tables), check)?;
    let [gaps, lens, firsts, others] = compatible(&rows);
    let tables = [
        ("GAPS", "Code points since the last character.", gaps),
        ("LENS", "Code points that a character becomes.", lens),
        ("FIRSTS", "The first of them.", firsts),
        ("OTHERS", "The others.", others),
    ];
    refresh(IMPORT_TARGET, &generate(version, &tables), check)
}

/// Writes a generated file, or with `check` only compares it.
fn refresh(target: &str, fresh: &str, check: bool) -> TaskResult {
    let path = workspace::root().join(target);
    if !check {
        return fs::write(&path, fresh)
            .map_err(|error| TaskError::Failed(format!("{target} cannot be written: {error}")));
    }
    if fs::read_to_string(&path).ok().as_deref() == Some(fresh) {
        return Ok(());
    }
    Err(TaskError::Failed(format!(
        "{target} is not what {EXTRACT} gives; run `cargo xtask unicode`"
    )))
}

fn generate(version: &str, tables: &[(&str, &str, Vec<u8>)]) -> String {
    let mut out = format!(
        "//! Tables of Unicode {version}, made by `cargo xtask unicode` from `{EXTRACT}`.\n\
         //!\n\
         //! Never edit this file. Each table is a run of base-128 numbers; the readers beside it\n\
         //! say what they mean.\n",
    );
    for (name, doc, bytes) in tables {
        let _ = write!(out, "\n/// {doc}\npub(super) const {name}: &[u8] = b\"\\\n");
        for line in bytes.chunks(BYTES_PER_LINE) {
            out.push_str("    ");
            for byte in line {
                let _ = write!(out, "\\x{byte:02x}");
            }
            out.push_str("\\\n");
        }
        out.push_str("\";\n");
    }
    out
}

fn rows(extract: &str) -> TaskResult<Vec<Row<'_>>> {
    let mut rows = Vec::new();
    for line in extract.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let subject = words.next().unwrap_or_default();
        let words: Vec<&str> = words.collect();
        let n_codes = match subject {
            "class" | "combining" => 2,
            _ => words.iter().filter(|word| **word != "+").count(),
        };
        let codes: Result<Vec<u32>, _> = words
            .iter()
            .take(n_codes)
            .map(|word| u32::from_str_radix(word, 16))
            .collect();
        let Ok(codes) = codes else {
            return Err(TaskError::Failed(format!(
                "{EXTRACT}: cannot read {line:?}"
            )));
        };
        rows.push(Row {
            subject,
            codes,
            last: words.last().copied().unwrap_or_default(),
        });
    }
    Ok(rows)
}

/// Per run: code points since the end of the last one; (length - 1) * 3 + group.
fn classes(rows: &[Row<'_>]) -> TaskResult<Vec<u8>> {
    let mut out = Vec::new();
    let mut next = 0;
    for row in rows.iter().filter(|row| row.subject == "class") {
        let group = match row.last {
            "L" => 0,
            "N" => 1,
            "P" => 2,
            other => return Err(TaskError::Failed(format!("{EXTRACT}: no group {other}"))),
        };
        if let [first, last] = row.codes[..] {
            put(&mut out, first - next);
            put(&mut out, (last - first) * 3 + group);
            next = last + 1;
        }
    }
    Ok(out)
}

/// Per run: code points since the end of the last one; length - 1; combining class.
fn combining(rows: &[Row<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut next = 0;
    for row in rows.iter().filter(|row| row.subject == "combining") {
        if let ([first, last], Ok(class)) = (&row.codes[..], row.last.parse()) {
            put(&mut out, first - next);
            put(&mut out, last - first);
            put(&mut out, class);
            next = last + 1;
        }
    }
    out
}

/// Per character: code points since the last one, twice, plus 1 if NFC composes it again; the
/// first code point; the second's distance from U+02FF, or 0 if there is none.
fn canonical(rows: &[Row<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut next = 0;
    for row in rows.iter().filter(|row| row.subject == "canonical") {
        if let [code, first, rest @ ..] = &row.codes[..] {
            put(&mut out, (code - next) * 2 + u32::from(row.last == "+"));
            put(&mut out, *first);
            put(&mut out, rest.first().map_or(0, |second| second - 0x2FF));
            next = code + 1;
        }
    }
    out
}

/// Per character: code points since the last one; how many code points it becomes; the first, and
/// the others. Each of those is the difference from the last one at its place, twice, less 1 and
/// without its sign where negative: tables of one kind of number pack to two thirds.
fn compatible(rows: &[Row<'_>]) -> [Vec<u8>; 4] {
    let [mut gaps, mut lens, mut firsts, mut others] = [const { Vec::new() }; 4];
    let mut next = 0;
    let mut last = Vec::new();
    for row in rows.iter().filter(|row| row.subject == "compatible") {
        if let [code, to @ ..] = &row.codes[..] {
            put(&mut gaps, code - next);
            put(&mut lens, to.len() as u32);
            last.resize(to.len().max(last.len()), 0);
            for (idx, (code, last)) in to.iter().zip(&mut last).enumerate() {
                let column = if idx == 0 { &mut firsts } else { &mut others };
                let difference = i64::from(*code) - i64::from(*last);
                put(column, ((difference * 2) ^ (difference >> 63)) as u32);
                *last = *code;
            }
            next = code + 1;
        }
    }
    [gaps, lens, firsts, others]
}

fn put(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_fresh() {
        assert!(run(true).is_ok(), "run `cargo xtask unicode`");
    }

    #[test]
    fn lines_become_numbers() {
        let extract = "# Unicode 1.0, x\nclass 0041 0042 L\ncombining 0300 0300 230\n\
                       canonical 00C0 0041 0300 +\ncanonical 0300 0041\n\
                       compatible 00A8 0020 0308\ncompatible 00A9 001D\n";
        let rows = rows(extract).unwrap_or_default();
        assert_eq!(classes(&rows).unwrap_or_default(), [0x41, 3]);
        assert_eq!(combining(&rows), [0x80, 6, 0, 0xE6, 1]);
        assert_eq!(canonical(&rows), [0x81, 3, 0x41, 1, 0xFE, 8, 0x41, 0]);
        let [gaps, lens, firsts, others] = compatible(&rows);
        assert_eq!((gaps, lens), (vec![0xA8, 1, 0], vec![2, 1]));
        assert_eq!((firsts, others), (vec![0x40, 5], vec![0x90, 0x0C]));
        assert!(self::rows("class 00G1 0042 L").is_err());
    }
}
