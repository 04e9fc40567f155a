//! Golden mixes: committed adapters of every kind on a golden package, weights that change on the
//! way, and the digests that every build must give, natively and in the modules.
//! `CULTIVAR_BLESS=1` writes the files anew.

use cultivar_core::adapter::{Adapter, Stack, StackLimits};
use cultivar_core::json::{self, JsonValue, JsonWriter};
use cultivar_core::kernels::Backend;
use cultivar_core::model::{Engine, EngineOptions};
use cultivar_core::package::schema::TensorRole;
use cultivar_core::session::{Session, Settings};
use cultivar_testdata::adapters::{DeltaSpec, adapter_for};
use cultivar_testdata::loading::load_engine;
use cultivar_testdata::models::ModelSpec;
use std::path::PathBuf;

/// Each kind of delta, on other tensors.
fn adapters() -> [(&'static str, Vec<u8>); 3] {
    let base = ModelSpec::golden("q8_0").build();
    [
        (
            "low-rank.sla",
            adapter_for(&base, 1, DeltaSpec::LowRank(4, "f16"), |name| {
                name.contains("w_")
            }),
        ),
        (
            "raw.sla",
            adapter_for(&base, 2, DeltaSpec::Raw("f16"), |name| {
                name.contains("norm") || name.ends_with("1.w_o")
            }),
        ),
        (
            "sparse.sla",
            adapter_for(&base, 3, DeltaSpec::Sparse(61), |name| {
                name.contains("w_down") || name == "token_embedding"
            }),
        ),
    ]
}

/// Stacks, and what happens after so many tokens: another weight, or reading again.
const RUNS: [(&str, &str); 6] = [
    ("[]", "[]"),
    (
        r#"[{"file":"low-rank.sla","weight":0},{"file":"raw.sla","weight":0}]"#,
        "[]",
    ),
    (
        concat!(
            r#"[{"file":"low-rank.sla","weight":1},{"file":"raw.sla","weight":-0.5},"#,
            r#"{"file":"sparse.sla","weight":2}]"#
        ),
        "[]",
    ),
    (
        r#"[{"file":"sparse.sla","weight":2},{"file":"low-rank.sla","weight":1}]"#,
        "[]",
    ),
    (
        concat!(
            r#"[{"file":"low-rank.sla","weight":1.5,"layer_weights":[0.5,-2],"#,
            r#""module_weights":{"w_q":0,"w_down":0.25}}]"#
        ),
        "[]",
    ),
    (
        r#"[{"file":"low-rank.sla","weight":1},{"file":"sparse.sla","weight":0}]"#,
        concat!(
            r#"[{"n_output":9,"idx":0,"weight":-1.25},{"n_output":9,"idx":1,"weight":3},"#,
            r#"{"n_output":20,"idx":0,"weight":0.5},{"n_output":24,"reread":true}]"#
        ),
    ),
];

const PROMPT: &str = "The cat sat on the mat.";
const SETTINGS: &str = r#"{"max_tokens":40,"temperature":0.9,"seed":"5"}"#;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/adapters")
}

fn stack(engine: &Engine, files: &[(&str, Vec<u8>)], rows: &JsonValue) -> Stack {
    let limits = StackLimits::default();
    let mut stack = engine.new_stack(limits);
    let float = |value: &JsonValue| value.as_f64().unwrap() as f32;
    for row in rows.as_array().unwrap() {
        let name = row.get("file").unwrap().as_str().unwrap();
        let (_, bytes) = files.iter().find(|(file, _)| *file == name).unwrap();
        let loaded = engine.load_adapter(&Adapter::parse(bytes).unwrap(), limits);
        let idx = stack.push(loaded.unwrap(), float(row.get("weight").unwrap()));
        let idx = idx.unwrap();
        if let Some(factors) = row.get("layer_weights") {
            let factors: Vec<f32> = factors.as_array().unwrap().iter().map(float).collect();
            stack.set_layer_weights(idx, &factors).unwrap();
        }
        if let Some(factors) = row.get("module_weights") {
            let role = |name: &str| TensorRole::ALL.iter().find(|role| role.name() == name);
            let factors = factors.as_object().unwrap().iter();
            let factors: Vec<_> = factors
                .map(|(name, factor)| (*role(name).unwrap(), float(factor)))
                .collect();
            stack.set_module_weights(idx, &factors).unwrap();
        }
    }
    stack
}

/// Assembly at the start and run digest.
fn run((rows, changes): (&str, &str), backend: Backend, budget_rows: usize) -> [String; 2] {
    let options = EngineOptions {
        max_rows: 16,
        max_logit_rows: 1,
        backend,
    };
    let mut engine = load_engine(&ModelSpec::golden("q8_0").build(), options);
    let stack = stack(&engine, &adapters(), &json::parse(rows.as_bytes()).unwrap());
    let changes = json::parse(changes.as_bytes()).unwrap();
    let id = engine.add_stack(stack).unwrap();
    let assembly = engine.assembly(Some(id)).to_string();
    let settings = Settings::from_json(SETTINGS).unwrap();
    let mut session = Session::new(&mut engine, settings).unwrap();
    session.use_stack(&mut engine, Some(id)).unwrap();
    let tokenizer = engine.model.tokenizer.to_tokenizer().unwrap();
    let ids = tokenizer.ids(PROMPT, Default::default());
    session.prompt(&mut engine, &ids.unwrap()).unwrap();
    let mut due = changes.as_array().unwrap().iter().peekable();
    while session.stop_reason().is_none() {
        let n_output = session.output_ids().len() as u64;
        let is_due =
            |change: &&JsonValue| change.get("n_output").unwrap().as_u64() == Some(n_output);
        while let Some(change) = due.next_if(is_due) {
            if change.get("reread").is_some() {
                session.reread(&mut engine).unwrap();
                continue;
            }
            let idx = change.get("idx").unwrap().as_u64().unwrap() as usize;
            let weight = change.get("weight").unwrap().as_f64().unwrap() as f32;
            engine.set_adapter_weight(id, idx, weight).unwrap();
        }
        session.step(&mut engine, budget_rows).unwrap();
    }
    assert!(due.next().is_none(), "every change was made");
    [assembly, session.run_digest().to_string()]
}

#[test]
fn mixes_are_those_committed() {
    if std::env::var_os("CULTIVAR_BLESS").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        for (name, bytes) in adapters() {
            std::fs::write(folder().join(name), bytes).unwrap();
        }
        let mut json = JsonWriter::new();
        json.begin_object();
        json.field_str("base", "golden-q8_0.slm");
        json.field_str("prompt", PROMPT);
        json.key("settings").raw(SETTINGS);
        json.key("runs").begin_array();
        for (rows, changes) in RUNS {
            let [assembly, run_digest] = run((rows, changes), Backend::Scalar, 1);
            json.begin_object();
            json.key("adapters").raw(rows);
            json.key("changes").raw(changes);
            json.field_str("assembly", &assembly);
            json.field_str("run_digest", &run_digest);
            json.end_object();
        }
        json.end_array().end_object();
        std::fs::write(folder().join("mixes.json"), json.finish() + "\n").unwrap();
    }
    for (name, bytes) in adapters() {
        let committed = std::fs::read(folder().join(name)).unwrap();
        assert!(committed == bytes, "{name} is not what its seed gives");
    }
    let text = std::fs::read(folder().join("mixes.json")).unwrap();
    let golden = json::parse(&text).unwrap();
    let rows = golden.get("runs").unwrap().as_array().unwrap();
    assert_eq!(rows.len(), RUNS.len());
    for (row, spec) in rows.iter().zip(RUNS) {
        let expected =
            ["assembly", "run_digest"].map(|key| row.get(key).unwrap().as_str().unwrap());
        for (backend, budget) in [
            (Backend::Scalar, 1),
            (Backend::Fast, 7),
            (Backend::Fast, 64),
        ] {
            assert_eq!(run(spec, backend, budget), expected, "{spec:?} {backend:?}");
        }
    }
}
