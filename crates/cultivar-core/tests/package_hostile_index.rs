//! The index of hostile packages, `fixtures/hostile/README.md`, lists one case per rule and is
//! what the cases themselves say. On a mismatch the test prints the table as it should be.

use cultivar_core::adapter::AdapterRule;
use cultivar_core::package::PackageErrorKind;
use cultivar_testdata::hostile::hostile_models;
use cultivar_testdata::hostile_adapters::{BrokenRule, hostile_adapters};
use std::collections::BTreeMap;
use std::fmt::Write;

const INDEX: &str = include_str!("../../../fixtures/hostile/README.md");

/// The head of the table, from which on the index is checked.
const TABLE_HEAD: &str = "\
| code | rule | first case | cases |
|---|---|---|---|
";

/// The rules about calls rather than files, provoked by tests of their own.
const RULES_OF_CALLS: [PackageErrorKind; 4] = [
    PackageErrorKind::HeadLength,
    PackageErrorKind::TailLength,
    PackageErrorKind::MissingDigest,
    PackageErrorKind::TailSections,
];

/// Per code the rule, its first case and how many there are.
fn rows() -> BTreeMap<i32, (String, String, usize)> {
    let mut rows = BTreeMap::new();
    let mut add = |code: i32, rule: String, case: String| {
        let row = rows.entry(code).or_insert((rule, case, 0));
        row.2 += 1;
    };
    for kind in RULES_OF_CALLS {
        add(
            kind.code(),
            kind.reason().into(),
            "a call, not a file".into(),
        );
    }
    for case in hostile_models() {
        add(case.expected.code(), rule_of(case.expected), case.name);
    }
    for case in hostile_adapters() {
        let name = format!("adapter: {}", case.name);
        match case.expected {
            BrokenRule::Package(kind) => add(kind.code(), rule_of(kind), name),
            BrokenRule::Adapter(rule) => add(rule.code(), rule.reason().into(), name),
        }
    }
    rows
}

fn rule_of(kind: PackageErrorKind) -> String {
    match kind {
        PackageErrorKind::Config(config) => format!("An option of the model {}", config.reason()),
        PackageErrorKind::Payload(error) => format!("A tensor's bytes: {:?}", error.kind),
        kind => kind.reason().into(),
    }
}

#[test]
fn the_index_is_what_the_cases_say() {
    let mut expected = String::from(TABLE_HEAD);
    let rows = rows();
    for (code, (rule, case, n_cases)) in &rows {
        writeln!(expected, "| {code} | {rule} | {case} | {n_cases} |").expect("a string grows");
    }
    let n_rules = PackageErrorKind::PLAIN.len() + AdapterRule::ALL.len();
    assert!(
        rows.len() > n_rules,
        "every plain rule, and those of options and values"
    );
    assert!(
        INDEX.ends_with(&expected),
        "fixtures/hostile/README.md should end with:\n{expected}"
    );
}
