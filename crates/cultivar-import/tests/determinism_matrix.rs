//! The determinism matrix: however a run is computed, it has one digest per model, prompt,
//! settings and seed. The table is in `docs/numerics.md`; other engines add columns to it.
//!
//! Backends, prefill chunks, states of the cache, company in the batch, plain or with drafts.
//! fixtures/matrix/digests.json holds what scalar code gives, for modules in Node and browsers;
//! with CULTIVAR_BLESS and CULTIVAR_DATA set it is written anew. One test per model and backend,
//! each of which begins with the digest of a plain run in scalar code.

mod made;

use cultivar_core::digest::Digest;
use cultivar_core::json::{self, JsonValue, JsonWriter};
use cultivar_core::kernels::Backend;
use cultivar_core::kv_cache::KvBudget;
use cultivar_core::model::{Engine, EngineOptions};
use cultivar_core::session::{Batch, Session, Settings};
use cultivar_import::{ImportOptions, TargetFormat};
use cultivar_testdata::family;
use cultivar_testdata::loading::load_engine;
use cultivar_testdata::models::ModelSpec;
use made::import;

const CHUNKS: [usize; 4] = [1, 7, 64, usize::MAX];
const STATES: [State; 6] = [
    State::Cold,
    State::Warm,
    State::AfterFork,
    State::AfterEviction,
    State::AfterPartialEviction,
    State::AfterSnapshot,
];
/// Sessions computed together, the one in question in the middle.
const COMPANY: [usize; 2] = [1, 5];
/// Tokens of a draft.
const LOOKUPS: [u32; 2] = [0, 4];

const SETTINGS: [&str; 2] = [
    r#"{"max_tokens":16,"ignore_stop":true}"#,
    r#"{"max_tokens":16,"ignore_stop":true,"temperature":0.7,"top_k":20,"min_p":0.02,"seed":5,
        "repetition_penalty":1.1,"kv":"q8"}"#,
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Cold,
    Warm,
    AfterFork,
    AfterEviction,
    /// Of the pages that were found the last is gone.
    AfterPartialEviction,
    AfterSnapshot,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    backend: Backend,
    chunk: usize,
    state: State,
    company: usize,
    lookup: u32,
}

/// Repeats itself, so that drafts have something to find, and fills more than one page.
fn prompt(engine: &Engine) -> Vec<u32> {
    let text = "The cat sat on the mat. The cat sat on the hat. The cat saw the bat. The cat";
    let tokenizer = engine.model.tokenizer.to_tokenizer().unwrap();
    let mut ids = tokenizer.ids(text, Default::default()).unwrap();
    while ids.len() < 70 {
        let again = ids[1..].to_vec();
        ids.extend(again);
    }
    ids.truncate(70);
    ids
}

fn open(engine: &mut Engine, json: &str, lookup: u32, ids: &[u32]) -> Session {
    let lookup = format!("{{\"prompt_lookup\":{lookup},");
    let settings = Settings::from_json(&json.replacen('{', &lookup, 1)).unwrap();
    let mut session = Session::new(engine, settings).unwrap();
    session.prompt(engine, ids).unwrap();
    session
}

/// Leaves no more than these bytes of pages that nobody holds.
fn evict(engine: &mut Engine, retained_bytes: u64) {
    engine.set_kv_budget(KvBudget {
        retained_bytes,
        ..KvBudget::default()
    });
    engine.set_kv_budget(KvBudget::default());
}

fn evict_all(engine: &mut Engine) {
    evict(engine, 0);
    assert_eq!(engine.kv().allocated_bytes(), 0);
}

/// Steps all sessions in one batch until they are done, or this often.
fn advance(engine: &mut Engine, sessions: &mut [Session], chunk: usize, n_most: usize) {
    let mut batch = Batch::new(engine, sessions.len()).unwrap();
    let mut all: Vec<&mut Session> = sessions.iter_mut().collect();
    for _ in 0..n_most {
        if all.iter().all(|session| session.stop_reason().is_some()) {
            return;
        }
        if let [session] = &mut all[..] {
            session.step(engine, chunk).unwrap();
        } else {
            batch.step(engine, &mut all, chunk).unwrap();
        }
    }
}

/// The digest of a run in this way.
fn digest(engine: &mut Engine, json: &str, cell: Cell) -> Digest {
    let ids = prompt(engine);
    evict_all(engine);
    let is_found = matches!(cell.state, State::Warm | State::AfterPartialEviction);
    if is_found || cell.state == State::AfterEviction {
        let mut before = [open(engine, json, 0, &ids)];
        advance(engine, &mut before, 64, usize::MAX);
        before.into_iter().for_each(|session| session.close(engine));
        match cell.state {
            State::AfterEviction => evict_all(engine),
            State::AfterPartialEviction => evict(engine, engine.kv().retained_bytes() - 1),
            _ => {}
        }
    }
    let mut sessions: Vec<Session> = (0..cell.company)
        .map(|i| match i == cell.company / 2 {
            true => open(engine, json, cell.lookup, &ids),
            // Others begin alike and say less, or something else.
            false => open(engine, json, 0, &ids[i % 2..6 + i]),
        })
        .collect();
    let place = cell.company / 2;
    let mut n_drafted = 0;
    if matches!(cell.state, State::AfterFork | State::AfterSnapshot) {
        let n_before = (ids.len() / cell.chunk).min(70) + 6;
        advance(engine, &mut sessions, cell.chunk, n_before);
        let next = match cell.state {
            State::AfterFork => sessions[place].fork(engine).unwrap(),
            _ => {
                let bytes = sessions[place].snapshot(engine).unwrap();
                Session::restore(engine, &bytes, &[]).unwrap()
            }
        };
        let before = std::mem::replace(&mut sessions[place], next);
        n_drafted += before.diagnostics().n_drafted;
        before.close(engine);
    }
    advance(engine, &mut sessions, cell.chunk, usize::MAX);
    let session = &sessions[place];
    // What a cell must have done to be one, or it proves nothing.
    let done = session.diagnostics();
    match cell.state {
        State::Warm => assert!(done.pages.n_hits >= 2, "{cell:?}"),
        State::AfterPartialEviction => assert_eq!(done.pages.n_hits, 1, "{cell:?}"),
        State::Cold | State::AfterEviction => assert_eq!(done.pages.n_hits, 0, "{cell:?}"),
        _ => {}
    }
    n_drafted += done.n_drafted;
    assert_eq!(cell.lookup > 0, n_drafted > 0, "{cell:?}");
    assert_eq!(session.output_ids().len(), 16);
    let digest = session.run_digest();
    sessions
        .into_iter()
        .for_each(|session| session.close(engine));
    digest
}

/// Every cell of the table in one backend.
fn cells(backend: Backend) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (chunk, state) in CHUNKS.into_iter().flat_map(|c| STATES.map(|s| (c, s))) {
        for (company, lookup) in COMPANY.into_iter().flat_map(|c| LOOKUPS.map(|l| (c, l))) {
            cells.push(Cell {
                backend,
                chunk,
                state,
                company,
                lookup,
            });
        }
    }
    cells
}

/// What every cell has to equal: scalar code, alone and cold, the prompt at once, no drafts.
const PLAIN: Cell = Cell {
    backend: Backend::Scalar,
    chunk: usize::MAX,
    state: State::Cold,
    company: 1,
    lookup: 0,
};

/// An engine with room for the largest batch and the most drafts of the table.
fn engine(package: &[u8], backend: Backend) -> Engine {
    let options = EngineOptions {
        max_rows: 80,
        max_logit_rows: 10,
        backend,
    };
    load_engine(package, options)
}

/// The prompt's tokens and the digests of plain runs, by settings.
fn plain(package: &[u8]) -> (Vec<u32>, [Digest; 2]) {
    let mut engine = engine(package, PLAIN.backend);
    let digests = SETTINGS.map(|json| digest(&mut engine, json, PLAIN));
    (prompt(&engine), digests)
}

/// One digest in all cells of a backend for one model; by settings.
fn check(package: &[u8], backend: Backend) {
    let (_, expected) = plain(package);
    let mut engine = engine(package, backend);
    for (json, expected) in SETTINGS.into_iter().zip(expected) {
        let cells = cells(backend);
        assert_eq!(cells.len(), 96);
        for cell in cells {
            assert_eq!(digest(&mut engine, json, cell), expected, "{json} {cell:?}");
        }
    }
}

/// A model of the table that other engines go through too.
struct Row {
    name: &'static str,
    format: &'static str,
    prompt_ids: Vec<u32>,
    digests: [Digest; 2],
}

/// Where the models of the table come from: name, checkpoint, tokenizer.
const FILES: [(&str, [&str; 2]); 2] = [
    (
        "sprout",
        [
            "fixtures/family/llama2c/sprout.bin",
            "fixtures/family/llama2c/sprout-tok.bin",
        ],
    ),
    (
        "stories260K",
        [
            "data/models/stories260K/stories260K.bin",
            "data/models/stories260K/tok512.bin",
        ],
    ),
];

fn table_json(rows: &[Row]) -> String {
    let mut json = JsonWriter::new();
    json.begin_object();
    json.key("files").begin_object();
    for (name, paths) in FILES {
        json.key(name).begin_array();
        json.string(paths[0]).string(paths[1]).end_array();
    }
    json.end_object();
    json.key("models").begin_array();
    for row in rows {
        json.begin_object();
        json.field_str("name", row.name);
        json.field_str("format", row.format);
        json.field_u32s("prompt_ids", &row.prompt_ids);
        json.key("runs").begin_array();
        for (settings, digest) in SETTINGS.iter().zip(&row.digests) {
            json.begin_object();
            let settings: String = settings.split_whitespace().collect();
            json.key("settings").raw(&settings);
            json.field_display("run_digest", digest);
            json.end_object();
        }
        json.end_array();
        json.end_object();
    }
    json.end_array();
    json.end_object();
    json.finish() + "\n"
}

/// Compares with what is committed, of which rows without their data may be missing here.
fn compare_or_write(rows: &[Row]) {
    let folder = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/matrix");
    let path = folder.join("digests.json");
    if std::env::var_os("CULTIVAR_BLESS").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&path, table_json(rows)).unwrap();
    }
    let committed = std::fs::read(&path).unwrap();
    let committed = json::parse(&committed).unwrap();
    let fresh = json::parse(table_json(rows).as_bytes()).unwrap();
    let models = |table: &JsonValue| table.get("models").unwrap().as_array().unwrap().to_vec();
    let (committed, fresh) = (models(&committed), models(&fresh));
    assert_eq!(committed.len(), 4);
    assert_eq!(committed[..fresh.len()], fresh[..]);
}

/// A llama2.c checkpoint as a package in a format.
fn imported(files: [&[u8]; 2], format: &str) -> Vec<u8> {
    let files = [("model.bin", files[0]), ("tok.bin", files[1])];
    let format = TargetFormat::ALL.into_iter().find(|f| f.name() == format);
    let options = ImportOptions {
        format: format.unwrap(),
        name: "model".into(),
        license: "CC0-1.0".into(),
        source: "test".into(),
        ..ImportOptions::default()
    };
    import(&files, options, 1 << 20).unwrap()
}

fn golden(format: &'static str) -> Option<Vec<u8>> {
    Some(ModelSpec::golden(format).build())
}

fn sprout(format: &'static str) -> Option<Vec<u8>> {
    let checkpoint = family::file("llama2c/sprout.bin");
    let tokenizer = family::file("llama2c/sprout-tok.bin");
    Some(imported([&checkpoint, &tokenizer], format))
}

/// `None` where reference data is not here.
fn stories_260k(format: &'static str) -> Option<Vec<u8>> {
    let Some(data) = std::env::var_os("CULTIVAR_DATA") else {
        eprintln!("skipped: CULTIVAR_DATA is not set");
        return None;
    };
    let folder = std::path::PathBuf::from(data).join("models/stories260K");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let (checkpoint, tokenizer) = (read("stories260K.bin"), read("tok512.bin"));
    Some(imported([&checkpoint, &tokenizer], format))
}

/// All cells of a model: one test per backend, which run beside each other.
macro_rules! cells_of {
    ($($model:ident: $package:expr;)*) => {
        $(mod $model {
            use super::*;

            #[test]
            fn scalar() {
                let package = $package;
                package.iter().for_each(|package| check(package, Backend::Scalar));
            }

            #[test]
            fn fast() {
                let package = $package;
                package.iter().for_each(|package| check(package, Backend::Fast));
            }
        })*
    };
}

cells_of! {
    golden_f16: golden("f16");
    golden_q8_0: golden("q8_0");
    golden_q4_0: golden("q4_0");
    sprout_q8_0: sprout("q8_0");
    sprout_q4_0: sprout("q4_0");
    sprout_q4_k: sprout("q4_k");
    stories260k_q8_0: stories_260k("q8_0");
}

#[test]
fn what_other_engines_are_compared_with() {
    let made = [
        ("sprout", "q8_0", sprout("q8_0")),
        ("sprout", "q4_0", sprout("q4_0")),
        ("sprout", "q4_k", sprout("q4_k")),
        ("stories260K", "q8_0", stories_260k("q8_0")),
    ];
    let rows = made.into_iter().filter_map(|(name, format, package)| {
        let (prompt_ids, digests) = plain(&package?);
        Some(Row {
            name,
            format,
            prompt_ids,
            digests,
        })
    });
    compare_or_write(&rows.collect::<Vec<Row>>());
}
