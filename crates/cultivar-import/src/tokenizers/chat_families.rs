//! The family of a chat template, told from its Jinja text, as a format of our own.
//!
//! No template is run: a family is known by its markers, and what varies within it by the literal
//! texts that the variants have. A template of no known family keeps its text, and the plain
//! format stands in for it.

use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::tokenizer::{ChatFormat, ChatTurn, SystemPlace, TokenizerRecord};

/// The begin and end markers of a vocabulary, as text.
struct Markers {
    begin: String,
    end: String,
}

/// The chat template section for a model's template: the format's record if its family is known,
/// else the template's own text; empty for none.
pub fn chat_section(template: Option<&str>, record: &TokenizerRecord) -> String {
    let Some(template) = template else {
        return String::new();
    };
    match recognise_chat(template, record) {
        Some(format) => format.to_stored(),
        None => String::from(template),
    }
}

/// The format of a template of a known family.
pub fn recognise_chat(template: &str, record: &TokenizerRecord) -> Option<ChatFormat> {
    let name = |id: Option<u32>| {
        let piece = id.and_then(|id| record.piece(id)).map(|(piece, _)| piece);
        String::from_utf8_lossy(piece.unwrap_or_default()).into_owned()
    };
    let markers = Markers {
        begin: name(record.bos_id),
        end: name(end_id(record)),
    };
    let row = FAMILIES.iter().find(|family| {
        family
            .needles
            .iter()
            .all(|needle| template.contains(needle))
    });
    row.map(|family| {
        let mut format = (family.format)(template, &markers);
        format.family = String::from(family.name);
        format.stops.retain(|stop| !stop.is_empty());
        format
    })
}

/// The first end marker that is not the begin marker as well.
fn end_id(record: &TokenizerRecord) -> Option<u32> {
    let other = |id: &&u32| Some(**id) != record.bos_id;
    let ids = &record.eos_ids;
    ids.iter().find(other).or(ids.first()).copied()
}

struct Family {
    name: &'static str,
    /// All of these stand in its templates; the first family that fits is it.
    needles: &'static [&'static str],
    format: fn(&str, &Markers) -> ChatFormat,
}

const FAMILIES: &[Family] = &[
    Family {
        name: "chatml",
        needles: &["<|im_start|>", "<|im_end|>"],
        format: chatml,
    },
    Family {
        name: "llama3",
        needles: &["<|start_header_id|>", "<|eot_id|>"],
        format: llama3,
    },
    Family {
        name: "gemma",
        needles: &["<start_of_turn>", "<end_of_turn>"],
        format: gemma,
    },
    Family {
        name: "phi3",
        needles: &["<|user|>", "<|end|>", "<|assistant|>"],
        format: phi3,
    },
    Family {
        name: "zephyr",
        needles: &["<|user|>", "<|assistant|>", "eos_token"],
        format: zephyr,
    },
    Family {
        name: "llama2",
        needles: &["[INST]", "[/INST]", "<<SYS>>"],
        format: llama2,
    },
    Family {
        name: "mistral",
        needles: &["[INST]", "[/INST]"],
        format: mistral,
    },
    Family {
        name: "deepseek",
        needles: &["<｜User｜>", "<｜Assistant｜>"],
        format: deepseek,
    },
    Family {
        name: "deepseek",
        needles: &["User: ", "Assistant:", "eos_token"],
        format: deepseek_llm,
    },
    Family {
        name: "alpaca",
        needles: &["### Instruction:", "### Response:"],
        format: alpaca,
    },
];

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().copied().map(String::from).collect()
}

/// What stands in a template between two literal texts, if both are in one literal.
fn literal<'a>(template: &'a str, before: &str, behind: &str) -> Option<&'a str> {
    let mut rest = template;
    while let Some((_, after)) = rest.split_once(before) {
        let (inside, _) = after.split_once(behind)?;
        if !inside.contains(['\'', '"', '{', '}']) {
            return Some(inside);
        }
        rest = after;
    }
    None
}

/// The begin marker where the template writes it.
fn begin(template: &str, markers: &Markers) -> String {
    if template.contains("bos_token") {
        markers.begin.clone()
    } else {
        String::new()
    }
}

fn chatml(template: &str, markers: &Markers) -> ChatFormat {
    let default_system = literal(template, "<|im_start|>system\\n", "<|im_end|>");
    ChatFormat {
        begin: begin(template, markers),
        default_system: default_system
            .filter(|text| !text.is_empty())
            .map(|text| text.replace("\\n", "\n")),
        turns: [
            ChatTurn::new("<|im_start|>system\n", "<|im_end|>\n"),
            ChatTurn::new("<|im_start|>user\n", "<|im_end|>\n"),
            ChatTurn::new("<|im_start|>assistant\n", "<|im_end|>\n"),
        ],
        generation: String::from("<|im_start|>assistant\n"),
        stops: texts(&["<|im_end|>"]),
        ..ChatFormat::default()
    }
}

fn llama3(template: &str, markers: &Markers) -> ChatFormat {
    let header = |role: &str| alloc::format!("<|start_header_id|>{role}<|end_header_id|>\n\n");
    let turn = |role: &str| ChatTurn::new(&header(role), "<|eot_id|>");
    let mut system = turn("system");
    // The date is the template's own where the host has no clock.
    let is_dated = template.contains("Cutting Knowledge Date: December 2023");
    if is_dated {
        system
            .before
            .push_str("Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n");
    }
    ChatFormat {
        begin: begin(template, markers),
        trims: true,
        default_system: is_dated.then(String::new),
        turns: [system, turn("user"), turn("assistant")],
        generation: header("assistant"),
        stops: texts(&["<|eot_id|>"]),
        ..ChatFormat::default()
    }
}

fn gemma(template: &str, markers: &Markers) -> ChatFormat {
    // Gemma 3 writes a system message into the first user's turn, the older ones refuse it.
    let takes_system = template.contains("first_user_prefix");
    ChatFormat {
        begin: begin(template, markers),
        trims: true,
        system: if takes_system {
            SystemPlace::FirstUser
        } else {
            SystemPlace::None
        },
        turns: [
            ChatTurn::new("", if takes_system { "\n\n" } else { "" }),
            ChatTurn::new("<start_of_turn>user\n", "<end_of_turn>\n"),
            ChatTurn::new("<start_of_turn>model\n", "<end_of_turn>\n"),
        ],
        generation: String::from("<start_of_turn>model\n"),
        stops: texts(&["<end_of_turn>"]),
        ..ChatFormat::default()
    }
}

fn phi3(template: &str, markers: &Markers) -> ChatFormat {
    let has_system = template.contains("<|system|>");
    let answers_at_once = template.contains("'<|end|>' + '\n' + '<|assistant|>'")
        || template.contains("'<|end|>' + '\\n' + '<|assistant|>'");
    let mut format = ChatFormat {
        begin: begin(template, markers),
        system: if has_system {
            SystemPlace::Turn
        } else {
            SystemPlace::None
        },
        turns: [
            ChatTurn::new("<|system|>\n", "<|end|>\n"),
            ChatTurn::new("<|user|>\n", "<|end|>\n"),
            ChatTurn::new("<|assistant|>\n", "<|end|>\n"),
        ],
        generation: String::from("<|assistant|>\n"),
        stops: texts(&["<|end|>"]),
        ..ChatFormat::default()
    };
    if answers_at_once {
        let [_, user, assistant] = &mut format.turns;
        user.behind.push_str("<|assistant|>\n");
        assistant.before.clear();
        format.generation.clear();
    }
    format
}

fn zephyr(template: &str, markers: &Markers) -> ChatFormat {
    let behind = alloc::format!("{}\n", markers.end);
    ChatFormat {
        begin: begin(template, markers),
        turns: [
            ChatTurn::new("<|system|>\n", &behind),
            ChatTurn::new("<|user|>\n", &behind),
            ChatTurn::new("<|assistant|>\n", &behind),
        ],
        generation: String::from("<|assistant|>\n"),
        stops: texts(&[&markers.end]),
        ..ChatFormat::default()
    }
}

fn llama2(_: &str, markers: &Markers) -> ChatFormat {
    ChatFormat {
        trims: true,
        system: SystemPlace::FirstUser,
        turns: [
            ChatTurn::new("<<SYS>>\n", "\n<</SYS>>\n\n"),
            ChatTurn::new(&alloc::format!("{}[INST] ", markers.begin), " [/INST]"),
            ChatTurn::new(" ", &alloc::format!(" {}", markers.end)),
        ],
        stops: texts(&[&markers.end]),
        ..ChatFormat::default()
    }
}

fn mistral(template: &str, markers: &Markers) -> ChatFormat {
    let has = |any: &[&str]| any.iter().any(|text| template.contains(text));
    let pick = |any: &[&str], then: &'static str, other: &'static str| {
        if has(any) { then } else { other }
    };
    let mut answer_end = markers.end.clone();
    answer_end.push_str(pick(&["eos_token + ' '", "eos_token + \" \""], " ", ""));
    let answer = [
        "' ' + message['content']",
        "\" \" + message[\"content\"]",
        "' ' + content",
    ];
    ChatFormat {
        begin: begin(template, markers),
        system: SystemPlace::None,
        turns: [
            ChatTurn::default(),
            ChatTurn::new(
                pick(&["[INST] "], "[INST] ", "[INST]"),
                pick(&[" [/INST]"], " [/INST]", "[/INST]"),
            ),
            ChatTurn::new(pick(&answer, " ", ""), &answer_end),
        ],
        stops: texts(&[&markers.end]),
        ..ChatFormat::default()
    }
}

fn deepseek(template: &str, markers: &Markers) -> ChatFormat {
    const END: &str = "<｜end▁of▁sentence｜>";
    let thinks = template.contains("<｜Assistant｜><think>\\n'}}{% endif %}");
    ChatFormat {
        begin: begin(template, markers),
        turns: [
            ChatTurn::default(),
            ChatTurn::new("<｜User｜>", ""),
            ChatTurn::new("<｜Assistant｜>", END),
        ],
        generation: String::from(if thinks {
            "<｜Assistant｜><think>\n"
        } else {
            "<｜Assistant｜>"
        }),
        stops: texts(&[END]),
        ..ChatFormat::default()
    }
}

fn deepseek_llm(template: &str, markers: &Markers) -> ChatFormat {
    ChatFormat {
        begin: begin(template, markers),
        turns: [
            ChatTurn::new("", "\n\n"),
            ChatTurn::new("User: ", "\n\n"),
            ChatTurn::new("Assistant: ", &markers.end),
        ],
        generation: String::from("Assistant:"),
        stops: texts(&[&markers.end]),
        ..ChatFormat::default()
    }
}

fn alpaca(template: &str, markers: &Markers) -> ChatFormat {
    ChatFormat {
        begin: begin(template, markers),
        turns: [
            ChatTurn::new("", "\n\n"),
            ChatTurn::new("### Instruction:\n", "\n\n"),
            ChatTurn::new("### Response:\n", "\n\n"),
        ],
        generation: String::from("### Response:\n"),
        stops: texts(&["### Instruction:"]),
        ..ChatFormat::default()
    }
}
