//! Text verbs: text to token ids and back, with the tokenizer of a package.
//!
//! They work as soon as the head is read. Must never change a session.

use crate::exports::exports;
use crate::host::Host;
use crate::status::{Failure, Status};
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::json::{self, JsonValue, JsonWriter};
use cultivar_core::package::Head;
use cultivar_core::tokenizer::{ChatFormat, ChatRole, EncodeOptions, StreamDecoder, Tokenizer};

/// Markers such as `<s>` in the text become their tokens.
pub const FLAG_PARSE_SPECIAL: u32 = 1;
/// Begin with the begin-of-sequence token, whatever the package says.
pub const FLAG_ADD_BOS: u32 = 2;
/// Do not begin with it, whatever the package says.
pub const FLAG_NO_BOS: u32 = 4;

/// Reads the flags of a tokenizing verb; unknown and contradicting ones are refused.
pub fn encode_options(flags: u32) -> Result<EncodeOptions, Failure> {
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
    /// Tokenizes the text in the buffer into the buffer; answers the number of ids.
    pub fn tokenize(&mut self, package: i32, len: u32, flags: u32) -> Result<i32, Failure> {
        let options = encode_options(flags)?;
        let tokenizer = self.packages.get(package)?.tokenizer()?;
        let mut ids: Vec<u32> = Vec::new();
        tokenizer.encode(self.buffer.text(len)?, options, &mut ids)?;
        self.buffer.put_words(ids.into_iter().map(u32::to_le_bytes))
    }

    /// Turns the ids in the buffer into text in the buffer; answers its bytes.
    pub fn detokenize(&mut self, package: i32, n: u32) -> Result<i32, Failure> {
        let tokenizer = self.packages.get(package)?.tokenizer()?;
        let text = tokenizer.decode(&self.buffer.ids(n)?)?;
        self.buffer.put(text.as_bytes())
    }
}

impl Host {
    /// Writes the text that an id stands for within a text: a leading space stays.
    pub fn token_text(&mut self, s: i32, id: u32) -> Result<i32, Failure> {
        let package = self.sessions.get(s)?.package;
        let tokenizer = self.packages.get(package)?.tokenizer()?;
        let mut text = String::new();
        let mut decoder = StreamDecoder::within();
        decoder.push(tokenizer, id, &mut text);
        decoder.finish(&mut text);
        self.buffer.put(text.as_bytes())
    }

    /// Writes the prompt of the messages in the buffer, as the package's chat format has it.
    pub fn chat_prompt(&mut self, package: i32, len: u32) -> Result<i32, Failure> {
        let slot = self.packages.get(package)?;
        let json = chat_json(slot.head()?, slot.tokenizer()?, self.buffer.read(len)?)?;
        self.buffer.put(json.as_bytes())
    }
}

const CHAT_RULE: &str = "messages of role (system, user, assistant) and content";

fn chat_json(head: &Head, tokenizer: &Tokenizer, order: &[u8]) -> Result<String, Failure> {
    let refused = || Failure::of(Status::BadJson).named(CHAT_RULE);
    let order = json::parse_unique(order).map_err(|_| refused())?;
    let messages = order.get("messages").and_then(JsonValue::as_array);
    let messages = messages.map(|messages| messages.iter().map(message).collect());
    let messages: Vec<(ChatRole, &str)> = messages.flatten().ok_or_else(refused)?;
    let add_generation = order.get("add_generation").and_then(JsonValue::as_bool);
    let generates = add_generation.unwrap_or(true);
    let template = head.chat_template.as_deref().unwrap_or_default();
    let format = ChatFormat::from_section(template);
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
    /// Text that `id` stands for within a text, into the buffer; answers its bytes.
    fn token_text(session: i32, id: u32) -> status;
    /// Renders `len` bytes of JSON, `messages` and `add_generation`, by the package's chat format;
    /// JSON `cultivar.chat_prompt.v1` into the buffer; answers its bytes.
    fn chat_prompt(package: i32, len: u32) -> status;
    /// Tokenizes `len` bytes of text; answers the number of ids written (u32 each).
    fn tokenize(package: i32, len: u32, flags: u32) -> status;
    /// Decodes `n` ids (u32 each); answers the bytes of text written.
    fn detokenize(package: i32, n: u32) -> status;
}
