//! What constrained output costs: `constraint_speed VOCABULARY.gguf`.
//!
//! Prints the time to make the vocabulary's tree and a matcher, and per token of a JSON text, and
//! of strings with a length and a pattern alone, what masks and masked logits take: the first
//! time, and again. Run with `--release`.

use cultivar_core::grammar::{GrammarSource, Matcher, TokenTrie};
use cultivar_core::json;
use cultivar_core::kernels::elementwise::keep_bits;
use cultivar_core::tokenizer::{EncodeOptions, Tokenizer};
use cultivar_import::gguf::{Gguf, Parsed};
use cultivar_import::tokenizers::from_gguf;
use std::sync::Arc;
use std::time::{Duration, Instant};

const TEXT: &str = concat!(
    r#"{"name": "Tove the \"small\" fox", "age": 37, "city": "Bergen", "tags": ["red", "quick"],"#,
    r#" "note": "She ran over the hill."}"#,
);

const SCHEMA: &str = r#"{"type":"object","properties":{"name":{"type":"string"},"age":{"type":
"integer","minimum":0},"city":{"type":"string","maxLength":20},"tags":{"type":"array","items":
{"type":"string"}},"note":{"type":"string"}},"required":["name","age","city","tags","note"]}"#;

/// A string of 27 tokens or so, and schemas that let it be.
const STRING: &str =
    r#""She ran over the hill, and the small fox ran with her until it was dark.""#;
const STRINGS: [(&str, &str); 4] = [
    ("string", r#"{"type":"string"}"#),
    ("maxLength 80", r#"{"type":"string","maxLength":80}"#),
    ("maxLength 400", r#"{"type":"string","maxLength":400}"#),
    (
        "pattern {1,80}",
        r#"{"type":"string","pattern":"^[A-Za-z ,.]{1,80}$"}"#,
    ),
];

fn main() {
    let Some(path) = std::env::args().nth(1) else {
        println!("usage: constraint_speed VOCABULARY.gguf");
        return;
    };
    let bytes = std::fs::read(path).expect("the vocabulary can be read");
    let Ok(Parsed::Whole(gguf)) = Gguf::parse(&bytes, bytes.len() as u64) else {
        println!("not a whole GGUF file");
        return;
    };
    let record = from_gguf(&gguf).expect("a tokenizer").record;
    let tokenizer = Tokenizer::new(record).expect("a valid tokenizer");
    let start = Instant::now();
    let trie = Arc::new(TokenTrie::new(&tokenizer).expect("memory"));
    println!(
        "{} ids, tree_ms {:.1}",
        tokenizer.vocab_size(),
        ms(start.elapsed())
    );
    let ids = ids_of(&tokenizer, TEXT);
    let schema = json::parse(SCHEMA.as_bytes()).expect("JSON");
    let run = |name: &str, source: GrammarSource, ids: &[u32]| {
        let grammar = Arc::new(source.grammar().expect("a grammar"));
        measure(name, &grammar, &trie, &tokenizer, ids);
    };
    run("json", GrammarSource::Json, &ids);
    run("schema", GrammarSource::Schema(schema), &ids);
    let ids = ids_of(&tokenizer, STRING);
    for (name, schema) in STRINGS {
        let schema = json::parse(schema.as_bytes()).expect("JSON");
        run(name, GrammarSource::Schema(schema), &ids);
    }
}

/// Behind a letter, so that no vocabulary puts a space before the bracket or quote.
fn ids_of(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    let ids = tokenizer.ids(&format!("x{text}"), EncodeOptions::default());
    let ids = ids.expect("ids");
    let begins = |id: &u32| {
        let piece = tokenizer.piece(*id);
        piece.is_some_and(|piece| piece.starts_with(&text.as_bytes()[..1]))
    };
    ids[ids.iter().position(begins).expect("the first byte")..].to_vec()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn measure(
    name: &str,
    grammar: &Arc<cultivar_core::grammar::Grammar>,
    trie: &Arc<TokenTrie>,
    tokenizer: &Tokenizer,
    ids: &[u32],
) {
    let logits: Vec<f32> = (0..trie.vocab_size()).map(|i| i as f32).collect();
    let mut masked = logits.clone();
    // Matcher, first text, the same again, dearest single mask.
    let mut best = [f64::INFINITY; 4];
    for _ in 0..25 {
        let start = Instant::now();
        let mut matcher = Matcher::new(grammar.clone(), trie.clone()).expect("memory");
        let mut times = [ms(start.elapsed()), 0.0, 0.0, 0.0];
        for turn in [1, 2] {
            matcher.reset().expect("room");
            let mut n_read = 0;
            for &id in ids {
                let start = Instant::now();
                keep_bits(&mut masked, &logits, matcher.mask().expect("a mask"));
                let fits = matcher.accept(tokenizer, id).expect("room");
                let took = ms(start.elapsed());
                times[turn] += took;
                times[3] = if took > times[3] { took } else { times[3] };
                if !fits {
                    break;
                }
                n_read += 1;
            }
            times[turn] *= 1e3 / f64::from(n_read);
            assert_eq!(n_read as usize, ids.len(), "the text satisfies the grammar");
        }
        for (best, time) in best.iter_mut().zip(times) {
            *best = if time < *best { time } else { *best };
        }
    }
    let [matcher, first, again, dearest] = best;
    println!(
        "{name}: matcher_ms {matcher:.2}, first_us {first:.1}, again_us {again:.1}, \
         dearest_ms {dearest:.2}"
    );
}
