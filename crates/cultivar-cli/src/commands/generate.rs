//! One output from a prompted session: its text, printed as it comes, and the log-probabilities of
//! its tokens where the settings ask for them.

use crate::failure::{Exit, Failure};
use crate::output;
use cultivar_core::json::JsonWriter;
use cultivar_core::model::Engine;
use cultivar_core::sampler::TokenLogprob;
use cultivar_core::session::{OutputText, Session, Step};
use cultivar_core::tokenizer::{Detokenizer, StreamDecoder};
use std::fmt::Write;
use std::time::Instant;

/// What a session gave.
#[derive(Default)]
pub struct Output {
    /// The text, without a stop string.
    pub text: String,
    /// The tokens, the likeliest behind each.
    pub logprobs: Vec<(TokenLogprob, Vec<TokenLogprob>)>,
    /// Choices that fell back to greedy.
    pub n_fallbacks: u64,
}

/// Runs to the end, printing the text on the way if asked.
pub fn generate(
    session: &mut Session,
    engine: &mut Engine,
    before: &[u32],
    prints: bool,
) -> Result<Output, Failure> {
    let decoder = OutputText::new(&session.settings().stop_strings);
    let mut decoder = decoder.ok_or(Failure::new(Exit::OutOfSpace, "out of memory"))?;
    decoder.begin(&engine.model.tokenizer, before);
    let mut output = Output::default();
    let n_fallbacks = session.n_sampler_fallbacks();
    let (mut n_pushed, mut n_tokens) = (0, 0);
    loop {
        let started = Instant::now();
        let step = session.step(engine, engine.max_rows())?;
        session.note_ms(started.elapsed().as_secs_f64() * 1000.0);
        let n_before = output.text.len();
        for id in session.text_ids().iter().skip(n_pushed) {
            decoder.push(&engine.model.tokenizer, *id, &mut output.text);
        }
        n_pushed = session.output_ids().len();
        let has_token = n_pushed > std::mem::replace(&mut n_tokens, n_pushed);
        if let Some(logprobs) = session.logprobs().filter(|_| has_token) {
            let row = (logprobs.chosen, logprobs.top.clone());
            output.logprobs.push(row);
        }
        let is_done = matches!(step, Step::Done(_));
        if is_done {
            decoder.finish(&mut output.text);
        }
        let new = output.text.get(n_before..).filter(|new| !new.is_empty());
        if let Some(new) = new.filter(|_| prints) {
            output::print(new)?;
        }
        if is_done {
            let n_now = session.n_sampler_fallbacks();
            output.n_fallbacks = n_now.saturating_sub(n_fallbacks);
            return Ok(output);
        }
    }
}

impl Output {
    /// Tells people of tokens that were not chosen as the settings say, if there are any.
    pub fn note_fallbacks(&self) {
        if self.n_fallbacks > 0 {
            output::note(&format!(
                "warning: {} of the choices fell back to the likeliest token: the probabilities \
                 had no usable mass, or no logit was a number",
                self.n_fallbacks
            ));
        }
    }

    /// A line per token for people: ln p, the token, and the likeliest in its place.
    pub fn logprob_lines(&self, tokenizer: &Detokenizer) -> String {
        let shown = |one: &TokenLogprob| {
            format!("{:8.4} {:?}", one.logprob, token_text(tokenizer, one.token))
        };
        let mut lines = String::new();
        for (chosen, top) in &self.logprobs {
            let top: Vec<String> = top.iter().map(shown).collect();
            let _ = writeln!(lines, "{}  |{}", shown(chosen), top.join(","));
        }
        lines
    }

    /// A JSON list of the tokens: `id`, `logprob`, `text`, and `top` with the same of each.
    pub fn logprobs_json(&self, tokenizer: &Detokenizer) -> String {
        let mut json = JsonWriter::new();
        json.begin_array();
        for (chosen, top) in &self.logprobs {
            json.begin_object();
            write_token(&mut json, tokenizer, chosen);
            json.key("top").begin_array();
            for one in top {
                json.begin_object();
                write_token(&mut json, tokenizer, one);
                json.end_object();
            }
            json.end_array();
            json.end_object();
        }
        json.end_array();
        json.finish()
    }
}

fn write_token(json: &mut JsonWriter, tokenizer: &Detokenizer, one: &TokenLogprob) {
    json.field_u64("id", u64::from(one.token));
    json.field_f32("logprob", one.logprob);
    json.field_str("text", &token_text(tokenizer, one.token));
}

/// What a token stands for within a text.
fn token_text(tokenizer: &Detokenizer, id: u32) -> String {
    let mut text = String::new();
    let mut decoder = StreamDecoder::within();
    decoder.push(tokenizer, id, &mut text);
    decoder.finish(&mut text);
    text
}
