//! Golden runs: committed packages, prompts and settings whose run digests every build must give,
//! native scalar, native default and wasm alike. `CULTIVAR_BLESS=1` writes the files anew.

use cultivar_core::json::{self, JsonWriter};
use cultivar_core::kernels::Backend;
use cultivar_core::model::EngineOptions;
use cultivar_core::session::{Session, Settings, Step};
use cultivar_testdata::loading::load_engine;
use cultivar_testdata::models::ModelSpec;
use std::path::PathBuf;

const FORMATS: [&str; 3] = ["f16", "q8_0", "q4_0"];
const PROMPT: &str = "The cat sat on the mat.";
const SETTINGS: [&str; 4] = [
    r#"{"max_tokens":40}"#,
    r#"{"max_tokens":40,"temperature":0.8,"top_k":50,"top_p":0.9,"seed":"42"}"#,
    r#"{"max_tokens":20,"kv":"f16"}"#,
    r#"{"max_tokens":20,"kv":"q8","temperature":1.5,"seed":7}"#,
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden")
}

fn file_name(format: &str) -> String {
    format!("golden-{format}.slm")
}

fn run(bytes: &[u8], settings: &str, backend: Backend, budget_rows: usize) -> String {
    let options = EngineOptions {
        max_rows: 16,
        max_logit_rows: 1,
        backend,
    };
    let mut engine = load_engine(bytes, options);
    let tokenizer = engine.model.tokenizer.to_tokenizer().unwrap();
    let ids = tokenizer.ids(PROMPT, Default::default()).unwrap();
    let mut session = Session::new(&mut engine, Settings::from_json(settings).unwrap()).unwrap();
    session.prompt(&mut engine, &ids).unwrap();
    while !matches!(
        session.step(&mut engine, budget_rows).unwrap(),
        Step::Done(_)
    ) {}
    session.run_digest().to_string()
}

#[test]
fn digests_are_those_committed() {
    let bless = std::env::var_os("CULTIVAR_BLESS").is_some();
    let packages = FORMATS.map(|format| (file_name(format), ModelSpec::golden(format).build()));
    if bless {
        std::fs::create_dir_all(folder()).unwrap();
        let mut json = JsonWriter::new();
        json.begin_object();
        json.field_str("prompt", PROMPT);
        json.key("runs").begin_array();
        for (name, bytes) in &packages {
            std::fs::write(folder().join(name), bytes).unwrap();
            for settings in SETTINGS {
                json.begin_object();
                json.field_str("file", name);
                json.key("settings").raw(settings);
                json.field_str("run_digest", &run(bytes, settings, Backend::Scalar, 1));
                json.end_object();
            }
        }
        json.end_array();
        json.end_object();
        std::fs::write(folder().join("digests.json"), json.finish() + "\n").unwrap();
    }
    for (name, bytes) in &packages {
        let committed = std::fs::read(folder().join(name)).unwrap();
        assert!(committed == *bytes, "{name} is not what its seed gives");
    }
    let text = std::fs::read(folder().join("digests.json")).unwrap();
    let golden = json::parse(&text).unwrap();
    let runs = golden.get("runs").unwrap().as_array().unwrap();
    assert_eq!(runs.len(), FORMATS.len() * SETTINGS.len());
    for (i, golden) in runs.iter().enumerate() {
        let (_, bytes) = &packages[i / SETTINGS.len()];
        let expected = golden.get("run_digest").unwrap().as_str().unwrap();
        for (backend, budget_rows) in [
            (Backend::Scalar, 1),
            (Backend::Fast, 7),
            (Backend::Fast, 64),
        ] {
            let got = run(bytes, SETTINGS[i % SETTINGS.len()], backend, budget_rows);
            assert_eq!(got, expected, "run {i} {backend:?} {budget_rows}");
        }
    }
}
