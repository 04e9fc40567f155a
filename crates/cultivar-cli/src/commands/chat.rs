//! `cultivar chat`: a conversation in the package's own chat format, or in a plain one where that
//! is not known. What was computed of earlier turns is not computed again.

use super::generate::generate;
use super::recording::{self, RECORD_FLAG, REDACT_FLAG, STEPS_FLAG};
use super::setting_flags::{SETTING_FLAGS, and_settings, settings};
use super::{BACKEND_FLAG, Command, backend};
use crate::adapter_files::{self, ADAPTER_FLAG};
use crate::arguments::{Arguments, Flag, text_of};
use crate::failure::Failure;
use crate::output::{self, Report};
use crate::package_file::PackageFile;
use cultivar_core::json::JsonWriter;
use cultivar_core::model::{Engine, EngineOptions, StackId};
use cultivar_core::session::{Session, Settings};
use cultivar_core::tokenizer::{ChatFormat, ChatRole, Tokenizer};
use std::io::{BufRead, IsTerminal};

const OWN_FLAGS: &[Flag] = &[
    Flag::with("--system", "TEXT", "how the model is to behave"),
    Flag::repeated(
        "--message",
        "TEXT",
        "say this and answer; may be given several times",
    ),
    ADAPTER_FLAG,
    RECORD_FLAG,
    STEPS_FLAG,
    REDACT_FLAG,
    BACKEND_FLAG,
];
const FLAGS: [Flag; OWN_FLAGS.len() + SETTING_FLAGS.len()] = and_settings(OWN_FLAGS);

pub const COMMAND: Command = Command {
    name: "chat",
    summary: "Hold a conversation",
    usage: &["FILE [--system TEXT] [--message TEXT …] [FLAGS]"],
    about: "Answers each --message; without one, each line of standard input, to its end.\n\
            Messages are put in the package's chat format. Where that is not known, a plain one\n\
            is used, and named on standard error.",
    flags: &FLAGS,
    run,
};

/// A conversation so far.
struct Chat {
    engine: Engine,
    tokenizer: Tokenizer,
    stack: Option<StackId>,
    format: ChatFormat,
    settings: Settings,
    session: Option<Session>,
    messages: Vec<(ChatRole, String)>,
    /// Run digest, tokens and stop reason of each answer.
    answers: Vec<(String, usize, &'static str)>,
    prints: bool,
}

fn run(given: &Arguments) -> Result<Report, Failure> {
    let mut settings = settings(given)?;
    let options = EngineOptions {
        backend: backend(given)?,
        max_logit_rows: 1 + settings.prompt_lookup as usize,
        ..EngineOptions::default()
    };
    let mut file = PackageFile::open(given.file()?)?;
    let tokenizer = file.tokenizer()?;
    let mut engine = Engine::new(file.model()?, options).map_err(|error| file.about(error))?;
    let template = engine.model.head.chat_template.as_deref();
    let format = ChatFormat::from_section(template.unwrap_or_default());
    if format.is_plain() {
        output::note("no chat format of this package is known: the plain one is used");
    }
    add_stops(&mut settings, &format, &tokenizer);
    let stack = adapter_files::put(given, &mut engine)?;
    let mut chat = Chat {
        engine,
        tokenizer,
        stack,
        format,
        settings,
        session: None,
        messages: Vec::new(),
        answers: Vec::new(),
        prints: !given.has("--json"),
    };
    if let Some(text) = given.text("--system")? {
        chat.messages.push((ChatRole::System, text.to_string()));
    }
    chat.go_through(given)?;
    if let Some(session) = &chat.session {
        recording::write(given, session, &chat.engine)?;
    }
    // The answers were printed on the way.
    Ok(Report::new(chat.json(), String::new()))
}

/// An answer ends where the format says so, too.
fn add_stops(settings: &mut Settings, format: &ChatFormat, tokenizer: &Tokenizer) {
    let ids = format.stop_ids(tokenizer);
    settings.stop_tokens.extend(ids);
    settings.stop_strings.extend(format.stops.iter().cloned());
}

impl Chat {
    /// Answers all messages of the flags, or of standard input.
    fn go_through(&mut self, given: &Arguments) -> Result<(), Failure> {
        if given.has("--message") {
            for text in given.values("--message") {
                self.answer(text_of("--message", text)?)?;
            }
            return Ok(());
        }
        let input = std::io::stdin();
        let is_terminal = input.is_terminal() && self.prints;
        loop {
            if is_terminal {
                output::print("> ")?;
            }
            let mut line = String::new();
            let read = input.lock().read_line(&mut line);
            let n = read.map_err(|error| Failure::reading("standard input".as_ref(), &error))?;
            if n == 0 {
                return Ok(());
            }
            let text = line.trim();
            if text.is_empty() {
                continue;
            }
            match self.answer(text) {
                // A person can say something shorter.
                Err(failure) if is_terminal => output::note(&failure.message),
                answered => answered?,
            }
        }
    }

    /// Says one message; the answer becomes part of the conversation. Refused, without a change,
    /// if the conversation does not fit the context any more.
    fn answer(&mut self, text: &str) -> Result<(), Failure> {
        self.messages.push((ChatRole::User, text.to_string()));
        let messages = self.messages.iter().map(|(role, text)| (*role, &**text));
        let messages: Vec<(ChatRole, &str)> = messages.collect();
        let ids = self.format.prompt_ids(&self.tokenizer, &messages, true);
        let prompted = ids
            .map_err(Failure::from)
            .and_then(|ids| self.prompt(&ids).map(|()| ids));
        let (ids, session) = match (prompted, &mut self.session) {
            (Ok(ids), Some(session)) => (ids, session),
            (refused, _) => {
                self.messages.pop();
                return refused.map(|_| ());
            }
        };
        let output = generate(session, &mut self.engine, &ids, self.prints)?;
        if self.prints {
            output::print("\n")?;
        }
        output.note_fallbacks();
        let reason = session.stop_reason().map_or("", |reason| reason.name());
        let digest = session.run_digest().to_string();
        let n_tokens = session.output_ids().len();
        self.answers.push((digest, n_tokens, reason));
        let text = output.text.trim().to_string();
        self.messages.push((ChatRole::Assistant, text));
        Ok(())
    }

    /// Queues what of the whole prompt the session does not hold already.
    fn prompt(&mut self, ids: &[u32]) -> Result<(), Failure> {
        let engine = &mut self.engine;
        let mut n_same = 0;
        if let Some(session) = &self.session {
            let held = session.tokens().iter().zip(ids);
            n_same = held.take_while(|(a, b)| a == b).count();
            n_same = n_same.min(ids.len().saturating_sub(1));
        }
        if n_same == 0
            && let Some(session) = self.session.take()
        {
            session.close(engine);
        }
        let session = match &mut self.session {
            Some(session) => session,
            none => {
                let mut session = Session::new(engine, self.settings.clone())?;
                session.use_stack(engine, self.stack)?;
                none.insert(session)
            }
        };
        if n_same > 0 && n_same < session.tokens().len() {
            session.rewind(engine, n_same)?;
        }
        let rest = ids.get(n_same..).unwrap_or_default();
        Ok(session.prompt(engine, rest)?)
    }

    fn json(&self) -> String {
        let mut answers = self.answers.iter();
        let mut json = JsonWriter::new();
        json.begin_object();
        json.field_str("schema", "cultivar.conversation.v1");
        json.field_str("format", &self.format.family);
        json.field_bool("is_recognised", !self.format.is_plain());
        json.key("messages").begin_array();
        for (role, text) in &self.messages {
            json.begin_object();
            json.field_str("role", role.name());
            json.field_str("content", text);
            if *role == ChatRole::Assistant
                && let Some((digest, n_tokens, reason)) = answers.next()
            {
                json.field_u64("n_tokens", *n_tokens as u64);
                json.field_str("stop_reason", reason);
                json.field_str("run_digest", digest);
            }
            json.end_object();
        }
        json.end_array();
        json.end_object();
        json.finish()
    }
}
