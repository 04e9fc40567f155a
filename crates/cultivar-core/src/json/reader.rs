//! Reads JSON strictly (RFC 8259): one value, UTF-8, bounded depth; keys that stand twice are taken
//! or refused, as the caller wants it.
//!
//! Recursive descent over bytes; memory stays proportional to the text, because every element and
//! member costs at least two bytes of it. Checked against Nicolas Seriot's JSONTestSuite.

use super::decimal::parse_f64;
use super::value::JsonValue;
use super::{JsonError, JsonErrorKind};
use alloc::string::String;
use alloc::vec::Vec;

/// How deeply arrays and objects may nest: far above any file that is read, far below any stack.
pub const DEPTH_MAX: usize = 64;

/// Up to this many members, keys are compared pairwise; above it they are sorted.
const PAIRWISE_MEMBERS_MAX: usize = 16;

/// The value that `bytes` spell; anything before or behind it other than white space is refused.
///
/// Of members with one key, [`JsonValue::get`] gives the last, as Python's and JavaScript's readers
/// do. For files of others; what is ours or says where bytes lie goes through [`parse_unique`].
pub fn parse(bytes: &[u8]) -> Result<JsonValue, JsonError> {
    read(bytes, false)
}

/// As [`parse`], but a key that stands twice in one object is refused.
pub fn parse_unique(bytes: &[u8]) -> Result<JsonValue, JsonError> {
    read(bytes, true)
}

fn read(bytes: &[u8], is_unique: bool) -> Result<JsonValue, JsonError> {
    if let Err(error) = core::str::from_utf8(bytes) {
        return Err(JsonError {
            kind: JsonErrorKind::NotUtf8,
            offset: error.valid_up_to(),
        });
    }
    let mut text = Text {
        bytes,
        pos: 0,
        is_unique,
    };
    text.skip_white_space();
    let value = text.value(0)?;
    text.skip_white_space();
    if text.pos < bytes.len() {
        return text.refuse(JsonErrorKind::Trailing);
    }
    Ok(value)
}

/// The text and how far it has been read.
struct Text<'a> {
    bytes: &'a [u8],
    pos: usize,
    /// Whether a key that stands twice is refused.
    is_unique: bool,
}

impl Text<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied()
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.pos..).unwrap_or_default()
    }

    fn refuse<T>(&self, kind: JsonErrorKind) -> Result<T, JsonError> {
        Err(JsonError {
            kind,
            offset: self.pos,
        })
    }

    /// Refuses the next byte, or the end of the text if there is none.
    fn unexpected<T>(&self) -> Result<T, JsonError> {
        self.refuse(match self.peek() {
            Some(_) => JsonErrorKind::UnexpectedByte,
            None => JsonErrorKind::UnexpectedEnd,
        })
    }

    fn skip_white_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.pos += 1;
        }
    }

    /// Consumes `byte` if it comes next.
    fn accept(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.pos += usize::from(is_next);
        is_next
    }

    fn value(&mut self, depth: usize) -> Result<JsonValue, JsonError> {
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(JsonValue::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", JsonValue::Bool(true)),
            Some(b'f') => self.word("false", JsonValue::Bool(false)),
            Some(b'n') => self.word("null", JsonValue::Null),
            _ => self.unexpected(),
        }
    }

    fn word(&mut self, word: &str, value: JsonValue) -> Result<JsonValue, JsonError> {
        for byte in word.bytes() {
            if !self.accept(byte) {
                return self.unexpected();
            }
        }
        Ok(value)
    }

    fn array(&mut self, depth: usize) -> Result<JsonValue, JsonError> {
        let mut elements = Vec::new();
        self.enter(depth)?;
        if self.accept(b']') {
            return Ok(JsonValue::Array(elements));
        }
        loop {
            self.skip_white_space();
            elements.push(self.value(depth + 1)?);
            if !self.another(b']')? {
                return Ok(JsonValue::Array(elements));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<JsonValue, JsonError> {
        let start = self.pos;
        let mut members = Vec::new();
        self.enter(depth)?;
        if self.accept(b'}') {
            return Ok(JsonValue::Object(members));
        }
        loop {
            self.skip_white_space();
            let key_offset = self.pos;
            if self.peek() != Some(b'"') {
                return self.unexpected();
            }
            let key = self.string()?;
            let is_few = members.len() < PAIRWISE_MEMBERS_MAX;
            if self.is_unique && is_few && members.iter().any(|(other, _)| *other == key) {
                return Err(JsonError {
                    kind: JsonErrorKind::DuplicateKey,
                    offset: key_offset,
                });
            }
            self.skip_white_space();
            if !self.accept(b':') {
                return self.unexpected();
            }
            self.skip_white_space();
            members.push((key, self.value(depth + 1)?));
            if !self.another(b'}')? {
                break;
            }
        }
        let is_many = members.len() > PAIRWISE_MEMBERS_MAX;
        if self.is_unique && is_many && has_duplicate(&members) {
            return Err(JsonError {
                kind: JsonErrorKind::DuplicateKey,
                offset: start,
            });
        }
        Ok(JsonValue::Object(members))
    }

    /// Consumes an opening bracket and the white space behind it.
    fn enter(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth >= DEPTH_MAX {
            return self.refuse(JsonErrorKind::TooDeep);
        }
        self.pos += 1;
        self.skip_white_space();
        Ok(())
    }

    /// Behind an element: consumes a comma (true) or the closing bracket (false).
    fn another(&mut self, closing: u8) -> Result<bool, JsonError> {
        self.skip_white_space();
        if self.accept(b',') {
            return Ok(true);
        }
        if self.accept(closing) {
            return Ok(false);
        }
        self.unexpected()
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.pos += 1;
        let mut unescaped = String::new();
        loop {
            let start = self.pos;
            while let Some(byte) = self.peek() {
                if byte == b'"' || byte == b'\\' || byte < b' ' {
                    break;
                }
                self.pos += 1;
            }
            // The whole text is UTF-8 and the run is cut at ASCII bytes, so it is UTF-8 too.
            let run = self.bytes.get(start..self.pos).unwrap_or_default();
            unescaped.push_str(core::str::from_utf8(run).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.pos += 1;
                    return Ok(unescaped);
                }
                Some(b'\\') => unescaped.push(self.escape()?),
                Some(_) => return self.refuse(JsonErrorKind::ControlCharacter),
                None => return self.unexpected(),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.pos;
        self.pos += 1;
        let Some(byte) = self.peek() else {
            return self.unexpected();
        };
        let character = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{C}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.pos += 1;
                return self.escaped_unit(start);
            }
            _ => {
                return Err(JsonError {
                    kind: JsonErrorKind::BadEscape,
                    offset: start,
                });
            }
        };
        self.pos += 1;
        Ok(character)
    }

    /// Behind `\u`: one UTF-16 unit, or two of them for a character beyond U+FFFF.
    fn escaped_unit(&mut self, start: usize) -> Result<char, JsonError> {
        let first = self.four_hex_digits()?;
        let mut code = first;
        if (0xD800..0xDC00).contains(&first) && self.rest().starts_with(b"\\u") {
            self.pos += 2;
            let second = self.four_hex_digits()?;
            if (0xDC00..0xE000).contains(&second) {
                code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            }
        }
        let lone = JsonError {
            kind: JsonErrorKind::LoneSurrogate,
            offset: start,
        };
        char::from_u32(code).ok_or(lone)
    }

    fn four_hex_digits(&mut self) -> Result<u32, JsonError> {
        let mut value = 0;
        for _ in 0..4 {
            let Some(byte) = self.peek() else {
                return self.unexpected();
            };
            let Some(digit) = char::from(byte).to_digit(16) else {
                return self.refuse(JsonErrorKind::BadEscape);
            };
            value = value * 16 + digit;
            self.pos += 1;
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<JsonValue, JsonError> {
        let start = self.pos;
        let is_negative = self.accept(b'-');
        if !self.accept(b'0') {
            self.digits()?;
        }
        let mut is_integer = true;
        if self.accept(b'.') {
            is_integer = false;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            is_integer = false;
            self.pos += 1;
            if !self.accept(b'-') {
                self.accept(b'+');
            }
            self.digits()?;
        }
        if let Some(b'0'..=b'9') = self.peek() {
            return self.refuse(JsonErrorKind::BadNumber);
        }
        let bad = |kind| JsonError {
            kind,
            offset: start,
        };
        let spelled = self.bytes.get(start..self.pos).unwrap_or_default();
        let spelled = core::str::from_utf8(spelled).unwrap_or_default();
        if is_integer
            && !is_negative
            && let Ok(value) = spelled.parse()
        {
            return Ok(JsonValue::Unsigned(value));
        }
        // "-0" stays a float: an integer would lose its sign.
        if is_integer
            && spelled != "-0"
            && let Ok(value) = spelled.parse()
        {
            return Ok(JsonValue::Negative(value));
        }
        let value = parse_f64(spelled);
        if value.is_finite() {
            Ok(JsonValue::Float(value))
        } else {
            Err(bad(JsonErrorKind::NumberRange))
        }
    }

    /// Consumes one digit or more.
    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.pos;
        while let Some(b'0'..=b'9') = self.peek() {
            self.pos += 1;
        }
        if self.pos > start {
            return Ok(());
        }
        match self.peek() {
            Some(_) => self.refuse(JsonErrorKind::BadNumber),
            None => self.unexpected(),
        }
    }
}

/// Whether two members have the same key; sorts references, so that it stays fast for a vocabulary.
fn has_duplicate(members: &[(String, JsonValue)]) -> bool {
    let mut keys: Vec<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
    crate::sorting::sort(&mut keys);
    keys.array_windows().any(|[a, b]| a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<JsonValue, (JsonErrorKind, usize)>) {
        let expected = expected.map_err(|(kind, offset)| JsonError { kind, offset });
        assert_eq!(parse(text.as_bytes()), expected, "{text}");
    }

    #[test]
    fn values() {
        use JsonValue::{Array, Bool, Float, Negative, Null, Object, String, Unsigned};
        check(" null ", Ok(Null));
        check("[true,false]", Ok(Array([Bool(true), Bool(false)].into())));
        check("18446744073709551615", Ok(Unsigned(u64::MAX)));
        check("18446744073709551616", Ok(Float(18446744073709551616.0)));
        check("-9223372036854775808", Ok(Negative(i64::MIN)));
        check("-0", Ok(Float(-0.0)));
        check("1.5e2", Ok(Float(150.0)));
        check(r#""\u00e9\ud83c\udf31\n\/""#, Ok(String("é🌱\n/".into())));
        check(r#"{"a":{},"b":[]}"#, {
            let members = [
                ("a".into(), Object([].into())),
                ("b".into(), Array([].into())),
            ];
            Ok(Object(members.into()))
        });
    }

    #[test]
    fn refusals_name_the_place() {
        use JsonErrorKind::*;
        check("", Err((UnexpectedEnd, 0)));
        check("[1,]", Err((UnexpectedByte, 3)));
        check("[1 2]", Err((UnexpectedByte, 3)));
        check("nul", Err((UnexpectedEnd, 3)));
        check("1 1", Err((Trailing, 2)));
        check("01", Err((BadNumber, 1)));
        check("1.", Err((UnexpectedEnd, 2)));
        check("-x", Err((BadNumber, 1)));
        check("1e999", Err((NumberRange, 0)));
        check("\"a\nb\"", Err((ControlCharacter, 2)));
        check(r#""\q""#, Err((BadEscape, 1)));
        check(r#""\u12g4""#, Err((BadEscape, 5)));
        check(r#""\ud800\u0041""#, Err((LoneSurrogate, 1)));
        check(r#""\udc00""#, Err((LoneSurrogate, 1)));
        assert_eq!(
            parse(b"\"\xFF\""),
            Err(JsonError {
                kind: NotUtf8,
                offset: 1
            })
        );
    }

    #[test]
    fn keys_that_stand_twice_are_the_callers_choice() {
        let text = br#"{"a":1,"b":3,"a":2}"#;
        let value = parse(text).unwrap();
        assert_eq!(value.get("a"), Some(&JsonValue::Unsigned(2)));
        let refusal = JsonError {
            kind: JsonErrorKind::DuplicateKey,
            offset: 13,
        };
        assert_eq!(parse_unique(text), Err(refusal));
    }

    #[test]
    fn duplicates_among_many_keys_are_found() {
        let mut text = String::from("{\"k0\":0");
        for i in 1..100 {
            text.push_str(&alloc::format!(",\"k{i}\":0"));
        }
        assert!(parse_unique(alloc::format!("{text}}}").as_bytes()).is_ok());
        text.push_str(",\"k50\":1}");
        assert_eq!(
            parse_unique(text.as_bytes()).map_err(|e| e.kind),
            Err(JsonErrorKind::DuplicateKey)
        );
        let last = parse(text.as_bytes()).unwrap();
        assert_eq!(last.get("k50"), Some(&JsonValue::Unsigned(1)));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |n: usize| alloc::format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
        let refusal = JsonError {
            kind: JsonErrorKind::TooDeep,
            offset: DEPTH_MAX,
        };
        assert_eq!(parse(nested(DEPTH_MAX + 1).as_bytes()), Err(refusal));
    }
}
