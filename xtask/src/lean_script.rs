//! Takes whole-line comments and indentation out of a script, and at the end also the spaces beside
//! brackets and the like, and line ends that end nothing: what visitors download is code.
//!
//! Nothing else changes: what stands within strings and templates stays as it is. It reads as much
//! of JavaScript as that takes (ECMA-262, section 12: comments, strings, templates, regular
//! expressions); a script that it does not understand is left untouched.

use std::ops::Range;

/// The script without its whole-line comments, indentation and empty lines.
pub fn lean(script: &str) -> String {
    without(script, false)
}

/// The same, without the spaces beside [`SEPARATORS`] and the line ends behind [`OPENERS`] either.
pub fn tight(script: &str) -> String {
    without(script, true)
}

fn without(script: &str, drops_spaces: bool) -> String {
    let Some(needless) = needless(script, drops_spaces) else {
        return script.to_string();
    };
    let mut out = String::with_capacity(script.len());
    let mut at = 0;
    for range in needless {
        out.push_str(&script[at..range.start]);
        at = range.end;
    }
    out + &script[at..]
}

/// What may go, in order: comments with nothing else on their lines, together with these, white
/// space at the beginning of lines of code, and where wanted spaces beside [`SEPARATORS`]; `None`
/// for what is not understood.
fn needless(script: &str, drops_spaces: bool) -> Option<Vec<Range<usize>>> {
    let mut lexer = Lexer {
        bytes: script.as_bytes(),
        at: 0,
        drops_spaces,
        line_is_blank: true,
        is_behind_comment: false,
        before: Before::Nothing,
        braces: Vec::new(),
        needless: Vec::new(),
    };
    while lexer.at < lexer.bytes.len() {
        lexer.token()?;
    }
    lexer.braces.is_empty().then_some(lexer.needless)
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
    /// Whether spaces beside separators go too.
    drops_spaces: bool,
    /// Only white space so far on this line.
    line_is_blank: bool,
    /// What stands before is a comment that stays.
    is_behind_comment: bool,
    before: Before,
    braces: Vec<Brace>,
    needless: Vec<Range<usize>>,
}

/// Words behind which a value comes.
const KEYWORDS: &[&[u8]] = &[
    b"return", b"typeof", b"case", b"in", b"of", b"delete", b"void", b"throw", b"new", b"else",
    b"do", b"await", b"yield", b"extends", b"default",
];

/// Beside these a space parts nothing: no two of them that code ever has apart become one token
/// when they stand together. (Signs and slashes do: `a - -b`.)
const SEPARATORS: &[u8] = b"{}()[],;:=<>?&|";

/// Behind these no statement ends with its line (ECMA-262, section 12.10), or it has ended already.
const OPENERS: &[u8] = b"{([,;";

impl Lexer<'_> {
    fn token(&mut self) -> Option<()> {
        let rest = &self.bytes[self.at..];
        match rest[0] {
            b'\n' | b' ' | b'\t' | b'\r' => {
                if self.line_is_blank || self.is_needless_space() || self.is_needless_end() {
                    self.needless.push(self.at..self.at + 1);
                }
                self.line_is_blank |= rest[0] == b'\n';
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
        self.is_behind_comment = false;
        Some(())
    }

    /// A line end right behind one of [`OPENERS`] of the code.
    fn is_needless_end(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.bytes.get(at));
        self.drops_spaces
            && self.bytes[self.at] == b'\n'
            && !self.is_behind_comment
            && before.is_some_and(|byte| OPENERS.contains(byte))
    }

    /// One space with a separator on a side, and code on both.
    fn is_needless_space(&self) -> bool {
        let beside = [self.at.checked_sub(1), Some(self.at + 1)];
        let beside = beside.map(|at| at.and_then(|at| self.bytes.get(at)).copied());
        let parts = |byte: Option<u8>| byte.is_some_and(|byte| SEPARATORS.contains(&byte));
        self.drops_spaces
            && self.bytes[self.at] == b' '
            && beside.iter().any(|byte| parts(*byte))
            && !beside.iter().flatten().any(u8::is_ascii_whitespace)
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
            // Together with the line's end.
            let end = (self.at + len + behind.count() + 1).min(self.bytes.len());
            self.needless.push(self.at..end);
            self.at = end;
        } else {
            self.line_is_blank = false;
            self.is_behind_comment = true;
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

    /// Without white space.
    fn dense(text: &str) -> String {
        text.split_ascii_whitespace().collect()
    }

    #[test]
    fn comments_indentation_and_needless_spaces_go_and_nothing_else_changes() {
        let rows = [
            ("// a\nb();\n", "b();"),
            ("a(); // b;\nc();", "a();// b;\nc();"),
            ("  /** a\n   * b */  \nc()\nd();", "c()\nd();"),
            ("/* a */ b();", "/* a */ b();"),
            ("/* a\n b */ c();\n// d", "/* a\n b */ c();"),
            ("a = b /* c; */\n/* d */\n", "a=b /* c; */\n"),
            ("a = b - -c ? [d] : { e: f };\n//\n", "a=b - -c?[d]:{e:f};"),
            ("a  = b;  \nc", "a  =b;  \nc"),
            ("a = \"// b;\"\n// c\n", "a=\"// b;\"\n"),
            ("a = `\n// b;\n`;\n// c\n", "a=`\n// b;\n`;"),
            (
                "a = `${{ b: `\n// c\n` }}\n// d\n`;\n// e",
                "a=`${{b:`\n// c\n`}}\n// d\n`;",
            ),
            ("a = `$${b}\\`\n// c\n`;\n//\n", "a=`$${b}\\`\n// c\n`;"),
            ("a = /[`/]\\/`/g;\n// b\n", "a=/[`/]\\/`/g;"),
            ("a = b / c; d = e / `\n// f\n`", "a=b / c;d=e / `\n// f\n`"),
            ("return /`/;\n// a\n", "return /`/;"),
            ("a = 'it\\'s\\\n// b';\n// c\r\n", "a='it\\'s\\\n// b';"),
            ("a = é.b / 2;\n// é\n", "a=é.b / 2;"),
            ("a {\n\n  b  c\n\t}\nd(\n[e,\nf])", "a{b  c\n}\nd([e,f])"),
            (
                "  a = `\n  b\n\n ${\n  c\n  }\n  `;\n",
                "a=`\n  b\n\n ${c\n}\n  `;",
            ),
        ];
        for (script, expected) in rows {
            assert_eq!(tight(script), expected, "{script}");
            assert_eq!(dense(&lean(script)), dense(expected), "{script}");
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
            assert_eq!(tight(script), script);
        }
    }

    #[test]
    fn every_script_of_the_site_is_understood() {
        let root = workspace::root();
        let mut n_scripts = 0;
        for path in workspace::files(&root) {
            if path.starts_with("web/") && path.ends_with(".js") {
                let script = std::fs::read_to_string(root.join(&path)).unwrap();
                let kept = tight(&script);
                // Each has a comment at its top.
                assert!(kept.len() < script.len(), "{path}");
                // Line by line the same, and then but for white space.
                let leaned = lean(&script);
                let mut lines = script.lines().map(str::trim_start);
                for line in leaned.lines() {
                    assert!(lines.any(|one| one == line), "{path}: {line}");
                }
                assert_eq!(dense(&kept), dense(&leaned), "{path}");
                n_scripts += 1;
            }
        }
        assert!(n_scripts > 30, "{n_scripts}");
    }
}
