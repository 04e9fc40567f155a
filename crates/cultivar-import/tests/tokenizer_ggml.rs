//! Every vocabulary that llama.cpp tests itself with: texts, and the ids that they must give.
//!
//! Needs `CULTIVAR_DATA`; says so and passes without it.

use cultivar_core::tokenizer::{EncodeOptions, StreamDecoder, Tokenizer, TokenizerKind};
use cultivar_import::gguf::{Gguf, Parsed};
use cultivar_import::tokenizers::from_gguf;
use cultivar_testdata::random_text::RandomText;
use std::path::{Path, PathBuf};

/// Texts are separated by this line.
const SEPARATOR: &str = "\n__ggml_vocab_test__\n";

/// The vocabularies with texts and ids beside them.
fn vocabularies() -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("CULTIVAR_DATA") else {
        eprintln!("skipped: CULTIVAR_DATA is not set");
        return Vec::new();
    };
    let folder = Path::new(&folder).join("tokenizers");
    let files = std::fs::read_dir(folder).unwrap();
    let mut found: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|ending| ending == "gguf"));
    found.sort();
    assert!(found.len() >= 5, "{found:?}");
    found
}

fn tokenizer(path: &Path) -> Tokenizer {
    let bytes = std::fs::read(path).unwrap();
    let Parsed::Whole(gguf) = Gguf::parse(&bytes, bytes.len() as u64).unwrap() else {
        unreachable!("the whole file is there")
    };
    let foreign = from_gguf(&gguf).unwrap();
    Tokenizer::new(foreign.record).unwrap()
}

fn beside(path: &Path, ending: &str) -> String {
    let mut name = path.as_os_str().to_os_string();
    name.push(ending);
    std::fs::read_to_string(name).unwrap()
}

/// Whether every byte that UTF-8 uses can be written: Falcon's vocabulary lacks some.
fn is_byte_complete(tokenizer: &Tokenizer) -> bool {
    if tokenizer.record().kind != TokenizerKind::ByteBpe {
        return true;
    }
    let ids = 0..tokenizer.vocab_size();
    let single: Vec<u8> = ids
        .filter_map(|id| match tokenizer.piece(id) {
            Some([byte]) => Some(*byte),
            _ => None,
        })
        .collect();
    let mut used = (0..=0xF4u8).filter(|byte| !(0xC0..=0xC1).contains(byte));
    used.all(|byte| single.contains(&byte))
}

/// As llama.cpp's test does: no begin marker.
const PLAIN: EncodeOptions = EncodeOptions {
    add_bos: Some(false),
    parse_special: false,
};

#[test]
fn every_line_of_every_vocabulary_has_its_ids() {
    for path in vocabularies() {
        let tokenizer = tokenizer(&path);
        let (texts, ids) = (beside(&path, ".inp"), beside(&path, ".out"));
        let texts: Vec<&str> = texts.split_terminator(SEPARATOR).collect();
        let ids: Vec<&str> = ids.lines().collect();
        assert_eq!(texts.len(), ids.len(), "{path:?}");
        for (text, ids) in texts.iter().zip(ids) {
            let ids: Vec<u32> = ids
                .split_whitespace()
                .map(|id| id.parse().unwrap())
                .collect();
            let ours = tokenizer.ids(text, PLAIN).unwrap();
            assert_eq!(ours, ids, "{path:?} {text:?}");
            assert_eq!(tokenizer.decode(&ours).unwrap(), *text, "{path:?}");
        }
    }
}

#[test]
fn random_text_comes_back() {
    let mut random = RandomText::default();
    for path in vocabularies() {
        let tokenizer = tokenizer(&path);
        if !is_byte_complete(&tokenizer) {
            assert!(path.ends_with("ggml-vocab-falcon.gguf"), "{path:?}");
            continue;
        }
        let has_space_mark = tokenizer.record().kind == TokenizerKind::SentencePieceBpe;
        for round in 0..10_000 {
            let mut text = random.text(40);
            if has_space_mark {
                text.retain(|character| character != '\u{2581}');
            }
            let ids = tokenizer.ids(&text, PLAIN).unwrap();
            assert_eq!(tokenizer.decode(&ids).unwrap(), text, "{path:?} {round}");
            let mut streamed = String::new();
            let mut decoder = StreamDecoder::new();
            ids.iter()
                .for_each(|id| decoder.push(&tokenizer, *id, &mut streamed));
            decoder.finish(&mut streamed);
            assert_eq!(streamed, text, "{path:?} {round}");
        }
    }
}
