//! The replay record: everything that names a run, as canonical JSON, written and read.
//!
//! It holds no text and no clock. A prompt can be left out; its SHA-256 stays, so that whoever has
//! the prompt can still replay the run.

use super::{Session, SessionError, SessionErrorKind, Settings};
use crate::adapter::Weighing;
use crate::digest::{Digest, Sha256};
use crate::json::{self, JsonValue, JsonWriter};
use crate::model::{Engine, NUMERICS_VERSION};
use alloc::string::String;
use alloc::vec::Vec;

/// The record's schema.
const SCHEMA: &str = "cultivar.replay.v1";

/// What a record leaves out or adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordOptions {
    /// Leave prompts out but for their SHA-256.
    pub redacts_prompts: bool,
    /// Add a digest after each token of the output, so that a replay can name the first step that
    /// differs.
    pub has_steps: bool,
}

/// A prompt and what followed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedTurn {
    /// Token ids; `None` if they were left out.
    pub prompt_ids: Option<Vec<u32>>,
    /// SHA-256 of the ids, u32 little-endian.
    pub prompt_sha256: Digest,
    /// What followed, a stop token included.
    pub output_ids: Vec<u32>,
}

impl RecordedTurn {
    /// Whether the prompt is there, and the one that the run had.
    pub(super) fn has_its_prompt(&self) -> bool {
        let ids = self.prompt_ids.as_ref();
        ids.is_some_and(|ids| ids_sha256(ids) == self.prompt_sha256)
    }
}

/// Other adapters, or other weights of them, from some token on.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedEvent {
    /// Tokens that the session held.
    pub n_tokens: usize,
    /// Positions that had been computed.
    pub position: usize,
    /// `weights` identity of each adapter from then on with what weighs it, in stack order.
    pub adapters: Vec<(Digest, Weighing)>,
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayRecord {
    /// What the run was opened with.
    pub settings: Settings,
    /// The assembly of its first row.
    pub assembly: Digest,
    /// `weights` identity of each adapter at the start with what weighs it, in stack order.
    pub adapters: Vec<(Digest, Weighing)>,
    /// In order.
    pub turns: Vec<RecordedTurn>,
    /// In order.
    pub events: Vec<RecordedEvent>,
    /// First 8 bytes of the run digest after each token of the outputs; empty if left out.
    pub steps: Vec<[u8; 8]>,
    /// At the end.
    pub run_digest: Digest,
}

/// SHA-256 of token ids, u32 little-endian.
pub fn ids_sha256(ids: &[u32]) -> Digest {
    let mut hash = Sha256::new();
    for id in ids {
        hash.update(&id.to_le_bytes());
    }
    hash.finish()
}

/// `cultivar.replay.v1` of a session so far.
pub fn record_json(session: &Session, engine: &Engine, options: RecordOptions) -> String {
    let identities = &engine.model.head.identities;
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str("schema", SCHEMA);
    json.field_str("engine_version", env!("CARGO_PKG_VERSION"));
    json.field_u64("numerics_version", u64::from(NUMERICS_VERSION));
    json.key("package").begin_object();
    if let Some(name) = engine.model.head.metadata.text("name") {
        json.field_str("name", name);
    }
    json.field_display("weights", identities.weights);
    json.field_display("tokenizer", identities.tokenizer);
    json.end_object();
    json.field_display("assembly", session.opened_by);
    write_adapters(&mut json, &session.opened_adapters);
    json.key("settings");
    session.settings_in_full().write_json(&mut json);
    json.key("turns").begin_array();
    for (prompt, output) in session.turns() {
        json.begin_object();
        if !options.redacts_prompts {
            json.field_u32s("prompt_ids", prompt);
        }
        json.field_u64("n_prompt_tokens", prompt.len() as u64);
        json.field_display("prompt_sha256", ids_sha256(prompt));
        json.field_u32s("output_ids", output);
        json.end_object();
    }
    json.end_array();
    json.key("events").begin_array();
    for event in session.events() {
        json.begin_object();
        json.field_u64("n_tokens", event.n_tokens as u64);
        json.field_u64("n_positions", event.position as u64);
        json.field_display("assembly", event.assembly);
        write_adapters(&mut json, &event.adapters);
        json.end_object();
    }
    json.end_array();
    if options.has_steps {
        json.key("step_digests").begin_array();
        for digest in session.output_digests() {
            let hex = digest.to_hex();
            json.string(core::str::from_utf8(&hex[..16]).unwrap_or(""));
        }
        json.end_array();
    }
    match session.stop_reason() {
        Some(reason) => json.field_str("stop_reason", reason.name()),
        None => json.key("stop_reason").null(),
    };
    json.field_display("run_digest", session.run_digest());
    json.end_object();
    json.finish()
}

/// Adapters in stack order, each with its identity and what weighs it.
pub(super) fn write_adapters(json: &mut JsonWriter, adapters: &[(Digest, Weighing)]) {
    json.key("adapters").begin_array();
    for (weights, weighing) in adapters {
        json.begin_object();
        json.field_display("weights", weights);
        weighing.write_json(json);
        json.end_object();
    }
    json.end_array();
}

impl ReplayRecord {
    /// Reads a record; a field that is missing or of the wrong kind is refused by name.
    pub fn parse(text: &[u8]) -> Result<Self, SessionError> {
        let value = json::parse_unique(text)?;
        if value.get("schema").and_then(JsonValue::as_str) != Some(SCHEMA) {
            return Err(wrong("schema"));
        }
        let version = value.get("numerics_version").and_then(JsonValue::as_u32);
        if version.ok_or_else(|| wrong("numerics_version"))? != NUMERICS_VERSION {
            let kind = SessionErrorKind::RecordOfOther("numerics version");
            return Err(SessionError::new(kind));
        }
        let settings = value.get("settings").ok_or_else(|| wrong("settings"))?;
        Ok(Self {
            settings: Settings::from_value(settings)?,
            assembly: digest(&value, "assembly")?,
            adapters: list(&value, "adapters", adapter)?,
            turns: list(&value, "turns", turn)?,
            events: list(&value, "events", event)?,
            steps: match value.get("step_digests") {
                Some(_) => list(&value, "step_digests", step)?,
                None => Vec::new(),
            },
            run_digest: digest(&value, "run_digest")?,
        })
    }

    /// Puts prompts in the place of those that were left out, in order of the turns; refused if
    /// one is not what the record was made with, or missing.
    pub fn fill_prompts(&mut self, prompts: &[Vec<u32>]) -> Result<(), SessionError> {
        let mut prompts = prompts.iter();
        for (i, turn) in self.turns.iter_mut().enumerate() {
            if turn.prompt_ids.is_none() {
                let given = prompts.next().cloned();
                turn.prompt_ids = given;
                if !turn.has_its_prompt() {
                    let kind = SessionErrorKind::RecordPrompt(i as u32);
                    return Err(SessionError::new(kind));
                }
            }
        }
        Ok(())
    }
}

fn wrong(field: &'static str) -> SessionError {
    SessionError::new(SessionErrorKind::Record(field))
}

fn digest(value: &JsonValue, field: &'static str) -> Result<Digest, SessionError> {
    let text = value.get(field).and_then(JsonValue::as_str);
    text.and_then(Digest::from_hex).ok_or_else(|| wrong(field))
}

fn list<T>(
    value: &JsonValue,
    field: &'static str,
    read: fn(&JsonValue) -> Option<T>,
) -> Result<Vec<T>, SessionError> {
    let items = value.get(field).and_then(JsonValue::as_array);
    let items = items.and_then(|items| items.iter().map(read).collect());
    items.ok_or_else(|| wrong(field))
}

fn ids(value: &JsonValue) -> Option<Vec<u32>> {
    value.as_array()?.iter().map(JsonValue::as_u32).collect()
}

fn adapter(value: &JsonValue) -> Option<(Digest, Weighing)> {
    let weights = Digest::from_hex(value.get("weights")?.as_str()?)?;
    Some((weights, Weighing::from_json(value).ok()?))
}

fn turn(value: &JsonValue) -> Option<RecordedTurn> {
    Some(RecordedTurn {
        prompt_ids: match value.get("prompt_ids") {
            Some(value) => Some(ids(value)?),
            None => None,
        },
        prompt_sha256: Digest::from_hex(value.get("prompt_sha256")?.as_str()?)?,
        output_ids: ids(value.get("output_ids")?)?,
    })
}

fn event(value: &JsonValue) -> Option<RecordedEvent> {
    Some(RecordedEvent {
        n_tokens: value.get("n_tokens")?.as_u32()? as usize,
        position: value.get("n_positions")?.as_u32()? as usize,
        adapters: list(value, "adapters", adapter).ok()?,
    })
}

fn step(value: &JsonValue) -> Option<[u8; 8]> {
    let text = value.as_str().filter(|text| text.len() == 16)?;
    let number = u64::from_str_radix(text, 16).ok()?;
    Some(number.to_be_bytes())
}
