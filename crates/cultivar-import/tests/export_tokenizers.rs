//! Tokenizers on their way out: through GGUF and through a Hugging Face folder a package comes
//! back with the same pieces, rules and ids, and the chat template with its own text.
//!
//! Vocabularies are the small ones under `fixtures/tokenizers`; the model around them is made up.

mod made;

use cultivar_core::json;
use cultivar_core::package::{Head, Package};
use cultivar_core::tokenizer::{EncodeOptions, Tokenizer, TokenizerKind};
use cultivar_import::gguf::{Gguf, Parsed};
use cultivar_import::tokenizers::from_gguf;
use cultivar_import::{ExportKind, Exporter, ImportErrorKind, TargetFormat};
use cultivar_testdata::small_llama::{CONFIG, counting_weights};
use made::{export, import, options, whole_file};
use std::path::PathBuf;

fn fixture(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tokenizers");
    std::fs::read(folder.join(name)).unwrap()
}

const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + \
    message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}";

/// A package of the made-up model with this tokenizer, the markers `<s>` and `</s>` named.
fn package(family: &str, template: &str) -> Vec<u8> {
    package_with(
        "tokenizer.json",
        &fixture(&format!("{family}.json")),
        template,
    )
}

/// The same with this tokenizer file.
fn package_with(name: &str, tokenizer: &[u8], template: &str) -> Vec<u8> {
    let weights = counting_weights();
    let mut beside = json::JsonWriter::new();
    beside.begin_object();
    beside.field_str("bos_token", "<s>");
    beside.field_str("eos_token", "</s>");
    beside.field_bool("add_bos_token", true);
    beside.field_str("chat_template", template);
    beside.end_object();
    let beside = beside.finish();
    let files = [
        ("config.json", CONFIG.as_bytes()),
        ("model.safetensors", &weights),
        (name, tokenizer),
        ("tokenizer_config.json", beside.as_bytes()),
    ];
    import(&files, options(TargetFormat::Keep), 1 << 20).unwrap()
}

/// The head of a package that an export's files are imported to.
fn back(files: &[(String, Vec<u8>)]) -> Head {
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, bytes)| match name.as_str() {
            "" => ("x.gguf", &bytes[..]),
            name => (name, &bytes[..]),
        })
        .collect();
    let bytes = import(&files, options(TargetFormat::Keep), 1 << 20).unwrap();
    Package::parse(&bytes).unwrap().head
}

/// Both give the same ids for every text of the fixtures.
fn assert_same_ids(family: &str, before: &Head, after: &Head) {
    let tokenizers = [before, after].map(|head| Tokenizer::new(head.tokenizer.clone()).unwrap());
    let expected = json::parse(&fixture("expected.json")).unwrap();
    for text in expected.get("texts").unwrap().as_array().unwrap() {
        let text = text.as_str().unwrap();
        for parse_special in [false, true] {
            let options = EncodeOptions {
                add_bos: None,
                parse_special,
            };
            let [a, b] = tokenizers.each_ref().map(|t| t.ids(text, options).unwrap());
            assert_eq!(a, b, "{family}: {text:?}");
            let [a, b] = tokenizers.each_ref().map(|t| t.decode(&a).unwrap());
            assert_eq!(a, b, "{family}: {text:?}");
        }
    }
}

#[test]
fn every_family_goes_to_tokenizer_json_and_back() {
    for family in [
        "gpt-2",
        "mpt",
        "added",
        "llama-bpe",
        "qwen2",
        "smollm",
        "command-r",
        "falcon",
        "default",
        "deepseek-coder",
        "metaspace",
        "unigram",
        "llama2",
    ] {
        let package = package(family, CHATML);
        let before = Package::parse(&package).unwrap().head;
        let (files, notes) = export(&package, ExportKind::Safetensors);
        assert_eq!(notes, Vec::<String>::new(), "{family}");
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        let expected = match before.tokenizer.kind {
            TokenizerKind::SentencePieceBpe => "tokenizer.model",
            _ => "tokenizer.json",
        };
        assert!(names.contains(&expected), "{family}: {names:?}");
        let after = back(&files);
        assert_same_ids(family, &before, &after);
        let (mut ours, mut theirs) = (before.tokenizer.clone(), after.tokenizer.clone());
        // Padding gets names on the way out.
        for record in [&mut ours, &mut theirs] {
            record.pieces = Default::default();
            record.types = Vec::new();
        }
        if expected == "tokenizer.json" {
            assert_eq!(ours, theirs, "{family}");
        }
        assert_eq!(after.chat_template, before.chat_template);
        assert_eq!(after.metadata.text("chat_template"), Some(CHATML));
        let digests = |head: &Head| -> Vec<_> {
            let entries = head.directory.entries().iter();
            entries.map(|entry| entry.digest).collect()
        };
        assert_eq!(digests(&after), digests(&before), "{family}");
    }
}

#[test]
fn a_unigram_of_sentencepiece_goes_to_its_own_file_and_back() {
    let package = package_with(
        "tokenizer.model",
        &fixture("sentencepiece-unigram.model"),
        "",
    );
    let mut before = Package::parse(&package).unwrap().head;
    // Its table is for the step `map`, which neither file has a place for.
    let exporter = Exporter::new(&before, ExportKind::Safetensors).unwrap();
    assert_eq!(exporter.notes(), ["no tokenizer file is made: map"]);
    before.tokenizer.normalizer.remove(0);
    (before.tokenizer.map_from, before.tokenizer.map_to) = Default::default();
    let exporter = Exporter::new(&before, ExportKind::Safetensors).unwrap();
    assert_eq!(exporter.notes(), Vec::<String>::new());
    let place = exporter
        .file_names()
        .iter()
        .position(|name| name == "tokenizer.model");
    let file = made::whole_file(exporter, place.unwrap());
    let package = package_with("tokenizer.model", &file, "");
    assert_same_ids("unigram", &before, &Package::parse(&package).unwrap().head);
}

#[test]
fn every_family_that_gguf_names_goes_there_and_back() {
    for family in [
        "gpt-2",
        "mpt",
        "qwen2",
        "smollm",
        "command-r",
        "falcon",
        "default",
        "deepseek-coder",
    ] {
        let package = package(family, CHATML);
        let before = Package::parse(&package).unwrap().head;
        let (files, notes) = export(&package, ExportKind::Gguf);
        assert_eq!(notes, Vec::<String>::new(), "{family}");
        let after = back(&files);
        assert_same_ids(family, &before, &after);
        assert_eq!(after.tokenizer.merges, before.tokenizer.merges, "{family}");
        assert_eq!(after.tokenizer.add_bos, before.tokenizer.add_bos);
        assert_eq!(after.chat_template, before.chat_template);
        assert_eq!(after.metadata.text("chat_template"), Some(CHATML));
    }
}

#[test]
fn a_unigram_goes_to_gguf_and_back() {
    let model = fixture("sentencepiece-unigram.model");
    let package = package_with("tokenizer.model", &model, "");
    let mut before = Package::parse(&package).unwrap().head;
    // Its table of replacements is a list here, and a trie there: that is refused.
    let refused = Exporter::new(&before, ExportKind::Gguf).map(drop);
    assert_eq!(refused.unwrap_err().field.as_str(), "normalizer");
    before.tokenizer.normalizer.retain(|step| step != "map");
    (before.tokenizer.map_from, before.tokenizer.map_to) = Default::default();
    for removes_spaces in [true, false] {
        if !removes_spaces {
            before.tokenizer.normalizer.clear();
        }
        let header = whole_file(Exporter::new(&before, ExportKind::Gguf).unwrap(), 0);
        let Parsed::Whole(gguf) = Gguf::parse(&header, u64::MAX >> 1).unwrap() else {
            panic!("a part of a header");
        };
        let after = from_gguf(&gguf).unwrap().record;
        let mut expected = before.tokenizer.clone();
        // Unused pieces get names, and what ends a turn is found by its name.
        expected.pieces = after.pieces.clone();
        expected.eos_ids = after.eos_ids.clone();
        assert_eq!(after, expected);
    }
}

#[test]
fn a_template_of_no_known_family_goes_through_as_it_is() {
    let template = "{{ messages[0].content }}";
    let package = package("gpt-2", template);
    for kind in [ExportKind::Gguf, ExportKind::Safetensors] {
        let after = back(&export(&package, kind).0);
        assert_eq!(after.chat_template.as_deref(), Some(template));
        assert_eq!(after.metadata.text("chat_template"), None);
    }
}

#[test]
fn a_tokenizer_that_gguf_has_no_name_for_is_named() {
    let refused = |family: &str, change: &dyn Fn(&mut Head)| {
        let package = package(family, "");
        let mut head = Package::parse(&package).unwrap().head;
        change(&mut head);
        let error = Exporter::new(&head, ExportKind::Gguf)
            .map(drop)
            .unwrap_err();
        assert_eq!(error.kind, ImportErrorKind::ExportUnsupported);
        error.field.as_str().to_string()
    };
    assert_eq!(refused("unigram", &|_| {}), "normalizer");
    assert_eq!(refused("metaspace", &|_| {}), "char_bpe");
    let other_steps = |head: &mut Head| head.tokenizer.normalizer = vec!["strip_left".into()];
    assert_eq!(refused("gpt-2", &other_steps), "pre_tokenizer");
    assert_eq!(refused("llama2", &|_| {}), "char_bpe");
}

#[test]
fn a_step_without_a_component_makes_no_file_and_is_noted() {
    let package = package("gpt-2", "");
    let mut head = Package::parse(&package).unwrap().head;
    head.tokenizer.pre_tokenizer = vec!["deepseek_letters".into()];
    let exporter = Exporter::new(&head, ExportKind::Safetensors).unwrap();
    assert_eq!(
        exporter.notes(),
        ["no tokenizer file is made: deepseek_letters"]
    );
    assert!(
        !exporter
            .file_names()
            .iter()
            .any(|name| name == "tokenizer.json")
    );
}
