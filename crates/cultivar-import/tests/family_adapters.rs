//! The demo family's skills through the engine: its adapters alone, in pairs and all together,
//! case by case against PyTorch.
//!
//! Cases of many mixes share each pass over the base's weights. A case is answered rightly by
//! greedy decoding if and only if every token of the answer is the likeliest after those before
//! it, so the whole case is one run of rows.

use cultivar_core::adapter::{Adapter, LoadedAdapter, StackLimits};
use cultivar_core::json::{self, JsonValue};
use cultivar_core::kv_cache::KvFormat;
use cultivar_core::model::{Engine, EngineOptions, Row, StackId};
use cultivar_import::{LoraFile, LoraOptions, import_adapter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SKILLS: [&str; 5] = ["reverse", "add", "json", "plural", "fact"];

/// Rows computed at once.
const MAX_ROWS: usize = 256;

fn family() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/family")
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn engine() -> Engine {
    let options = EngineOptions {
        max_rows: MAX_ROWS,
        max_logit_rows: MAX_ROWS,
        ..EngineOptions::default()
    };
    cultivar_testdata::loading::load_engine(&read(&family().join("sprout.slm")), options)
}

fn load(engine: &Engine, skill: &str) -> Arc<LoadedAdapter> {
    let folder = family().join("adapters").join(skill);
    let names = ["adapter_config.json", "adapter_model.safetensors"];
    let files = names.map(|name| (name, read(&folder.join(name))));
    let files: Vec<_> = files
        .iter()
        .map(|(name, bytes)| LoraFile { name, bytes })
        .collect();
    let package = import_adapter(&files, &engine.model.head, &LoraOptions::default()).unwrap();
    let adapter = Adapter::parse(&package).unwrap();
    engine
        .load_adapter(&adapter, StackLimits::default())
        .unwrap()
}

/// Prompt and answer with its end, as ids.
struct Case {
    ids: Vec<u32>,
    n_prompt: usize,
}

fn ids(value: Option<&JsonValue>) -> Vec<u32> {
    let list = value.and_then(JsonValue::as_array).unwrap();
    list.iter().map(|id| id.as_u32().unwrap()).collect()
}

fn suite(skill: &str) -> Vec<Case> {
    let text = read(&family().join(format!("suites/{skill}.holdout.jsonl")));
    let lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let case = |line: &[u8]| {
        let value = json::parse(line).unwrap();
        let mut all = ids(value.get("prompt_ids"));
        let n_prompt = all.len();
        all.extend(ids(value.get("expected_ids")));
        all.push(value.get("end_id").unwrap().as_u32().unwrap());
        Case { ids: all, n_prompt }
    };
    lines.map(case).collect()
}

/// Whether each case is answered rightly, by the stack that goes with it.
fn answers(engine: &mut Engine, cases: &[(&Case, Option<StackId>)]) -> Vec<bool> {
    let mut right = Vec::new();
    let mut rest = cases;
    while !rest.is_empty() {
        let mut n_rows = 0;
        let fits = |(case, _): &&(&Case, Option<StackId>)| {
            n_rows += case.ids.len() - 1;
            n_rows <= MAX_ROWS
        };
        let n = rest.iter().take_while(fits).count();
        let (batch, behind) = rest.split_at(n);
        rest = behind;
        let mut rows = Vec::new();
        let mut sequences = Vec::new();
        for (case, stack) in batch {
            let sequence = engine.open_sequence(case.ids.len(), KvFormat::F32).unwrap();
            engine.use_stack(sequence, *stack).unwrap();
            sequences.push(sequence);
            // The last token answers nothing.
            let read = case.ids.iter().take(case.ids.len() - 1).enumerate();
            rows.extend(read.map(|(position, &token)| Row {
                sequence,
                position: position as u32,
                token,
                wants_logits: position + 1 >= case.n_prompt,
            }));
        }
        engine.forward(&rows).unwrap();
        let mut row = 0;
        for (case, _) in batch {
            let mut is_right = true;
            for wanted in &case.ids[case.n_prompt..] {
                is_right &= greedy(engine.logits(row)) == *wanted;
                row += 1;
            }
            right.push(is_right);
        }
        sequences
            .into_iter()
            .for_each(|sequence| engine.close_sequence(sequence));
    }
    right
}

fn greedy(logits: &[f32]) -> u32 {
    let best = (0..logits.len()).reduce(|a, b| if logits[b] > logits[a] { b } else { a });
    best.unwrap() as u32
}

/// A mix of skills, the suites it is judged by, and what PyTorch answered rightly.
struct Mix {
    name: String,
    skills: Vec<usize>,
    right: Vec<(usize, Vec<u32>)>,
}

fn mixes() -> Vec<Mix> {
    let reference = json::parse(&read(&family().join("reference.json"))).unwrap();
    let right_of = |of: &JsonValue, skills: &[usize]| {
        let right = of.get("right_holdout").unwrap();
        skills
            .iter()
            .map(|&s| (s, ids(right.get(SKILLS[s]))))
            .collect()
    };
    let all: Vec<usize> = (0..SKILLS.len()).collect();
    let mut mixes = vec![Mix {
        name: "base".into(),
        skills: Vec::new(),
        right: right_of(reference.get("base").unwrap(), &all),
    }];
    let adapters = reference.get("adapters").unwrap();
    for (s, skill) in SKILLS.iter().enumerate() {
        mixes.push(Mix {
            name: skill.to_string(),
            skills: vec![s],
            right: right_of(adapters.get(skill).unwrap(), &[s]),
        });
    }
    for of in reference.get("pairs").unwrap().as_array().unwrap() {
        let members = of.get("members").unwrap().as_array().unwrap();
        let is_member = |s: usize| {
            members
                .iter()
                .any(|member| member.as_str() == Some(SKILLS[s]))
        };
        let skills: Vec<usize> = all.iter().copied().filter(|s| is_member(*s)).collect();
        assert_eq!(skills.len(), 2);
        mixes.push(Mix {
            name: format!("{} + {}", SKILLS[skills[0]], SKILLS[skills[1]]),
            right: right_of(of, &skills),
            skills,
        });
    }
    mixes.push(Mix {
        name: "all five".into(),
        right: right_of(reference.get("all_five").unwrap(), &all),
        skills: all,
    });
    mixes
}

/// Every so manieth line of each suite is taken, another one for each mix, so that the test takes
/// seconds; all lines of a skill alone, and everywhere where `CULTIVAR_FULL` is set.
fn step(mix: &Mix) -> usize {
    if mix.skills.len() == 1 || std::env::var_os("CULTIVAR_FULL").is_some() {
        return 1;
    }
    16
}

/// Logits may differ from PyTorch's by this much, which sums in another order.
const LOGITS_OFF_MAX: f64 = 1e-3;

/// Checks one prompt of the reference under a mix: first logits of the likeliest, greedy ids.
fn check_prompt(engine: &mut Engine, stack: StackId, name: &str, prompt: &JsonValue) {
    let told = |key: &str| ids(prompt.get(key));
    let (mut next, expected) = (told("prompt_ids"), told("greedy_ids"));
    let sequence = engine.open_sequence(256, KvFormat::F32).unwrap();
    engine.use_stack(sequence, Some(stack)).unwrap();
    let (mut len, mut written) = (0, Vec::new());
    while written.len() < expected.len() {
        let rows: Vec<Row> = (len..)
            .zip(&next)
            .map(|(position, &token)| Row {
                sequence,
                position,
                token,
                wants_logits: position + 1 == len + next.len() as u32,
            })
            .collect();
        len += next.len() as u32;
        engine.forward(&rows).unwrap();
        let logits = engine.logits(0);
        if written.is_empty() {
            let top = prompt.get("top_logits").and_then(JsonValue::as_array);
            for (id, wanted) in told("top_ids").iter().zip(top.unwrap()) {
                let off = f64::from(logits[*id as usize]) - wanted.as_f64().unwrap();
                assert!(off.abs() <= LOGITS_OFF_MAX, "{name}, {id}: off by {off}");
            }
        }
        written.push(greedy(logits));
        next = written[written.len() - 1..].to_vec();
    }
    assert_eq!(written, expected, "{name}, {:?}", prompt.get("prompt"));
    engine.close_sequence(sequence);
}

#[test]
fn prompts_with_adapters_continue_as_in_pytorch() {
    let mut engine = engine();
    let reference = json::parse(&read(&family().join("reference.json"))).unwrap();
    let adapters = SKILLS.map(|skill| load(&engine, skill));
    let alone = reference.get("adapters").unwrap();
    let mut parts: Vec<_> = SKILLS
        .iter()
        .enumerate()
        .map(|(s, name)| (*name, &adapters[s..=s], alone.get(name).unwrap(), 5))
        .collect();
    let all_five = reference.get("all_five").unwrap();
    parts.push(("all five", &adapters[..], all_five, 6));
    for (name, members, part, n_prompts) in parts {
        let mut stack = engine.new_stack(StackLimits::default());
        for member in members {
            stack.push(Arc::clone(member), 1.0).unwrap();
        }
        let stack = engine.add_stack(stack).unwrap();
        let prompts = part.get("prompts").and_then(JsonValue::as_array).unwrap();
        assert_eq!(prompts.len(), n_prompts, "{name}");
        for prompt in prompts {
            check_prompt(&mut engine, stack, name, prompt);
        }
    }
}

#[test]
fn skills_are_those_of_pytorch_alone_in_pairs_and_together() {
    let mut engine = engine();
    let adapters = SKILLS.map(|skill| load(&engine, skill));
    let suites = SKILLS.map(suite);
    let mut cases = Vec::new();
    let mut expected = Vec::new();
    for (m, mix) in mixes().iter().enumerate() {
        let step = step(mix);
        let mut stack = engine.new_stack(StackLimits::default());
        for skill in &mix.skills {
            stack.push(Arc::clone(&adapters[*skill]), 1.0).unwrap();
        }
        let stack = engine.add_stack(stack).unwrap();
        for (skill, right) in &mix.right {
            for line in (m % step..suites[*skill].len()).step_by(step) {
                cases.push((&suites[*skill][line], Some(stack)));
                expected.push((mix.name.clone(), *skill, right.contains(&(line as u32))));
            }
        }
    }
    let found = answers(&mut engine, &cases);
    let n_other = found
        .iter()
        .zip(&expected)
        .filter(|(found, (.., right))| **found != *right);
    let n_other = n_other.count();
    // PyTorch sums in another order: a lead of almost nothing may tip.
    assert!(
        n_other * 500 <= found.len(),
        "{n_other} of {} answers differ",
        found.len()
    );
    for skill in 0..SKILLS.len() {
        for mix in mixes() {
            if step(&mix) == 1 || mix.name == "base" {
                check_points(&mix.name, skill, &found, &expected);
            }
        }
        check_points("", skill, &found, &expected);
    }
}

/// Whether the answers of a mix (of all mixes, if none is named) in one suite are within two points
/// of PyTorch's.
fn check_points(mix: &str, skill: usize, found: &[bool], expected: &[(String, usize, bool)]) {
    let (mut n, mut n_right, mut n_reference) = (0.0, 0.0, 0.0);
    for (found, (name, of, right)) in found.iter().zip(expected) {
        if *of == skill && (mix.is_empty() || name == mix) {
            n += 1.0;
            n_right += f64::from(u8::from(*found));
            n_reference += f64::from(u8::from(*right));
        }
    }
    if n > 0.0 {
        let (points, skill) = ((n_right - n_reference) / n * 100.0, SKILLS[skill]);
        assert!(f64::abs(points) <= 2.0, "{mix}, {skill}: {points} points");
        if std::env::var_os("CULTIVAR_FULL").is_some() {
            println!("{mix}, {skill}: {n_right} of {n}, PyTorch {n_reference}");
        }
    }
}
