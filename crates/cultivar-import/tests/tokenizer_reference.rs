//! Ids and text of the published 512-piece vocabulary against the reference tokenizer's.
//!
//! Needs `CULTIVAR_DATA`; says so and passes without it.

mod made;

use cultivar_core::json::{self, JsonValue};
use cultivar_core::package::Package;
use cultivar_core::tokenizer::{EncodeOptions, StreamDecoder, Tokenizer};
use cultivar_import::TargetFormat;
use cultivar_testdata::random_text::RandomText;
use made::{import, options};
use std::path::PathBuf;

/// The folder of test data, if there is one.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("CULTIVAR_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: CULTIVAR_DATA is not set");
    }
    folder
}

fn tokenizer(folder: &std::path::Path) -> Tokenizer {
    let checkpoint = std::fs::read(folder.join("models/stories260K/stories260K.bin")).unwrap();
    let tokenizer = std::fs::read(folder.join("models/stories260K/tok512.bin")).unwrap();
    let files = [
        ("tok512.bin", &tokenizer[..]),
        ("stories260K.bin", &checkpoint[..]),
    ];
    let bytes = import(&files, options(TargetFormat::Keep), 1 << 16).unwrap();
    let package = Package::parse(&bytes).unwrap();
    Tokenizer::new(package.head.tokenizer).unwrap()
}

fn ids_of(value: &JsonValue, key: &str) -> Vec<u32> {
    let list = value.get(key).unwrap().as_array().unwrap();
    list.iter().map(|id| id.as_u32().unwrap()).collect()
}

#[test]
fn ids_and_texts_are_the_reference_tokenizers() {
    let Some(folder) = data() else { return };
    let tokenizer = tokenizer(&folder);
    let reference = std::fs::read_to_string(folder.join("reference/stories260K.json")).unwrap();
    let reference = json::parse(reference.as_bytes()).unwrap();
    let check = |text: &str, ids: &[u32]| {
        let ours = tokenizer.ids(text, EncodeOptions::default()).unwrap();
        assert_eq!(ours, ids, "{text:?}");
        assert_eq!(tokenizer.decode(ids).unwrap(), text);
    };
    for prompt in reference.get("prompts").unwrap().as_array().unwrap() {
        let text = prompt.get("prompt").unwrap().as_str().unwrap();
        let prompt_ids = ids_of(prompt, "token_ids");
        check(text, &prompt_ids);
        let all: Vec<u32> = prompt_ids
            .iter()
            .copied()
            .chain(ids_of(prompt, "greedy_ids"))
            .collect();
        let greedy_text = prompt.get("greedy_text").unwrap().as_str().unwrap();
        assert_eq!(tokenizer.decode(&all).unwrap(), greedy_text);
    }
    let eval = reference.get("eval").unwrap();
    // The reference keeps the first 400 ids of its text.
    let ids = ids_of(eval, "token_ids");
    let text = eval.get("text").unwrap().as_str().unwrap();
    let ours = tokenizer.ids(text, EncodeOptions::default()).unwrap();
    assert_eq!(ours[..ids.len()], ids);
    assert_eq!(tokenizer.decode(&ours).unwrap(), text);
}

/// The slow twin with one dummy space before: every adjacent pair looked at before every merge.
fn slow_ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    let record = tokenizer.record();
    let find = |piece: &str| {
        let normal = |id: &u32| record.piece(*id) == Some((piece.as_bytes(), 1));
        (0..tokenizer.vocab_size()).find(normal)
    };
    let mut symbols: Vec<String> = format!(" {text}").chars().map(String::from).collect();
    loop {
        let mut best: Option<(f32, usize)> = None;
        for (idx, pair) in symbols.windows(2).enumerate() {
            let score = find(&pair.concat()).map(|id| record.scores[id as usize]);
            if let Some(score) = score
                && best.is_none_or(|(best_score, _)| score > best_score)
            {
                best = Some((score, idx));
            }
        }
        let Some((_, idx)) = best else { break };
        let right = symbols.remove(idx + 1);
        symbols[idx].push_str(&right);
    }
    let bytes = |symbol: &str| symbol.bytes().map(|byte| 3 + u32::from(byte)).collect();
    symbols
        .iter()
        .flat_map(|symbol| find(symbol).map_or_else(|| bytes(symbol), |id| vec![id]))
        .collect()
}

#[test]
fn random_text_round_trips_and_equals_the_slow_twin() {
    let Some(folder) = data() else { return };
    let tokenizer = tokenizer(&folder);
    let mut random = RandomText::default();
    for round in 0..400 {
        let mut text = random.text(80);
        text.retain(|character| character != '\u{2581}');
        let plain = EncodeOptions {
            add_bos: Some(false),
            parse_special: false,
        };
        let ids = tokenizer.ids(&text, plain).unwrap();
        if !text.is_empty() {
            assert_eq!(ids, slow_ids(&tokenizer, &text), "round {round}: {text:?}");
        }
        assert_eq!(tokenizer.decode(&ids).unwrap(), text, "round {round}");
        let mut streamed = String::new();
        let mut decoder = StreamDecoder::new();
        ids.iter()
            .for_each(|id| decoder.push(&tokenizer, *id, &mut streamed));
        decoder.finish(&mut streamed);
        assert_eq!(streamed, text, "round {round}");
    }
}
