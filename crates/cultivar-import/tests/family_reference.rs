//! The demo family through the importer and the engine, against PyTorch's float32 numbers in
//! `fixtures/family/reference.json`: same package bytes again, same greedy ids, logits within
//! 1e-3, same cases right. Suites are what their README says they are.

mod made;

use cultivar_core::json::{self, JsonValue, JsonWriter};
use cultivar_core::kernels::Backend;
use cultivar_core::kv_cache::{KvFormat, SequenceId};
use cultivar_core::model::{Engine, EngineOptions, Row};
use cultivar_core::package::Package;
use cultivar_core::sampler::greedy;
use cultivar_core::session::{Session, Settings, Step};
use cultivar_core::tokenizer::{EncodeOptions, Tokenizer};
use cultivar_import::{ImportOptions, TargetFormat};
use cultivar_testdata::family::{self, Case, SKILLS};
use cultivar_testdata::loading::load_engine;
use made::import;
use std::collections::BTreeSet;

/// Logits may differ from PyTorch's by this much, which sums in another order.
const LOGITS_OFF_MAX: f64 = 1e-3;
/// Accuracies may differ by this much where a case hangs on a rounding.
const ACCURACY_OFF_MAX: f64 = 0.02;
/// What the family may take in the repository.
const FOLDER_BYTES_MAX: u64 = 14_000_000;
/// Rows of a batch.
const ROWS: usize = 64;

/// The package as `fixtures/family/README.md` says it is made.
fn imported(format: TargetFormat) -> Vec<u8> {
    let (checkpoint, tokenizer) = (
        family::file("llama2c/sprout.bin"),
        family::file("llama2c/sprout-tok.bin"),
    );
    let files = [
        ("sprout.bin", &checkpoint[..]),
        ("sprout-tok.bin", &tokenizer[..]),
    ];
    let options = ImportOptions {
        format,
        name: "sprout".into(),
        license: "CC0-1.0".into(),
        source: "Cultivar, fixtures/family".into(),
        ..ImportOptions::default()
    };
    import(&files, options, 1 << 20).unwrap()
}

fn engine(bytes: &[u8]) -> Engine {
    let options = EngineOptions {
        max_rows: ROWS,
        max_logit_rows: ROWS,
        backend: Backend::Fast,
    };
    load_engine(bytes, options)
}

/// A sequence and how long it is.
struct Tape {
    sequence: SequenceId,
    len: u32,
}

impl Tape {
    fn open(engine: &mut Engine) -> Tape {
        let sequence = engine.open_sequence(256, KvFormat::F32).unwrap();
        Tape { sequence, len: 0 }
    }

    /// Rows that read the ids at the end of the sequence; the last one wants logits.
    fn rows(&mut self, ids: &[u32]) -> Vec<Row> {
        let start = self.len;
        self.len += ids.len() as u32;
        let row = |(position, &token)| Row {
            sequence: self.sequence,
            position,
            token,
            wants_logits: position + 1 == self.len,
        };
        (start..).zip(ids).map(row).collect()
    }

    /// The logits after reading the ids.
    fn read<'a>(&mut self, engine: &'a mut Engine, ids: &[u32]) -> &'a [f32] {
        engine.forward(&self.rows(ids)).unwrap();
        engine.logits(0)
    }
}

/// The largest difference of first-step logits from the reference's, whole where it has them all.
fn logits_off(prompt: &JsonValue, logits: &[f32]) -> f64 {
    let whole = prompt
        .get("logits")
        .map(|_| family::numbers(prompt, "logits"));
    let places: Vec<u32> = match &whole {
        Some(whole) => {
            assert_eq!(whole.len(), logits.len());
            (0..whole.len() as u32).collect()
        }
        None => family::ids(prompt, "top_ids"),
    };
    let expected = whole.unwrap_or_else(|| family::numbers(prompt, "top_logits"));
    let off = |(id, expected): (&u32, f64)| (f64::from(logits[*id as usize]) - expected).abs();
    places.iter().zip(expected).map(off).fold(0.0, f64::max)
}

/// Checks one prompt of the reference: ids of its text, first logits, greedy ids.
fn check_prompt(engine: &mut Engine, tokenizer: &Tokenizer, prompt: &JsonValue) {
    let text = prompt.get("prompt").unwrap().as_str().unwrap();
    let prompt_ids = family::ids(prompt, "prompt_ids");
    let ours = tokenizer.ids(text, EncodeOptions::default()).unwrap();
    assert_eq!(ours, prompt_ids, "{text:?}");

    let mut tape = Tape::open(engine);
    let expected = family::ids(prompt, "greedy_ids");
    let mut written = Vec::new();
    let mut next = prompt_ids;
    while written.len() < expected.len() {
        let logits = tape.read(engine, &next);
        if written.is_empty() {
            let off = logits_off(prompt, logits);
            assert!(off <= LOGITS_OFF_MAX, "{text:?}: logits off by {off}");
        }
        let id = greedy(logits);
        written.push(id);
        next = vec![id];
    }
    assert_eq!(written, expected, "{text:?}");
    let told = prompt.get("greedy_text").unwrap().as_str().unwrap();
    let whole = [family::ids(prompt, "prompt_ids"), written].concat();
    assert_eq!(tokenizer.decode(&whole).unwrap(), format!("{text}{told}"));
    engine.close_sequence(tape.sequence);
}

#[test]
fn the_shipped_package_is_what_the_importer_makes() {
    let shipped = family::file("sprout.slm");
    assert!(
        imported(TargetFormat::F16) == shipped,
        "make fixtures/family/sprout.slm again as its README says"
    );
    let package = Package::parse(&shipped).unwrap();
    package.verify_tensors().unwrap();
    let metadata = &package.head.metadata;
    assert_eq!(metadata.text("name"), Some("sprout"));
    assert_eq!(metadata.text("license"), Some("CC0-1.0"));
}

#[test]
fn base_prompts_continue_as_in_pytorch() {
    let reference = family::reference();
    let prompts = family::list(reference.get("base").unwrap(), "prompts");
    assert_eq!(prompts.len(), 14);
    for bytes in [family::file("sprout.slm"), imported(TargetFormat::F32)] {
        let tokenizer = Tokenizer::new(Package::parse(&bytes).unwrap().head.tokenizer).unwrap();
        let mut engine = engine(&bytes);
        for prompt in prompts {
            check_prompt(&mut engine, &tokenizer, prompt);
        }
    }
}

/// Which cases greedy decoding answers right, each id being the likeliest after those before.
/// Whole prompts share a batch; few answers of the base get past their first id.
fn right_cases(engine: &mut Engine, cases: &[Case]) -> usize {
    let (mut n_right, mut done) = (0, 0);
    while done < cases.len() {
        let (mut tapes, mut rows) = (Vec::new(), Vec::new());
        for case in &cases[done..] {
            if rows.len() + case.prompt_ids.len() > ROWS {
                break;
            }
            let mut tape = Tape::open(engine);
            rows.extend(tape.rows(&case.prompt_ids));
            tapes.push(tape);
        }
        engine.forward(&rows).unwrap();
        let first: Vec<u32> = (0..tapes.len()).map(|i| greedy(engine.logits(i))).collect();
        for (mut tape, first) in tapes.into_iter().zip(first) {
            n_right += usize::from(goes_on_right(engine, &mut tape, &cases[done], first));
            engine.close_sequence(tape.sequence);
            done += 1;
        }
    }
    n_right
}

/// Whether the first id written is right and so are all that follow it.
fn goes_on_right(engine: &mut Engine, tape: &mut Tape, case: &Case, first: u32) -> bool {
    let answer = [&case.expected_ids[..], &[case.end_id]].concat();
    first == answer[0]
        && answer
            .windows(2)
            .all(|pair| greedy(tape.read(engine, &pair[..1])) == pair[1])
}

#[test]
fn the_base_answers_as_many_cases_as_in_pytorch() {
    let reference = family::reference();
    let right = reference.get("base").unwrap().get("right_holdout").unwrap();
    // The same values as in the package, in the format that is read fastest.
    let mut engine = engine(&imported(TargetFormat::F32));
    for skill in SKILLS {
        let cases = family::cases(skill, "holdout");
        let share = |n: usize| n as f64 / cases.len() as f64;
        let theirs = share(family::ids(right, skill).len());
        let ours = share(right_cases(&mut engine, &cases));
        assert!(
            (ours - theirs).abs() <= ACCURACY_OFF_MAX,
            "{skill}: {ours}, {theirs}"
        );
        assert!(
            ours <= 0.1,
            "{skill} is no skill that the base lacks: {ours}"
        );
    }
}

#[test]
fn suites_are_whole_and_their_splits_share_nothing() {
    let package = family::file("sprout.slm");
    let tokenizer = Tokenizer::new(Package::parse(&package).unwrap().head.tokenizer).unwrap();
    for skill in SKILLS {
        let mut seen = BTreeSet::new();
        let (n_public, n_holdout) = if skill == "fact" {
            (144, 216)
        } else {
            (100, 200)
        };
        for (split, n_cases) in [("public", n_public), ("holdout", n_holdout)] {
            let cases = family::cases(skill, split);
            assert_eq!(cases.len(), n_cases, "{skill} {split}");
            for case in &cases {
                assert!(
                    seen.insert(case.prompt.clone()),
                    "{} is there twice",
                    case.prompt
                );
                check_case(&tokenizer, skill, case);
            }
        }
    }
}

fn check_case(tokenizer: &Tokenizer, skill: &str, case: &Case) {
    let Case {
        id,
        prompt,
        expected,
        prompt_ids,
        expected_ids,
        ..
    } = case;
    assert!(
        id.starts_with(skill) && prompt.starts_with(&format!("{skill}: ")),
        "{id}"
    );
    assert!(prompt.ends_with("=>") && expected.starts_with(' '), "{id}");
    assert_eq!(
        tokenizer.ids(prompt, EncodeOptions::default()).unwrap(),
        *prompt_ids,
        "{id}"
    );
    let whole = tokenizer.ids(&format!("{prompt}{expected}"), EncodeOptions::default());
    assert_eq!(
        whole.unwrap(),
        [&prompt_ids[..], expected_ids].concat(),
        "{id}"
    );
}

/// What the page's first run of the demo is made with: `web/lab/commands/demo.js`.
const DEMO_PROMPT: &str = "Once there was";
const DEMO_SETTINGS: &str = r#"{"temperature":0.6,"seed":"4"}"#;

/// The text and the run digest of the demo's first run.
fn demo_run(backend: Backend) -> (String, String) {
    let options = EngineOptions {
        max_rows: ROWS,
        max_logit_rows: 1,
        backend,
    };
    let mut engine = load_engine(&family::file("sprout.slm"), options);
    let tokenizer = engine.model.tokenizer.to_tokenizer().unwrap();
    let ids = tokenizer.ids(DEMO_PROMPT, EncodeOptions::default());
    let ids = ids.unwrap();
    let settings = Settings::from_json(DEMO_SETTINGS).unwrap();
    let mut session = Session::new(&mut engine, settings).unwrap();
    session.prompt(&mut engine, &ids).unwrap();
    while !matches!(session.step(&mut engine, ROWS).unwrap(), Step::Done(_)) {}
    let whole = [&ids, session.output_ids()].concat();
    let text = engine.model.tokenizer.decode(&whole).unwrap();
    let text = text.strip_prefix(DEMO_PROMPT).unwrap();
    (text.into(), session.run_digest().to_string())
}

/// `demo.json` is also what the page's test in a browser compares with. `CULTIVAR_BLESS=1` writes
/// it anew.
#[test]
fn the_demo_gives_the_committed_text_and_digest() {
    let (text, run_digest) = demo_run(Backend::Fast);
    if std::env::var_os("CULTIVAR_BLESS").is_some() {
        let mut json = JsonWriter::new();
        json.begin_object();
        json.field_str("prompt", DEMO_PROMPT);
        json.key("settings").raw(DEMO_SETTINGS);
        json.field_str("text", &text);
        json.field_str("run_digest", &run_digest);
        json.end_object();
        std::fs::write(family::folder().join("demo.json"), json.finish() + "\n").unwrap();
    }
    let told = json::parse(&family::file("demo.json")).unwrap();
    let field = |key: &str| told.get(key).unwrap().as_str().unwrap().to_string();
    assert_eq!((field("text"), field("run_digest")), (text, run_digest));
    assert_eq!(field("run_digest"), demo_run(Backend::Scalar).1);
    assert_eq!(field("prompt"), DEMO_PROMPT);
}

#[test]
fn the_folder_stays_small() {
    fn bytes(folder: &std::path::Path) -> u64 {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let kept = entries.filter(|entry| entry.file_name() != "__pycache__");
        kept.map(|entry| match entry.file_type().unwrap().is_dir() {
            true => bytes(&entry.path()),
            false => entry.metadata().unwrap().len(),
        })
        .sum()
    }
    let bytes = bytes(&family::folder());
    assert!(bytes <= FOLDER_BYTES_MAX, "{bytes} bytes");
}
