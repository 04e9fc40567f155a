//! Blanks comments, and strings if asked, out of Rust and JavaScript, so that checks for words see
//! code only. Line breaks stay where they are. A tokenizer it is not: enough for this tree, whose
//! formatter and linters see to the rest.

/// Which of the two languages.
#[derive(Clone, Copy, PartialEq)]
pub enum Language {
    /// Nested block comments, raw strings, lifetimes.
    Rust,
    /// Template strings, regular expressions.
    JavaScript,
}

/// The text with every comment, and unless `keep_strings` the inside of every string, as spaces.
pub fn blank(text: &str, language: Language, keep_strings: bool) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let mut before = '\n';
    while at < chars.len() {
        let (end, is_comment) = item(&chars, at, before, language);
        let keep = end == at + 1 || (keep_strings && !is_comment);
        for &one in &chars[at..end] {
            out.push(if keep || one == '\n' { one } else { ' ' });
        }
        if !is_comment && !chars[end - 1].is_whitespace() {
            before = chars[end - 1];
        }
        at = end;
    }
    out
}

/// End of the comment, string or single character that begins at `at`, and whether it is a comment.
fn item(chars: &[char], at: usize, before: char, language: Language) -> (usize, bool) {
    let next = chars.get(at + 1).copied().unwrap_or('\0');
    match (chars[at], next) {
        ('/', '/') => {
            let len = chars[at..]
                .iter()
                .position(|c| *c == '\n')
                .unwrap_or(chars.len() - at);
            (at + len, true)
        }
        ('/', '*') => (block_comment_end(chars, at, language), true),
        ('"', _) => (quoted_end(chars, at, '"'), false),
        ('r', '"' | '#') if language == Language::Rust && !is_word(before_char(chars, at)) => {
            (raw_string_end(chars, at), false)
        }
        ('\'', _) if language == Language::Rust => (char_literal_end(chars, at), false),
        ('\'', _) => (quoted_end(chars, at, '\''), false),
        ('`', _) if language == Language::JavaScript => (quoted_end(chars, at, '`'), false),
        ('/', _) if language == Language::JavaScript && starts_expression(before) => {
            (regex_end(chars, at), false)
        }
        _ => (at + 1, false),
    }
}

fn before_char(chars: &[char], at: usize) -> char {
    // A `b` before `r` belongs to the literal, as in br"…".
    match at.checked_sub(1).map(|i| chars[i]) {
        Some('b') => at.checked_sub(2).map_or(' ', |i| chars[i]),
        Some(other) => other,
        None => ' ',
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// After these a slash begins a regular expression, not a division.
fn starts_expression(before: char) -> bool {
    "\n(,=:[!&|?{};+>".contains(before)
}

fn block_comment_end(chars: &[char], at: usize, language: Language) -> usize {
    let mut depth = 0usize;
    let mut i = at;
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') if depth == 0 || language == Language::Rust => {
                depth += 1;
                i += 2;
            }
            ('*', '/') => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    chars.len()
}

fn quoted_end(chars: &[char], at: usize, quote: char) -> usize {
    let mut i = at + 1;
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            c if c == quote => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return at + 1;
    }
    let closes = |i: usize| {
        chars[i] == '"'
            && chars[i + 1..]
                .iter()
                .take(hashes)
                .filter(|c| **c == '#')
                .count()
                == hashes
    };
    (open + 1..chars.len())
        .find(|i| closes(*i))
        .map_or(chars.len(), |i| i + 1 + hashes)
}

/// A character literal ends with a quote; a lifetime has none and is left as it is.
fn char_literal_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => quoted_end(chars, at, '\''),
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}

fn regex_end(chars: &[char], at: usize) -> usize {
    let mut in_class = false;
    let mut i = at + 1;
    while i < chars.len() && chars[i] != '\n' {
        match chars[i] {
            '\\' => i += 1,
            '[' => in_class = true,
            ']' => in_class = false,
            '/' if !in_class => return i + 1,
            _ => {}
        }
        i += 1;
    }
    at + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_stays_and_the_rest_goes() {
        let rust = Language::Rust;
        let js = Language::JavaScript;
        let rows = [
            (rust, "a // b", "a     "),
            (rust, "a /* b /* c */ d */ e", "a                   e"),
            (rust, "f(\"x\\\"y\") z", "f(      ) z"),
            (rust, "r#\"a\"b\"# c", "         c"),
            (rust, "&'a str, 'x', '\\''", "&'a str,    ,     "),
            (js, "a = /['\"]/; b", "a =       ; b"),
            (js, "a / b / c", "a / b / c"),
            (js, "`x ${y}` + '\"' z", "         +     z"),
        ];
        for (language, text, expected) in rows {
            assert_eq!(blank(text, language, false), expected, "{text}");
        }
        assert_eq!(blank("'a' // b", js, true), "'a'     ");
        assert_eq!(blank("/* a\nb */c", rust, false), "    \n    c");
    }
}
