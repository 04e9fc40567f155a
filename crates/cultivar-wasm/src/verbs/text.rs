//! Text verbs: text to token ids, with the tokenizer and the chat format of a package.
//!
//! They work on a package's head alone, away from the engine: its module has no encoder.

use crate::exports::exports;
use crate::host::Host;
use crate::status::{Failure, Status};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::json::{self, JsonValue, JsonWriter};
use cultivar_core::package::{Head, Header};
use cultivar_core::tokenizer::{ChatFormat, ChatRole, EncodeOptions, Tokenizer};

/// Markers such as `<s>` in the text become their tokens.
pub const FLAG_PARSE_SPECIAL: u32 = 1;
/// Begin with the begin-of-sequence token, whatever the package says.
pub const FLAG_ADD_BOS: u32 = 2;
/// Do not begin with it, whatever the package says.
pub const FLAG_NO_BOS: u32 = 4;

/// What of a package's head text needs.
pub struct TextSlot {
    tokenizer: Tokenizer,
    format: ChatFormat,
}

/// Reads the flags of a tokenizing verb; unknown and contradicting ones are refused.
fn encode_options(flags: u32) -> Result<EncodeOptions, Failure> {
    let parse_special = flags & FLAG_PARSE_SPECIAL != 0;
    let add_bos = match flags & !FLAG_PARSE_SPECIAL {
        0 => None,
        FLAG_ADD_BOS => Some(true),
        FLAG_NO_BOS => Some(false),
        _ => return Err(Failure::number(Status::UnknownOption, flags).named("flags")),
    };
    Ok(EncodeOptions {
        add_bos,
        parse_special,
    })
}

impl Host {
    /// Takes tokenizer and chat format from the head in the buffer; answers a handle.
    pub fn text_open(&mut self, len: u32, file_bytes: f64) -> Result<i32, Failure> {
        let head = self.buffer.read(len)?;
        let header = Header::of_file(head, file_bytes as u64)?;
        let head = Head::parse(head, header.file_bytes)?;
        let template = head.chat_template.as_deref().unwrap_or_default();
        let slot = TextSlot {
            format: ChatFormat::from_section(template),
            tokenizer: Tokenizer::new(head.tokenizer)?,
        };
        let kept = self.texts.insert(Box::new(slot));
        kept.map_err(|(failure, _)| failure)
    }

    /// Tokenizes the text in the buffer into the buffer; answers the number of ids.
    pub fn tokenize(&mut self, text: i32, len: u32, flags: u32) -> Result<i32, Failure> {
        let options = encode_options(flags)?;
        let slot = self.texts.get(text)?;
        let mut ids: Vec<u32> = Vec::new();
        let given = self.buffer.text(len)?;
        slot.tokenizer.encode(given, options, &mut ids)?;
        self.buffer.put_words(ids.into_iter().map(u32::to_le_bytes))
    }

    /// Writes the prompt of the messages in the buffer, as the package's chat format has it.
    pub fn chat_prompt(&mut self, text: i32, len: u32) -> Result<i32, Failure> {
        let slot = self.texts.get(text)?;
        let json = chat_json(&slot.format, &slot.tokenizer, self.buffer.read(len)?)?;
        self.buffer.put(json.as_bytes())
    }

    /// Gives the memory of a handle back.
    pub fn text_close(&mut self, text: i32) -> Result<i32, Failure> {
        self.texts.remove(text)?;
        Ok(0)
    }
}

const CHAT_RULE: &str = "messages of role (system, user, assistant) and content";

fn chat_json(format: &ChatFormat, tokenizer: &Tokenizer, order: &[u8]) -> Result<String, Failure> {
    let refused = || Failure::of(Status::BadJson).named(CHAT_RULE);
    let order = json::parse_unique(order).map_err(|_| refused())?;
    let messages = order.get("messages").and_then(JsonValue::as_array);
    let messages = messages.map(|messages| messages.iter().map(message).collect());
    let messages: Vec<(ChatRole, &str)> = messages.flatten().ok_or_else(refused)?;
    let add_generation = order.get("add_generation").and_then(JsonValue::as_bool);
    let generates = add_generation.unwrap_or(true);
    let ids = format.prompt_ids(tokenizer, &messages, generates)?;
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str("schema", "cultivar.chat_prompt.v1");
    json.field_str("format", &format.family);
    json.field_bool("is_recognised", !format.is_plain());
    json.field_u32s("ids", &ids);
    json.field_str("text", &format.prompt_text(&messages, generates)?);
    json.key("stop_strings").begin_array();
    for stop in &format.stops {
        json.string(stop);
    }
    json.end_array();
    json.field_u32s("stop_tokens", &format.stop_ids(tokenizer));
    json.end_object();
    Ok(json.finish())
}

fn message(value: &JsonValue) -> Option<(ChatRole, &str)> {
    let role = match value.get("role")?.as_str()? {
        "system" => ChatRole::System,
        "user" => ChatRole::User,
        "assistant" => ChatRole::Assistant,
        _ => return None,
    };
    Some((role, value.get("content")?.as_str()?))
}

exports! {
    /// Takes tokenizer and chat format from a package's head of `len` bytes, of a file of
    /// `file_bytes`; answers a handle.
    fn text_open(len: u32, file_bytes: f64) -> status;
    /// Tokenizes `len` bytes of text; answers the number of ids written (u32 each).
    fn tokenize(text: i32, len: u32, flags: u32) -> status;
    /// Renders `len` bytes of JSON, `messages` and `add_generation`, by the package's chat format;
    /// JSON `cultivar.chat_prompt.v1` into the buffer; answers its bytes.
    fn chat_prompt(text: i32, len: u32) -> status;
    /// Closes a handle of `text_open`.
    fn text_close(text: i32) -> status;
}
