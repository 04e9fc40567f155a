//! The determinism matrix: however a run is computed, it has one digest per model, prompt,
//! settings and seed. The table is in `docs/numerics.md`; other engines add columns to it.
//!
//! Backends, prefill chunks, states of the cache, company in the batch, plain or with drafts.
//! fixtures/matrix/digests.json holds what scalar code gives, for modules in Node and browsers;
//! with CULTIVAR_BLESS and CULTIVAR_DATA set it is written anew. With CULTIVAR_FULL every model
//! goes through every cell.

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

const BACKENDS: [Backend; 2] = [Backend::Scalar, Backend::Fast];
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

/// How much of the table is gone through.
#[derive(Clone, Copy, PartialEq)]
enum Extent {
    /// Every cell.
    Whole,
    /// Scalar code in one column, company and drafts only together.
    Edges,
}

/// What models are gone through that others go through wholly: edges, unless all is wanted.
fn extent() -> Extent {
    match std::env::var_os("CULTIVAR_FULL") {
        Some(_) => Extent::Whole,
        None => Extent::Edges,
    }
}

impl Extent {
    fn includes(self, cell: &Cell) -> bool {
        let is_edge = (cell.company == 1) == (cell.lookup == 0);
        let is_scalar = cell.backend == Backend::Scalar;
        self == Extent::Whole || is_edge && (!is_scalar || cell.chunk == 64)
    }
}

/// Every cell of the table.
fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (backend, chunk) in BACKENDS.into_iter().flat_map(|b| CHUNKS.map(|c| (b, c))) {
        for (state, company) in STATES.into_iter().flat_map(|s| COMPANY.map(|c| (s, c))) {
            cells.extend(LOOKUPS.map(|lookup| Cell {
                backend,
                chunk,
                state,
                company,
                lookup,
            }));
        }
    }
    cells
}

/// One digest in all cells for one model; by settings.
fn check(name: &str, package: &[u8], extent: Extent) -> (Vec<u32>, [Digest; 2]) {
    let mut engines = BACKENDS.map(|backend| {
        let options = EngineOptions {
            max_rows: 80,
            max_logit_rows: 10,
            backend,
        };
        load_engine(package, options)
    });
    let digests = SETTINGS.map(|json| {
        let mut expected = None;
        for cell in cells().into_iter().filter(|cell| extent.includes(cell)) {
            let place = BACKENDS.iter().position(|backend| *backend == cell.backend);
            let got = digest(&mut engines[place.unwrap()], json, cell);
            let expected = *expected.get_or_insert(got);
            assert_eq!(got, expected, "{name} {json} {cell:?}");
        }
        expected.unwrap()
    });
    (prompt(&engines[0]), digests)
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

#[test]
fn the_golden_models() {
    let extents = [extent(), Extent::Whole, extent()];
    for (format, extent) in ["f16", "q8_0", "q4_0"].into_iter().zip(extents) {
        check(format, &ModelSpec::golden(format).build(), extent);
    }
}

/// A llama2.c checkpoint as a package in a format.
fn imported(files: [&[u8]; 2], format: TargetFormat) -> Vec<u8> {
    let files = [("model.bin", files[0]), ("tok.bin", files[1])];
    let options = ImportOptions {
        format,
        name: "model".into(),
        license: "CC0-1.0".into(),
        source: "test".into(),
        ..ImportOptions::default()
    };
    import(&files, options, 1 << 20).unwrap()
}

/// The formats of the table that the importer can make.
fn formats() -> impl Iterator<Item = TargetFormat> {
    let named = |name| TargetFormat::ALL.into_iter().find(|f| f.name() == name);
    ["q8_0", "q4_0", "q4_k"].into_iter().filter_map(named)
}

#[test]
fn what_other_engines_go_through() {
    let rows = std::thread::scope(|scope| {
        let family = formats().map(|format| scope.spawn(move || demo_family(format)));
        let mut all: Vec<_> = family.collect();
        all.extend(data_folder().map(|folder| scope.spawn(move || stories_260k(&folder))));
        let rows = all.into_iter().map(|row| row.join().unwrap());
        rows.collect::<Vec<Row>>()
    });
    compare_or_write(&rows);
}

fn demo_family(format: TargetFormat) -> Row {
    let checkpoint = family::file("llama2c/sprout.bin");
    let tokenizer = family::file("llama2c/sprout-tok.bin");
    let package = imported([&checkpoint, &tokenizer], format);
    let (prompt_ids, digests) = check(format.name(), &package, extent());
    Row {
        name: "sprout",
        format: format.name(),
        prompt_ids,
        digests,
    }
}

/// Where reference data lies, if it is here.
fn data_folder() -> Option<std::path::PathBuf> {
    let data = std::env::var_os("CULTIVAR_DATA");
    if data.is_none() {
        eprintln!("skipped: CULTIVAR_DATA is not set");
    }
    data.map(|data| std::path::PathBuf::from(data).join("models/stories260K"))
}

fn stories_260k(folder: &std::path::Path) -> Row {
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let (checkpoint, tokenizer) = (read("stories260K.bin"), read("tok512.bin"));
    let package = imported([&checkpoint, &tokenizer], TargetFormat::Q8_0);
    let (prompt_ids, digests) = check("stories260K", &package, extent());
    Row {
        name: "stories260K",
        format: "q8_0",
        prompt_ids,
        digests,
    }
}
