//! Chat formats: how a list of messages becomes the ids of a prompt.
//!
//! A format is data: what stands before and behind each role's text. Markers (`<|im_start|>`) are
//! made of the format's own text alone; in a message they stay text, so that no message can forge
//! a turn. Adjoining texts are tokenized as one, as if the whole prompt had been written out.

use super::chat_record::{ChatFormat, SystemPlace};
use super::error::{TokenizerError, TokenizerErrorKind};
use super::{EncodeOptions, Tokenizer};
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatRole {
    /// Says how the model is to behave.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// A prompt written out, and which parts of it are the format's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Prompt {
    text: String,
    format_ranges: Vec<Range<usize>>,
}

impl Prompt {
    /// Adds text of the format.
    fn add_format(&mut self, text: &str) {
        let start = self.text.len();
        self.text.push_str(text);
        match self.format_ranges.last_mut() {
            Some(last) if last.end == start => last.end = self.text.len(),
            _ => self.format_ranges.push(start..self.text.len()),
        }
    }
}

impl Prompt {
    /// The same with spaces for the mark that the tokenizer's pieces write for them.
    fn with_plain_spaces(self, tokenizer: &Tokenizer) -> Prompt {
        if tokenizer.with_plain_spaces(&self.text).len() == self.text.len() {
            return self;
        }
        let mut plain = Prompt::default();
        let mut at = 0;
        for range in &self.format_ranges {
            let (before, own) = (self.text.get(at..range.start), self.text.get(range.clone()));
            let plain_text = |text: Option<&str>| {
                tokenizer
                    .with_plain_spaces(text.unwrap_or_default())
                    .into_owned()
            };
            plain.text.push_str(&plain_text(before));
            plain.add_format(&plain_text(own));
            at = range.end;
        }
        let rest = self.text.get(at..).unwrap_or_default();
        plain.text.push_str(&tokenizer.with_plain_spaces(rest));
        plain
    }
}

impl ChatFormat {
    /// The whole prompt as text; with `generates`, up to where the model's answer begins.
    ///
    /// # Errors
    /// `ChatRoles` with the message's place, where the format has no system message or takes one
    /// at the beginning alone; `TextTooLong`.
    pub fn prompt_text(
        &self,
        messages: &[(ChatRole, &str)],
        generates: bool,
    ) -> Result<String, TokenizerError> {
        self.prompt(messages, generates).map(|prompt| prompt.text)
    }

    /// The ids of the whole prompt; with `generates`, up to where the model's answer begins. The
    /// plain format has no begin marker of its own and takes the one that the tokenizer adds.
    ///
    /// # Errors
    /// As [`ChatFormat::prompt_text`]; `OutOfMemory`.
    pub fn prompt_ids(
        &self,
        tokenizer: &Tokenizer,
        messages: &[(ChatRole, &str)],
        generates: bool,
    ) -> Result<Vec<u32>, TokenizerError> {
        let prompt = self.prompt(messages, generates)?;
        let options = EncodeOptions {
            add_bos: Some(false).filter(|_| !self.is_plain()),
            parse_special: false,
        };
        let prompt = prompt.with_plain_spaces(tokenizer);
        let mut ids = Vec::new();
        tokenizer.encode_marked(&prompt.text, &prompt.format_ranges, options, &mut ids)?;
        Ok(ids)
    }

    /// The ids of those stop texts that are one special piece each.
    pub fn stop_ids(&self, tokenizer: &Tokenizer) -> Vec<u32> {
        let options = EncodeOptions {
            add_bos: Some(false),
            parse_special: true,
        };
        let single = |stop: &String| match tokenizer.ids(stop, options).ok()?[..] {
            [id] => Some(id),
            _ => None,
        };
        self.stops.iter().filter_map(single).collect()
    }

    fn prompt(
        &self,
        messages: &[(ChatRole, &str)],
        generates: bool,
    ) -> Result<Prompt, TokenizerError> {
        let mut prompt = Prompt::default();
        prompt.add_format(&self.begin);
        let given = messages
            .first()
            .filter(|(role, _)| *role == ChatRole::System);
        let system = given.map(|(_, text)| *text);
        let is_default = system.is_none() && self.default_system.is_some();
        let system = system.or(self.default_system.as_deref());
        let rest = messages
            .get(usize::from(given.is_some())..)
            .unwrap_or_default();
        if given.is_some() && self.system == SystemPlace::None {
            return Err(TokenizerError::new(TokenizerErrorKind::ChatRoles, 0));
        }
        let mut waiting = None;
        match (self.system, system) {
            (SystemPlace::Turn, Some(text)) => {
                let turn = &self.turns[ChatRole::System as usize];
                self.add_turn(&mut prompt, turn, text, is_default);
            }
            (SystemPlace::FirstUser, text) => waiting = text,
            _ => {}
        }
        for (idx, (role, text)) in (messages.len() - rest.len()..).zip(rest) {
            let refused = TokenizerError::new(TokenizerErrorKind::ChatRoles, idx as u32);
            if *role == ChatRole::System && self.system != SystemPlace::Turn {
                return Err(refused);
            }
            let turn = &self.turns[*role as usize];
            match waiting.take() {
                None => self.add_turn(&mut prompt, turn, text, false),
                Some(system) if *role == ChatRole::User => {
                    let around = &self.turns[ChatRole::System as usize];
                    prompt.add_format(&turn.before);
                    prompt.add_format(&around.before);
                    prompt.text.push_str(system);
                    prompt.add_format(&around.behind);
                    prompt
                        .text
                        .push_str(if self.trims { text.trim() } else { text });
                    prompt.add_format(&turn.behind);
                }
                Some(_) => return Err(refused),
            }
        }
        if generates {
            prompt.add_format(&self.generation);
        }
        Ok(prompt)
    }

    /// A text between what stands around it; a default is the format's own text.
    fn add_turn(&self, prompt: &mut Prompt, turn: &super::ChatTurn, text: &str, is_own: bool) {
        prompt.add_format(&turn.before);
        let text = if self.trims { text.trim() } else { text };
        if is_own {
            prompt.add_format(text);
        } else {
            prompt.text.push_str(text);
        }
        prompt.add_format(&turn.behind);
    }
}
