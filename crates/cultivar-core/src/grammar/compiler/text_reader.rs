//! Characters of a grammar's or pattern's text, one after the other, and sets of them in brackets.

use super::byte_set::CharSet;

/// A text and how far it is read.
#[derive(Clone, Copy)]
pub(super) struct TextReader<'a> {
    text: &'a str,
    /// Byte offset.
    pub at: usize,
}

impl<'a> TextReader<'a> {
    /// At the beginning of a text.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// What is left.
    pub fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// The next character, left where it is.
    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The next character.
    pub fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Whether this comes next; it is read then.
    pub fn take(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.at += text.len();
        }
        is_next
    }

    /// A decimal number, if one comes next and is below 2^20.
    pub fn number(&mut self) -> Option<u32> {
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let number = self.rest().get(..digits)?.parse().ok();
        self.at += digits;
        number.filter(|n| *n < 1 << 20)
    }

    /// The character of so many hexadecimal digits.
    pub fn hex(&mut self, n_digits: usize) -> Option<u32> {
        let digits = self.rest().get(..n_digits)?;
        let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        let value = u32::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
        self.at += n_digits;
        Some(value)
    }

    /// `n}`, `n,}` or `n,m}` behind an opening brace.
    pub fn counts(&mut self) -> Option<(u32, Option<u32>)> {
        let min = self.number()?;
        if self.take("}") {
            return Some((min, Some(min)));
        }
        let is_range = self.take(",");
        if is_range && self.take("}") {
            return Some((min, None));
        }
        let max = self.number().filter(|_| is_range)?;
        self.take("}").then_some((min, Some(max)))
    }

    /// The set behind an opening bracket, up to its closing one; `escape` reads what follows a
    /// backslash.
    pub fn set(&mut self, escape: impl Fn(&mut Self) -> Option<CharSet>) -> Option<CharSet> {
        let is_negated = self.take("^");
        let mut set = CharSet::of(&[]);
        let one = |reader: &mut Self| match reader.next()? {
            '\\' => escape(reader),
            c => Some(CharSet::of(&[(u32::from(c), u32::from(c))])),
        };
        loop {
            if self.take("]") {
                break;
            }
            let first = one(self)?;
            let is_range = self.peek() == Some('-') && !self.rest().starts_with("-]");
            if is_range {
                self.take("-");
                let (low, high) = (first.single()?, one(self)?.single()?);
                if low > high {
                    return None;
                }
                set = set.with(&CharSet::of(&[(low, high)]));
            } else {
                set = set.with(&first);
            }
        }
        Some(if is_negated { set.complement() } else { set })
    }
}

/// Names of rules and keywords: letters, digits, `-` and `_`.
pub(super) fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}
