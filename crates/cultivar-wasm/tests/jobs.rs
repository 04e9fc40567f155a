//! Jobs on adapters through the boundary: the bytes that the module makes in a browser, refusals by
//! name, and what a validation says.
//!
//! `fixtures/breeding/jobs.json` has the digests; `web/test/runtime/breeding.test.mjs` compares the
//! module with the same ones.

use cultivar_core::digest::sha256;
use cultivar_core::json::{self, JsonValue, JsonWriter};
use cultivar_wasm::host::Host;
use cultivar_wasm::verbs::job;
use std::collections::HashMap;
use std::path::PathBuf;

/// A file of a job: name and bytes.
type Source = (String, Vec<u8>);

/// What became of a job: its code and sentence, or the new file and the report.
type Outcome = Result<(Vec<u8>, String), (i32, String)>;

fn fixture(path: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    std::fs::read(folder.join(path)).expect("a fixture")
}

/// Puts bytes into the shared buffer; their length.
fn put(host: &mut Host, bytes: &[u8]) -> u32 {
    host.buffer.reserve(bytes.len()).expect("room");
    let room = host.buffer.write(bytes.len() as u32).expect("reserved");
    room.copy_from_slice(bytes);
    bytes.len() as u32
}

/// Runs a job as a host does, `budget` bytes at a time.
fn run(job: &str, sources: &[Source], options: &str, budget: u32) -> Outcome {
    let mut host = Host::new();
    drive(&mut host, job, sources, options, budget).map_err(|failure| {
        let refused = host.settle(Err(failure));
        assert!(refused < 0);
        let (code, text) = host.last_error();
        (code, text.to_string())
    })
}

fn drive(
    host: &mut Host,
    job: &str,
    sources: &[Source],
    options: &str,
    budget: u32,
) -> Result<(Vec<u8>, String), cultivar_wasm::status::Failure> {
    let mut order = JsonWriter::new();
    order.begin_object().field_str("job", job);
    order.key("sources").begin_array();
    for (name, bytes) in sources {
        order.begin_object().field_str("name", name);
        order.field_u64("bytes", bytes.len() as u64).end_object();
    }
    order.end_array().key("options").raw(options).end_object();
    let len = put(host, order.finish().as_bytes());
    let handle = host.job_begin(len)?;
    let mut out = Vec::new();
    loop {
        let outcome = host.job_step(handle, budget)?;
        host.job_request(handle)?;
        let words: Vec<u64> = {
            let bytes = host.buffer.read(24)?;
            let words = bytes.as_chunks::<8>().0.iter();
            words.map(|word| u64::from_le_bytes(*word)).collect()
        };
        let (source, at, n) = (words[0] as usize, words[1] as usize, words[2] as usize);
        match outcome {
            job::STEP_DONE => break,
            job::STEP_READ => {
                let len = put(host, &sources[source].1[at..at + n]);
                host.job_supply(handle, len)?;
            }
            job::STEP_WRITE => {
                let len = host.job_output(handle)? as usize;
                assert_eq!(len, n);
                let bytes = host.buffer.read(len as u32)?.to_vec();
                if out.len() < at + n {
                    out.resize(at + n, 0);
                }
                out[at..at + n].copy_from_slice(&bytes);
            }
            _ => assert!(at <= n, "{at} of {n}"),
        }
    }
    let len = host.job_report(handle)? as u32;
    let report = String::from_utf8(host.buffer.read(len)?.to_vec()).expect("JSON");
    host.job_close(handle)?;
    Ok((out, report))
}

fn made(job: &str, sources: &[Source], options: &str) -> (Vec<u8>, String) {
    run(job, sources, options, 1 << 20).unwrap_or_else(|error| panic!("{job}: {error:?}"))
}

fn source(name: &str, bytes: &[u8]) -> Source {
    (name.to_string(), bytes.to_vec())
}

fn base() -> Source {
    source("sprout.slm", &fixture("family/sprout.slm"))
}

/// An adapter of the demo family, imported.
fn skill(name: &str, options: &str) -> Source {
    let mut files = vec![base()];
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        let bytes = fixture(&format!("family/adapters/{name}/{file}"));
        files.push(source(file, &bytes));
    }
    source(
        &format!("{name}.sla"),
        &made("import_adapter", &files, options).0,
    )
}

#[test]
fn jobs_make_the_same_bytes_everywhere() {
    let table = json::parse(&fixture("breeding/jobs.json")).expect("JSON");
    let mut results: HashMap<String, Vec<u8>> = HashMap::new();
    let mut wrong = Vec::new();
    for row in table.get("jobs").unwrap().as_array().unwrap() {
        let text = |key: &str| row.get(key).and_then(JsonValue::as_str).unwrap();
        let files = row.get("files").and_then(JsonValue::as_array).unwrap();
        let sources: Vec<Source> = files
            .iter()
            .map(|file| {
                let path = file.as_str().unwrap();
                let name = path.rsplit('/').next().unwrap();
                let made = results.get(path).cloned();
                (name.to_string(), made.unwrap_or_else(|| fixture(path)))
            })
            .collect();
        let options = row.get("options").unwrap();
        let options = written(options);
        let (bytes, report) = made(text("job"), &sources, &options);
        let report = json::parse(report.as_bytes()).expect("a report");
        let schema = report.get("schema").and_then(JsonValue::as_str);
        assert!(schema.is_some_and(|schema| schema.starts_with("cultivar.")));
        let file_bytes = report.get("file_bytes").and_then(JsonValue::as_u64);
        assert_eq!(file_bytes, Some(bytes.len() as u64));
        let digest = sha256(&bytes).to_string();
        if digest != text("sha256") {
            wrong.push(format!("{}: {digest}", text("make")));
        }
        // However it is cut into steps.
        let small = run(text("job"), &sources, &options, 1).expect("made").0;
        assert!(small == bytes, "{}", text("make"));
        results.insert(text("make").to_string(), bytes);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// JSON as text again.
fn written(value: &JsonValue) -> String {
    let mut out = JsonWriter::new();
    write(&mut out, value);
    out.finish()
}

fn write(out: &mut JsonWriter, value: &JsonValue) {
    if let Some(text) = value.as_str() {
        out.string(text);
    } else if let Some(truth) = value.as_bool() {
        out.bool(truth);
    } else if let Some(number) = value.as_f64() {
        out.f64(number);
    } else if let Some(items) = value.as_array() {
        out.begin_array();
        items.iter().for_each(|item| write(out, item));
        out.end_array();
    } else if let Some(members) = value.as_object() {
        out.begin_object();
        for (key, value) in members {
            write(out.key(key), value);
        }
        out.end_object();
    }
}

#[test]
fn a_validation_says_field_by_field_what_fits() {
    let (add, plural) = (skill("add", "{}"), skill("plural", "{\"exact_base\":true}"));
    let report = |sources: &[Source], options: &str| {
        let (bytes, report) = made("validate_adapter", sources, options);
        assert!(bytes.is_empty());
        json::parse(report.as_bytes()).expect("a report")
    };
    let text = |value: &JsonValue, key: &str| {
        let found = value.get(key).and_then(JsonValue::as_str);
        found.unwrap_or_default().to_string()
    };
    let fields = |report: &JsonValue| report.get("fields").unwrap().as_array().unwrap().to_vec();
    let good = report(&[base(), add.clone()], "{}");
    assert_eq!(text(&good, "verdict"), "matches");
    assert!(
        fields(&good)
            .iter()
            .all(|line| text(line, "status") == "matches")
    );
    let stacked = report(
        &[base(), add.clone(), plural.clone()],
        "{\"weights\":[2,-1]}",
    );
    assert_eq!(text(&stacked, "verdict"), "matches");

    // Too much for the base's format: the row is named, and what to do.
    let strong = report(&[base(), add.clone()], "{\"weights\":[1e30]}");
    assert_eq!(text(&strong, "verdict"), "refused");
    let fused = fields(&strong).last().unwrap().clone();
    assert_eq!(text(&fused, "field"), "fused");
    assert!(text(&fused, "message").starts_with("Row 0 of layers.0."));
    assert!(text(&fused, "advice").contains("smaller weight"));
    // What is on the stack already counts.
    let strong = report(
        &[base(), add.clone(), plural.clone()],
        "{\"weights\":[1,1e30]}",
    );
    assert_eq!(text(&strong, "verdict"), "refused");

    // A model of another form: advice for every field that differs, nothing applied.
    let golden = source("golden.slm", &fixture("golden/golden-q8_0.slm"));
    let other = report(&[golden, add], "{}");
    assert_eq!(text(&other, "verdict"), "refused");
    let refused = fields(&other);
    assert_eq!(text(&refused[0], "status"), "refused");
    for word in ["distil", "route", "ensemble"] {
        assert!(text(&refused[0], "advice").contains(word), "{word}");
    }
    assert!(text(&refused[2], "advice").contains("import the adapter anew"));
    assert_eq!(text(refused.last().unwrap(), "status"), "not_checked");
}

#[test]
fn what_a_job_cannot_do_is_refused_by_name() {
    let add = skill("add", "{}");
    let refused = |job: &str, sources: &[Source], options: &str| {
        let Err((code, text)) = run(job, sources, options, 1 << 20) else {
            panic!("{job} {options}: not refused");
        };
        assert!(!text.is_empty());
        (code, text)
    };
    let both = [base(), add.clone()];
    for (job, sources, options, code, says) in [
        ("paint", &both[..], "{}", 8, "paint"),
        ("bake", &both[..1], "{}", 9, "sources"),
        ("bake", &both, "[]", 9, "options"),
        ("bake", &both, "{\"rank\":3}", 8, "rank"),
        ("bake", &both, "{\"format\":\"q9\"}", 710, "q9"),
        ("bake", &both, "{\"format\":\"u32\"}", 710, "u32"),
        ("bake", &both, "{\"weights\":1}", 9, "weights"),
        ("bake", &both, "{\"weights\":[\"1\"]}", 9, "weights"),
        (
            "bake",
            &both,
            "{\"weights\":[{\"colour\":1}]}",
            9,
            "weights",
        ),
        (
            "bake",
            &both,
            "{\"weights\":[{\"module_weights\":{\"w_x\":1}}]}",
            9,
            "weights",
        ),
        (
            "bake",
            &both,
            "{\"weights\":[{\"layer_weights\":[1]}]}",
            476,
            "layer weights",
        ),
        ("bake", &both, "{\"weights\":[1e39]}", 474, "finite"),
        (
            "merge_adapters",
            &both,
            "{\"weights\":[0]}",
            701,
            "weight other than 0",
        ),
        (
            "merge_adapters",
            &both,
            "{\"method\":\"slerp\"}",
            8,
            "slerp",
        ),
        ("merge_adapters", &both, "{\"method\":\"svd\"}", 703, "rank"),
        (
            "merge_adapters",
            &both,
            "{\"method\":\"blend\"}",
            702,
            "blend",
        ),
        (
            "merge_adapters",
            &both,
            "{\"factors\":\"q4_0\"}",
            710,
            "q4_0",
        ),
        ("merge_adapters", &both, "{\"seed\":-1}", 9, "seed"),
        ("extract_adapter", &both, "{}", 104, "add.sla"),
        ("import_adapter", &both, "{}", 588, "add.sla"),
    ] {
        let (found, text) = refused(job, sources, options);
        assert_eq!(found, code, "{job} {options}: {text}");
        assert!(text.contains(says), "{job} {options}: {text}");
    }
    let two = [base(), base()];
    assert_eq!(refused("extract_adapter", &two, "{}").0, 9);
    assert_eq!(refused("extract_adapter", &two, "{\"rank\":2}").0, 707);
    // A damaged base is noticed while it is read, a cut adapter before anything is.
    let mut damaged = base();
    let middle = damaged.1.len() / 2;
    damaged.1[middle] ^= 1;
    assert_eq!(refused("bake", &[damaged, add.clone()], "{}").0, 708);
    let mut cut = add.clone();
    cut.1.pop();
    let (_, text) = refused("merge_adapters", &[base(), cut], "{}");
    assert!(text.starts_with("add.sla: "), "{text}");
}

#[test]
fn a_refused_job_does_not_go_on() {
    let mut host = Host::new();
    let order = "{\"job\":\"bake\",\"sources\":[{\"name\":\"a\",\"bytes\":100},\
                 {\"name\":\"b\",\"bytes\":5}],\"options\":{}}";
    let len = put(&mut host, order.as_bytes());
    let handle = host.job_begin(len).expect("a job");
    assert_eq!(host.job_step(handle, 1), Ok(job::STEP_READ));
    let len = put(&mut host, &[0; 63]);
    assert_eq!(host.job_supply(handle, len).map_err(|f| f.code()), Err(709));
    for _ in 0..2 {
        assert_eq!(host.job_step(handle, 1).map_err(|f| f.code()), Err(6));
    }
    assert_eq!(host.job_report(handle), Ok(0));
    assert_eq!(host.job_close(handle), Ok(0));
}
