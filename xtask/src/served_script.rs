//! A script as it is served: whole-line comments blanked, so that what visitors download is code.
//!
//! Nothing else changes: every line keeps its number, and lines within template literals stay as
//! they are. It reads as much of JavaScript as that takes (ECMA-262, section 12: comments, strings,
//! templates, regular expressions); a script that it does not understand is served untouched.

use std::ops::Range;

/// The script with its whole-line comments blanked.
pub fn blanked(script: &str) -> String {
    let Some(comments) = whole_line_comments(script) else {
        return script.to_string();
    };
    let mut out = String::with_capacity(script.len());
    let mut at = 0;
    for comment in comments {
        out.push_str(script[at..comment.start].trim_end_matches([' ', '\t']));
        out.extend(script[comment.clone()].matches('\n'));
        at = comment.end;
    }
    out + &script[at..]
}

/// Comments with nothing else on their lines, in order; `None` for what is not understood.
fn whole_line_comments(script: &str) -> Option<Vec<Range<usize>>> {
    let mut lexer = Lexer {
        bytes: script.as_bytes(),
        at: 0,
        line_is_blank: true,
        before: Before::Nothing,
        braces: Vec::new(),
        comments: Vec::new(),
    };
    while lexer.at < lexer.bytes.len() {
        lexer.token()?;
    }
    lexer.braces.is_empty().then_some(lexer.comments)
}

/// What stands before a slash decides what it begins.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    /// The beginning, an operator or a keyword: a regular expression.
    Nothing,
    /// A value: a division.
    Value,
    /// A closing brace: of a block or of an object, which only a parser knows.
    Brace,
}

/// What an open brace belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Brace {
    Code,
    Template,
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Only white space so far on this line.
    line_is_blank: bool,
    before: Before,
    braces: Vec<Brace>,
    comments: Vec<Range<usize>>,
}

/// Words behind which a value comes.
const KEYWORDS: &[&[u8]] = &[
    b"return", b"typeof", b"case", b"in", b"of", b"delete", b"void", b"throw", b"new", b"else",
    b"do", b"await", b"yield", b"extends", b"default",
];

impl Lexer<'_> {
    fn token(&mut self) -> Option<()> {
        let rest = &self.bytes[self.at..];
        match rest[0] {
            b'\n' => {
                self.line_is_blank = true;
                self.at += 1;
                return Some(());
            }
            b' ' | b'\t' | b'\r' => {
                self.at += 1;
                return Some(());
            }
            b'/' if rest.starts_with(b"//") || rest.starts_with(b"/*") => return self.comment(),
            b'/' => match self.before {
                Before::Nothing => self.regular_expression()?,
                Before::Value => self.operator(),
                Before::Brace => return None,
            },
            quote @ (b'"' | b'\'') => self.string(quote)?,
            b'`' => self.template()?,
            b'{' => {
                self.braces.push(Brace::Code);
                self.operator();
            }
            b'}' => match self.braces.pop()? {
                Brace::Code => {
                    self.at += 1;
                    self.before = Before::Brace;
                }
                Brace::Template => self.template()?,
            },
            b')' | b']' => {
                self.at += 1;
                self.before = Before::Value;
            }
            byte if is_word(byte) => self.word(),
            _ => self.operator(),
        }
        self.line_is_blank = false;
        Some(())
    }

    fn operator(&mut self) {
        self.at += 1;
        self.before = Before::Nothing;
    }

    fn word(&mut self) {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().take_while(|byte| is_word(**byte)).count();
        self.before = match KEYWORDS.contains(&&rest[..len]) {
            true => Before::Nothing,
            false => Before::Value,
        };
        self.at += len;
    }

    /// Notes the comment if it has its lines for itself.
    fn comment(&mut self) -> Option<()> {
        let rest = &self.bytes[self.at..];
        let is_block = rest[1] == b'*';
        let len = match is_block {
            false => rest
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(rest.len()),
            true => 4 + rest[2..].windows(2).position(|two| two == b"*/")?,
        };
        let behind = rest[len..].iter().take_while(|byte| **byte != b'\n');
        let ends_line = behind.clone().all(|byte| b" \t\r".contains(byte));
        if self.line_is_blank && ends_line {
            let end = self.at + len + behind.count();
            self.comments.push(self.at..end);
            self.at = end;
        } else {
            self.line_is_blank = false;
            self.at += len;
        }
        Some(())
    }

    /// A string ends on its line, unless the line's end is escaped.
    fn string(&mut self, quote: u8) -> Option<()> {
        self.scan(|byte| byte == quote, true)?;
        self.before = Before::Value;
        Some(())
    }

    /// A slash within a set does not end it.
    fn regular_expression(&mut self) -> Option<()> {
        let mut is_set = false;
        self.scan(
            |byte| {
                is_set = match byte {
                    b'[' => true,
                    b']' => false,
                    _ => is_set,
                };
                byte == b'/' && !is_set
            },
            true,
        )?;
        self.before = Before::Value;
        Some(())
    }

    /// Up to the end of a template literal, or to an expression in it.
    fn template(&mut self) -> Option<()> {
        let mut last = 0;
        self.scan(
            |byte| byte == b'`' || core::mem::replace(&mut last, byte) == b'$' && byte == b'{',
            false,
        )?;
        if self.bytes[self.at - 1] == b'{' {
            self.braces.push(Brace::Template);
            self.before = Before::Nothing;
        } else {
            self.before = Before::Value;
        }
        Some(())
    }

    /// Goes behind the first byte, after the present one, that ends it and is not escaped.
    fn scan(&mut self, mut ends: impl FnMut(u8) -> bool, on_one_line: bool) -> Option<()> {
        loop {
            self.at += 1;
            match *self.bytes.get(self.at)? {
                b'\\' => self.at += 1,
                b'\n' if on_one_line => return None,
                byte if ends(byte) => {
                    self.at += 1;
                    return Some(());
                }
                _ => {}
            }
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_$#".contains(&byte) || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn whole_line_comments_are_blanked_and_nothing_else_changes() {
        let rows = [
            ("// a\nb();\n", "\nb();\n"),
            ("a(); // b\n", "a(); // b\n"),
            ("  /** a\n   * b */  \nc();", "\n\nc();"),
            ("/* a */ b();", "/* a */ b();"),
            ("/* a\n b */ c();\n// d", "/* a\n b */ c();\n"),
            ("a = b /* c */\n/* d */\n", "a = b /* c */\n\n"),
            ("a = \"// b\";\n// c\n", "a = \"// b\";\n\n"),
            ("a = `\n// b\n`;\n// c\n", "a = `\n// b\n`;\n\n"),
            (
                "a = `${{ b: `\n// c\n` }}\n// d\n`;\n// e",
                "a = `${{ b: `\n// c\n` }}\n// d\n`;\n",
            ),
            (
                "a = `$${b}\\`\n// c\n`;\n//\n",
                "a = `$${b}\\`\n// c\n`;\n\n",
            ),
            ("a = /[`/]\\/`/g;\n// b\n", "a = /[`/]\\/`/g;\n\n"),
            (
                "a = b / c; d = e / `\n// f\n`",
                "a = b / c; d = e / `\n// f\n`",
            ),
            ("return /`/;\n// a\n", "return /`/;\n\n"),
            (
                "a = 'it\\'s\\\n// b';\n// c\r\n",
                "a = 'it\\'s\\\n// b';\n\n",
            ),
            ("a = é.b / 2;\n// é\n", "a = é.b / 2;\n\n"),
        ];
        for (script, expected) in rows {
            assert_eq!(blanked(script), expected, "{script}");
        }
    }

    #[test]
    fn what_is_not_understood_is_left_as_it_is() {
        for script in [
            "// a\nb = \"c",
            "// a\n/* b",
            "// a\n`b ${c",
            "// a\n}",
            "// a\n{} /`/",
            "// a\nb = /c\n/;",
        ] {
            assert_eq!(blanked(script), script);
        }
    }

    #[test]
    fn every_script_of_the_site_is_understood() {
        let root = workspace::root();
        let mut n_scripts = 0;
        for path in workspace::files(&root) {
            if path.starts_with("web/") && path.ends_with(".js") {
                let script = std::fs::read_to_string(root.join(&path)).unwrap();
                let served = blanked(&script);
                // Each has a comment at its top.
                assert!(served.starts_with('\n'), "{path}");
                assert_eq!(served.lines().count(), script.lines().count(), "{path}");
                let kept = served
                    .lines()
                    .zip(script.lines())
                    .filter(|(line, _)| !line.is_empty());
                kept.for_each(|(line, source)| assert_eq!(line, source, "{path}"));
                n_scripts += 1;
            }
        }
        assert!(n_scripts > 30, "{n_scripts}");
    }
}
