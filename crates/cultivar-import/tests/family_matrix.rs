//! The demo family's accuracy matrix as run digests: each skill under the base, every skill alone,
//! every pair and all five, at weight 1 and at the best weights where those are others, in sessions
//! as a person runs them.
//!
//! `fixtures/family/matrix.json` is what this native run writes (`CULTIVAR_BLESS=1`) and Node and
//! Chromium repeat. A sample in the normal run, all cases with `CULTIVAR_FULL`.

use cultivar_core::adapter::{Adapter, LoadedAdapter, StackLimits};
use cultivar_core::digest::Sha256;
use cultivar_core::json::{self, JsonValue, JsonWriter};
use cultivar_core::model::{Engine, EngineOptions, StackId};
use cultivar_core::session::{Session, Settings};
use cultivar_import::{LoraFile, LoraOptions, import_adapter};
use cultivar_testdata::family::{self, Case, SKILLS};
use std::sync::Arc;

/// Cases of a cell in the normal run: the first ones of the suite.
const N_SAMPLE: usize = 4;

/// A mix judged by a suite.
struct Cell {
    members: Vec<usize>,
    /// One per member; none where all are 1.
    weights: Vec<f32>,
    suite: usize,
}

/// The cells of the README's tables, in their order.
fn cells() -> Vec<Cell> {
    let all = || 0..SKILLS.len();
    let mut mixes = vec![(Vec::new(), all().collect())];
    mixes.extend(all().map(|skill| (vec![skill], all().collect::<Vec<_>>())));
    for first in all() {
        mixes.extend((first + 1..SKILLS.len()).map(|second| {
            let pair = vec![first, second];
            (pair.clone(), pair)
        }));
    }
    mixes.push((all().collect(), all().collect()));
    let of_mix = |(members, suites, weights): (Vec<usize>, Vec<usize>, Vec<f32>)| {
        let cell = move |suite| Cell {
            members: members.clone(),
            weights: weights.clone(),
            suite,
        };
        suites.into_iter().map(cell)
    };
    let at_best = mixes.iter().filter_map(|(members, suites)| {
        let weights = best_weights(members)?;
        Some((members.clone(), suites.clone(), weights))
    });
    let at_best: Vec<_> = at_best.collect();
    let at_one = mixes
        .into_iter()
        .map(|(members, suites)| (members, suites, Vec::new()));
    at_one.chain(at_best).flat_map(of_mix).collect()
}

/// The row of `figures.json` on a mix of two or of all.
fn figures_of(members: &[usize]) -> Option<JsonValue> {
    let figures = json::parse(&family::file("figures.json")).unwrap();
    let names = |row: &JsonValue| {
        let names = family::list(row, "members").iter().map(JsonValue::as_str);
        names.eq(members.iter().map(|member| Some(SKILLS[*member])))
    };
    let mut rows = family::list(&figures, "pairs").to_vec();
    rows.extend(figures.get("all_five").cloned());
    rows.into_iter().find(names)
}

/// Weights that the search found better than 1, if it did.
fn best_weights(members: &[usize]) -> Option<Vec<f32>> {
    let row = figures_of(members)?;
    let best = row.get("best_weights")?;
    let weight = |member: &usize| {
        best.get(SKILLS[*member])?
            .as_f64()
            .map(|weight| weight as f32)
    };
    let weights: Vec<f32> = members.iter().map(weight).collect::<Option<_>>()?;
    weights
        .iter()
        .any(|weight| *weight != 1.0)
        .then_some(weights)
}

fn load(engine: &Engine, skill: &str) -> Arc<LoadedAdapter> {
    let names = ["adapter_config.json", "adapter_model.safetensors"];
    let files = names.map(|name| (name, family::file(&format!("adapters/{skill}/{name}"))));
    let files: Vec<_> = files
        .iter()
        .map(|(name, bytes)| LoraFile { name, bytes })
        .collect();
    let package = import_adapter(&files, &engine.model.head, &LoraOptions::default()).unwrap();
    let adapter = Adapter::parse(&package).unwrap();
    let limits = StackLimits::default();
    engine.load_adapter(&adapter, limits).unwrap()
}

/// Right answers, and a SHA-256 over the run digests of the cases as 64 hexadecimal digits each.
fn run(engine: &mut Engine, stack: StackId, cases: &[Case]) -> (usize, String) {
    let mut n_right = 0;
    let mut fold = Sha256::new();
    for case in cases {
        let mut wanted = case.expected_ids.clone();
        wanted.push(case.end_id);
        let settings = Settings {
            max_tokens: wanted.len() as u32,
            ..Settings::default()
        };
        let mut session = Session::new(engine, settings).unwrap();
        session.use_stack(engine, Some(stack)).unwrap();
        session.prompt(engine, &case.prompt_ids).unwrap();
        while session.stop_reason().is_none() {
            session.step(engine, 256).unwrap();
        }
        n_right += usize::from(session.output_ids() == wanted);
        fold.update(session.run_digest().to_string().as_bytes());
        session.close(engine);
    }
    (n_right, fold.finish().to_string())
}

/// Runs the first `n` cases of each cell: right answers and folded digests.
fn run_all(cells: &[Cell], n: usize) -> Vec<(usize, String)> {
    let package = family::file("sprout.slm");
    let mut engine = cultivar_testdata::loading::load_engine(&package, EngineOptions::default());
    let adapters = SKILLS.map(|skill| load(&engine, skill));
    let suites = SKILLS.map(|skill| family::cases(skill, "holdout"));
    let run_cell = |cell: &Cell| {
        let mut stack = engine.new_stack(StackLimits::default());
        for (place, member) in cell.members.iter().enumerate() {
            let weight = cell.weights.get(place).copied().unwrap_or(1.0);
            stack.push(Arc::clone(&adapters[*member]), weight).unwrap();
        }
        let stack = engine.add_stack(stack).unwrap();
        let cases = &suites[cell.suite];
        let found = run(&mut engine, stack, &cases[..n.min(cases.len())]);
        engine.remove_stack(stack);
        found
    };
    cells.iter().map(run_cell).collect()
}

fn write(cells: &[Cell]) {
    let (sample, all) = (run_all(cells, N_SAMPLE), run_all(cells, usize::MAX));
    let mut lines = Vec::new();
    for ((cell, sample), all) in cells.iter().zip(sample).zip(all) {
        let mut json = JsonWriter::new();
        json.begin_object();
        json.key("members").begin_array();
        for member in &cell.members {
            json.string(SKILLS[*member]);
        }
        json.end_array();
        if !cell.weights.is_empty() {
            json.key("weights").begin_array();
            for weight in &cell.weights {
                json.f32(*weight);
            }
            json.end_array();
        }
        json.field_str("suite", SKILLS[cell.suite]);
        for (key, (n_right, digest)) in [("sample", sample), ("all", all)] {
            json.key(key).begin_object();
            json.field_u64("n_right", n_right as u64);
            json.field_str("run_digests", &digest);
            json.end_object();
        }
        json.end_object();
        lines.push(json.finish());
    }
    let lines = lines.join(",\n");
    let text = format!("{{\"n_sample\":{N_SAMPLE},\"cells\":[\n{lines}\n]}}\n");
    std::fs::write(family::folder().join("matrix.json"), text).unwrap();
}

/// The accuracy that `figures.json`, and so the README, has for a cell.
fn published(figures: &JsonValue, cell: &Cell) -> f64 {
    let mix = figures_of(&cell.members);
    let accuracies = match cell.members.as_slice() {
        [] => figures.get("base").and_then(|of| of.get("accuracy")),
        [skill] => {
            let alone = figures.get("singles").and_then(|of| of.get(SKILLS[*skill]));
            alone.and_then(|of| of.get("accuracy"))
        }
        _ if cell.weights.is_empty() => mix.as_ref().and_then(|of| of.get("at_one")),
        _ => mix.as_ref().and_then(|of| of.get("at_best")),
    };
    let accuracy = accuracies.and_then(|of| of.get(SKILLS[cell.suite]));
    accuracy.and_then(JsonValue::as_f64).unwrap()
}

#[test]
fn the_matrix_and_its_runs_are_those_committed() {
    let cells = cells();
    if std::env::var_os("CULTIVAR_BLESS").is_some() {
        write(&cells);
    }
    let committed = json::parse(&family::file("matrix.json")).unwrap();
    let rows = family::list(&committed, "cells");
    assert_eq!(rows.len(), cells.len());
    let figures = json::parse(&family::file("figures.json")).unwrap();
    let of = |row: &JsonValue, part: &str| {
        let part = row.get(part).unwrap();
        let n_right = part.get("n_right").and_then(JsonValue::as_u32).unwrap();
        let digest = part.get("run_digests").and_then(JsonValue::as_str).unwrap();
        (n_right as usize, digest.to_string())
    };
    for (row, cell) in rows.iter().zip(&cells) {
        let n_cases = family::cases(SKILLS[cell.suite], "holdout").len();
        let accuracy = of(row, "all").0 as f64 / n_cases as f64;
        let expected = published(&figures, cell);
        assert!(
            f64::abs(accuracy - expected) < 1e-4,
            "{accuracy} is not {expected}"
        );
    }
    let (part, n) = match std::env::var_os("CULTIVAR_FULL") {
        Some(_) => ("all", usize::MAX),
        None => ("sample", N_SAMPLE),
    };
    for ((row, cell), found) in rows.iter().zip(&cells).zip(run_all(&cells, n)) {
        let members: Vec<_> = cell.members.iter().map(|m| SKILLS[*m]).collect();
        assert_eq!(
            found,
            of(row, part),
            "{members:?} on {}",
            SKILLS[cell.suite]
        );
    }
}
