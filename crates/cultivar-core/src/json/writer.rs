//! Writes compact JSON into one string, in the order of the calls.
//!
//! Commas and quotes are the writer's business; balance is the caller's, and is asserted in debug
//! builds. The result is canonical: no white space, one spelling per number, only the escapes that
//! JSON demands. There is no way to insert raw text other than [`JsonWriter::raw`].

use super::number;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

/// A JSON text in progress.
#[derive(Clone, Debug, Default)]
pub struct JsonWriter {
    text: String,
    /// Closing brackets of what is open, innermost last.
    open: Vec<char>,
    /// Whether a comma is due before the next key or element.
    comma: bool,
}

impl JsonWriter {
    /// An empty text.
    pub fn new() -> Self {
        JsonWriter::default()
    }

    /// The whole text. Every object and array must have been ended.
    pub fn finish(self) -> String {
        debug_assert!(self.open.is_empty(), "an object or array is still open");
        self.text
    }

    /// Begins an object.
    pub fn begin_object(&mut self) -> &mut Self {
        self.begin('{', '}')
    }

    /// Ends the innermost object.
    pub fn end_object(&mut self) -> &mut Self {
        self.end('}')
    }

    /// Begins an array.
    pub fn begin_array(&mut self) -> &mut Self {
        self.begin('[', ']')
    }

    /// Ends the innermost array.
    pub fn end_array(&mut self) -> &mut Self {
        self.end(']')
    }

    /// The key of the next value; only inside an object.
    pub fn key(&mut self, key: &str) -> &mut Self {
        debug_assert_eq!(
            self.open.last(),
            Some(&'}'),
            "a key stands outside an object"
        );
        self.separate();
        self.quote(key);
        self.text.push(':');
        self.comma = false;
        self
    }

    /// A string.
    pub fn string(&mut self, value: &str) -> &mut Self {
        self.separate();
        self.quote(value);
        self
    }

    /// Any value that prints itself, as a string: a digest, an error, a name.
    pub fn display(&mut self, value: impl core::fmt::Display) -> &mut Self {
        let mut text = String::new();
        // Writing to a String fails only if the value's own formatting does.
        let _ = write!(text, "{value}");
        self.string(&text)
    }

    /// A whole number. Those of 2^53 and more are read inexactly by JavaScript's own parser.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.separate();
        let _ = write!(self.text, "{value}");
        self
    }

    /// A whole number with a sign.
    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.separate();
        let _ = write!(self.text, "{value}");
        self
    }

    /// A number in its shortest spelling; `null` if it is infinite or not a number.
    pub fn f64(&mut self, value: f64) -> &mut Self {
        self.separate();
        self.text.push_str(number::f64_text(value).as_str());
        self
    }

    /// A number in the shortest spelling that a 32-bit float needs; `null` if it is not finite.
    pub fn f32(&mut self, value: f32) -> &mut Self {
        self.separate();
        self.text.push_str(number::f32_text(value).as_str());
        self
    }

    /// `true` or `false`.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.raw(if value { "true" } else { "false" })
    }

    /// `null`.
    pub fn null(&mut self) -> &mut Self {
        self.raw("null")
    }

    /// A value that is JSON already.
    pub fn raw(&mut self, json: &str) -> &mut Self {
        self.separate();
        self.text.push_str(json);
        self
    }

    /// A key and its string.
    pub fn field_str(&mut self, key: &str, value: &str) -> &mut Self {
        self.key(key).string(value)
    }

    /// A key and a value that prints itself, as a string.
    pub fn field_display(&mut self, key: &str, value: impl core::fmt::Display) -> &mut Self {
        self.key(key).display(value)
    }

    /// A key and its whole number.
    pub fn field_u64(&mut self, key: &str, value: u64) -> &mut Self {
        self.key(key).u64(value)
    }

    /// A key and its number.
    pub fn field_f64(&mut self, key: &str, value: f64) -> &mut Self {
        self.key(key).f64(value)
    }

    /// A key and its 32-bit number.
    pub fn field_f32(&mut self, key: &str, value: f32) -> &mut Self {
        self.key(key).f32(value)
    }

    /// A key and its truth value.
    pub fn field_bool(&mut self, key: &str, value: bool) -> &mut Self {
        self.key(key).bool(value)
    }

    /// A key and an array of whole numbers.
    pub fn field_u32s(&mut self, key: &str, values: &[u32]) -> &mut Self {
        self.key(key).begin_array();
        for value in values {
            self.u64(u64::from(*value));
        }
        self.end_array()
    }

    fn begin(&mut self, opening: char, closing: char) -> &mut Self {
        self.separate();
        self.text.push(opening);
        self.open.push(closing);
        self.comma = false;
        self
    }

    fn end(&mut self, closing: char) -> &mut Self {
        let opened = self.open.pop();
        debug_assert_eq!(opened, Some(closing), "this was not what was open");
        self.text.push(closing);
        self.comma = true;
        self
    }

    /// Writes the comma that is due and notes that the next value needs one.
    fn separate(&mut self) {
        if self.comma {
            self.text.push(',');
        }
        self.comma = true;
    }

    fn quote(&mut self, value: &str) {
        self.text.push('"');
        for character in value.chars() {
            match character {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\u{8}' => self.text.push_str("\\b"),
                '\u{C}' => self.text.push_str("\\f"),
                control if control < ' ' => {
                    let _ = write!(self.text, "\\u{:04x}", control as u32);
                }
                plain => self.text.push(plain),
            }
        }
        self.text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_in_the_order_of_calls() {
        let mut json = JsonWriter::new();
        json.begin_object()
            .field_str("schema", "cultivar.run.v1")
            .field_u32s("ids", &[1, 2])
            .key("empty")
            .begin_array()
            .end_array()
            .key("nested")
            .begin_object()
            .field_f64("decode_ms", 0.5)
            .field_bool("ok", true)
            .key("none")
            .null()
            .end_object()
            .field_u64("seed", u64::MAX)
            .end_object();
        assert_eq!(
            json.finish(),
            "{\"schema\":\"cultivar.run.v1\",\"ids\":[1,2],\"empty\":[],\
             \"nested\":{\"decode_ms\":0.5,\"ok\":true,\"none\":null},\
             \"seed\":18446744073709551615}"
        );
    }

    #[test]
    fn escapes_only_what_must_be() {
        let mut json = JsonWriter::new();
        json.string("a\"b\\c\n\r\t\u{8}\u{C}\u{1}\u{7F}é🌱/");
        assert_eq!(
            json.finish(),
            "\"a\\\"b\\\\c\\n\\r\\t\\b\\f\\u0001\u{7F}é🌱/\""
        );
    }
}
