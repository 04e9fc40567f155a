//! A chat format as packages store it: one JSON object with its keys in this file's order.
//!
//! The section of a package may hold any template's text instead; what begins as this record does
//! is this record, and must be it exactly. Unknown keys and values are refused.

use super::ChatRole;
use super::error::{TokenizerError, TokenizerErrorKind};
use crate::json::{self, JsonValue, JsonWriter};
use alloc::string::String;
use alloc::vec::Vec;

/// How every stored record begins.
const START: &str = "{\"schema\":\"cultivar.chat.v1\",";

/// What [`ChatFormat::plain`] is called.
const PLAIN: &str = "plain";

/// Stop texts of one format at most.
const STOPS_MAX: usize = 16;

/// What stands before and behind the text of a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatTurn {
    /// Before it.
    pub before: String,
    /// Behind it.
    pub behind: String,
}

impl ChatTurn {
    /// These texts.
    pub fn new(before: &str, behind: &str) -> ChatTurn {
        ChatTurn {
            before: String::from(before),
            behind: String::from(behind),
        }
    }
}

/// Where a system message goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SystemPlace {
    /// It has a turn of its own.
    #[default]
    Turn,
    /// It stands within the first user's turn, before the text.
    FirstUser,
    /// There is none.
    None,
}

const PLACES: [(SystemPlace, &str); 3] = [
    (SystemPlace::Turn, "turn"),
    (SystemPlace::FirstUser, "first_user"),
    (SystemPlace::None, "none"),
];

/// How messages become a prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatFormat {
    /// What the format is called, for people.
    pub family: String,
    /// Before everything: the begin marker, or nothing.
    pub begin: String,
    /// Whether white space around messages is dropped.
    pub trims: bool,
    /// Where a system message goes.
    pub system: SystemPlace,
    /// The system message where none is given; `None` for no message at all.
    pub default_system: Option<String>,
    /// Around the text of system, user and assistant.
    pub turns: [ChatTurn; 3],
    /// Behind everything where the model is to answer.
    pub generation: String,
    /// Texts at which an answer ends.
    pub stops: Vec<String>,
}

const ROLES: [&str; 3] = ["system", "user", "assistant"];

impl ChatRole {
    /// The word for it in JSON.
    pub fn name(self) -> &'static str {
        ROLES[self as usize]
    }
}

impl ChatFormat {
    /// The format for models whose own is not known: names with colons, as in a play.
    pub fn plain() -> ChatFormat {
        ChatFormat {
            family: String::from(PLAIN),
            turns: [
                ChatTurn::new("", "\n\n"),
                ChatTurn::new("User: ", "\n"),
                ChatTurn::new("Assistant: ", "\n"),
            ],
            generation: String::from("Assistant:"),
            stops: Vec::from([String::from("\nUser:")]),
            ..ChatFormat::default()
        }
    }

    /// Whether it stands in for a format that is not known.
    pub fn is_plain(&self) -> bool {
        self.family == PLAIN
    }

    /// As a package's chat template section stores it.
    pub fn to_stored(&self) -> String {
        let mut json = JsonWriter::new();
        json.begin_object();
        json.field_str("schema", "cultivar.chat.v1");
        json.field_str("family", &self.family);
        json.field_str("begin", &self.begin);
        json.field_bool("trims", self.trims);
        let place = PLACES.iter().find(|(place, _)| *place == self.system);
        json.field_str("system_place", place.map_or("", |(_, name)| *name));
        json.key("default_system");
        match &self.default_system {
            Some(text) => json.string(text),
            None => json.null(),
        };
        for (role, turn) in ROLES.iter().zip(&self.turns) {
            json.key(role).begin_array();
            json.string(&turn.before).string(&turn.behind);
            json.end_array();
        }
        json.field_str("generation", &self.generation);
        json.key("stops").begin_array();
        for stop in &self.stops {
            json.string(stop);
        }
        json.end_array();
        json.end_object();
        json.finish()
    }

    /// The format that a section's text names, as far as this version reads it, else the plain
    /// one: for whoever renders a prompt and does not judge the section.
    pub fn from_section(text: &str) -> ChatFormat {
        let value = json::parse_unique(text.as_bytes()).ok();
        let known = value.as_ref().filter(|_| text.starts_with(START));
        known.and_then(read).unwrap_or_else(ChatFormat::plain)
    }

    /// The format that a section's text is; nothing if it is some other template.
    ///
    /// # Errors
    /// `ChatFormat` if it begins as a record and is none that this version writes.
    pub fn from_stored(text: &str) -> Result<Option<ChatFormat>, TokenizerError> {
        if !text.starts_with(START) {
            return Ok(None);
        }
        let refused = TokenizerError::new(TokenizerErrorKind::ChatFormat, 0);
        let format = json::parse_unique(text.as_bytes())
            .ok()
            .as_ref()
            .and_then(read)
            .filter(|format| format.to_stored() == text);
        format.map(Some).ok_or(refused)
    }
}

/// A format from its object; what is missing or of another type is nothing.
fn read(object: &JsonValue) -> Option<ChatFormat> {
    let text = |key: &str| Some(String::from(object.get(key)?.as_str()?));
    let place = object.get("system_place")?.as_str()?;
    let default_system = match object.get("default_system")? {
        JsonValue::Null => None,
        value => Some(String::from(value.as_str()?)),
    };
    let mut turns = <[ChatTurn; 3]>::default();
    for (role, turn) in ROLES.iter().zip(&mut turns) {
        let [JsonValue::String(before), JsonValue::String(behind)] =
            object.get(role)?.as_array()?
        else {
            return None;
        };
        *turn = ChatTurn::new(before, behind);
    }
    let stops = object.get("stops")?.as_array()?;
    let stops: Option<Vec<String>> = stops
        .iter()
        .map(|stop| stop.as_str().map(String::from))
        .collect();
    Some(ChatFormat {
        family: text("family")?,
        begin: text("begin")?,
        trims: object.get("trims")?.as_bool()?,
        system: PLACES.iter().find(|(_, name)| *name == place)?.0,
        default_system,
        turns,
        generation: text("generation")?,
        stops: stops.filter(|stops| stops.len() <= STOPS_MAX)?,
    })
}
