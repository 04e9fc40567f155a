//! How fast a tokenizer reads a text: `tokenizer_speed VOCABULARY TEXT`, the vocabulary being a
//! GGUF file, a tokenizer.json or a tokenizer.model.
//!
//! Prints the time to open it and the median rates of nine encodings: of the text, of its letters
//! and digits as one word, and of a word of one letter as long. Run with `--release`.

use cultivar_core::json;
use cultivar_core::tokenizer::{EncodeOptions, Tokenizer};
use cultivar_import::gguf::{Gguf, Parsed};
use cultivar_import::tokenizers::{
    SideFiles, from_gguf, from_json, from_sentencepiece, is_sentencepiece,
};
use std::time::{Duration, Instant};

/// Time that this thread computed, so that other work on the machine does not count; elapsed time
/// where the system does not tell.
fn busy(since: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|line| line.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| since.elapsed(), Duration::from_nanos)
}

fn main() {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [vocabulary, text] = &paths[..] else {
        println!("usage: tokenizer_speed VOCABULARY.gguf TEXT");
        return;
    };
    let bytes = std::fs::read(vocabulary).expect("the vocabulary can be read");
    let text = std::fs::read_to_string(text).expect("the text can be read");
    let start = Instant::now();
    let beside = SideFiles::default();
    let foreign = match Gguf::parse(&bytes, bytes.len() as u64) {
        Ok(Parsed::Whole(gguf)) => from_gguf(&gguf),
        _ if is_sentencepiece(&bytes) => from_sentencepiece(&bytes, &beside),
        _ => from_json(&json::parse(&bytes).expect("JSON"), &beside),
    };
    let record = foreign.expect("a tokenizer").record;
    println!("kind {}, {} ids", record.kind.name(), record.vocab_size());
    let tokenizer = Tokenizer::new(record).expect("a valid tokenizer");
    println!("open_ms {:.1}", busy(start).as_secs_f64() * 1e3);
    let word: String = text.chars().filter(|c| c.is_alphanumeric()).collect();
    for (name, text) in [
        ("encode", &text),
        ("encode_one_word", &word),
        ("encode_one_letter", &"a".repeat(text.len())),
    ] {
        let mut rates: Vec<f64> = (0..9)
            .map(|_| {
                let before = busy(start);
                let ids = tokenizer.ids(text, EncodeOptions::default());
                assert!(ids.is_ok_and(|ids| !ids.is_empty()));
                text.len() as f64 / 1e6 / (busy(start) - before).as_secs_f64()
            })
            .collect();
        rates.sort_by(f64::total_cmp);
        println!("{name}_mb_per_s_p50 {:.1}", rates[4]);
    }
}
