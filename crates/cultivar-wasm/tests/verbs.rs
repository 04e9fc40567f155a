//! The verbs as a host calls them, run natively: the same methods that the module exports, with
//! the golden packages. What needs a real module (allocator, traps, views) is tested in Node.

use cultivar_core::json::{self, JsonValue};
use cultivar_wasm::host::Host;
use cultivar_wasm::status::{Failure, Status};
use cultivar_wasm::verbs::{import, session, text};
use opening::{golden, open, open_text, prompt_text, put};

mod opening;

/// What a verb left in the shared buffer.
fn answer(host: &Host, len: i32) -> Vec<u8> {
    host.buffer.read(len as u32).expect("an answer").to_vec()
}

fn new_session(host: &mut Host, package: i32, settings: &str) -> Result<i32, Failure> {
    let len = put(host, settings.as_bytes());
    host.session_new(package, len)
}

/// Runs a prompt to its end and returns the report.
fn run(host: &mut Host, s: i32, prompt: &str) -> JsonValue {
    prompt_text(host, s, prompt).expect("a prompt");
    let mut streamed = String::new();
    loop {
        let step = host.session_step(s, 3, 0).expect("a step");
        let len = host.session_text(s).expect("text");
        streamed += std::str::from_utf8(&answer(host, len)).expect("whole characters");
        if step == session::STEP_DONE {
            break;
        }
    }
    let len = host.session_report(s).expect("a report");
    let report = json::parse(&answer(host, len)).expect("JSON");
    assert_eq!(
        report.get("text").and_then(JsonValue::as_str),
        Some(streamed.as_str())
    );
    report
}

fn digest(report: &JsonValue) -> String {
    report
        .get("run_digest")
        .and_then(JsonValue::as_str)
        .expect("a digest")
        .to_string()
}

#[test]
fn golden_runs_through_the_verbs() {
    let runs = json::parse(&golden("digests.json")).expect("JSON");
    let text = |value: &JsonValue, key| {
        value
            .get(key)
            .and_then(JsonValue::as_str)
            .expect("a text")
            .to_string()
    };
    let mut host = Host::new();
    for row in runs
        .get("runs")
        .and_then(JsonValue::as_array)
        .expect("rows")
    {
        let package = open(&mut host, &golden(&text(row, "file"))).expect("a good package");
        let settings = row.get("settings").expect("settings");
        let s = new_session(&mut host, package, &to_json(settings)).expect("a session");
        let report = run(&mut host, s, &text(&runs, "prompt"));
        assert_eq!(digest(&report), text(row, "run_digest"));
        assert_eq!(host.package_close(package), Ok(1));
    }
}

/// Settings are flat objects of numbers and texts.
fn to_json(settings: &JsonValue) -> String {
    let fields = settings
        .as_object()
        .expect("an object")
        .iter()
        .map(|(key, value)| {
            let value = match (value.as_str(), value.as_f64()) {
                (Some(text), _) => format!("\"{text}\""),
                (None, number) => number.expect("a number").to_string(),
            };
            format!("\"{key}\":{value}")
        });
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

#[test]
fn refusals_are_codes_with_a_sentence_and_change_nothing() {
    let mut host = Host::new();
    let package = open(&mut host, &golden("golden-q8_0.slm")).expect("a good package");
    let s = new_session(&mut host, package, "{\"max_tokens\":6}").expect("a session");
    let tokenizer = open_text(&mut host, &golden("golden-q8_0.slm")).expect("a good head");
    let before = digest(&run(&mut host, s, "The cat"));
    let refused = |status: Status| status.code();
    type Verb<'a> = &'a mut dyn FnMut(&mut Host) -> Result<i32, Failure>;
    let mut check = |name: &str, code: i32, verb: Verb<'_>| {
        put(&mut host, b"A\xff\xff\xff\xff");
        let result = verb(&mut host);
        assert_eq!(host.settle(result), -code, "{name}");
        assert_eq!(host.last_error().0, code, "{name}");
        assert!(host.last_error().1.len() > 10, "{name} says nothing");
    };
    check(
        "a session where a package belongs",
        refused(Status::NotAHandle),
        &mut |h| h.package_describe(s),
    );
    check(
        "an old generation",
        refused(Status::StaleHandle),
        &mut |h| h.session_step(s + 4096, 1, 0),
    );
    check(
        "a length beyond the buffer",
        refused(Status::BadLength),
        &mut |h| h.tokenize(tokenizer, 4096, 0),
    );
    check(
        "n ids whose bytes overflow",
        refused(Status::BadLength),
        &mut |h| h.detokenize(package, 1 << 30),
    );
    check(
        "a header longer than 64",
        refused(Status::BadLength),
        &mut |h| h.package_begin(65, 65.0),
    );
    check(
        "a package where its text belongs",
        refused(Status::NotAHandle),
        &mut |h| h.tokenize(package, 1, 0),
    );
    check("half a head", 111, &mut |h| {
        let head = golden("golden-q8_0.slm");
        let len = put(h, &head[..100]);
        h.text_open(len, head.len() as f64)
    });
    check("a closed text", refused(Status::StaleHandle), &mut |h| {
        h.chat_prompt(tokenizer + 4096, 1)
    });
    check("no UTF-8", refused(Status::BadUtf8), &mut |h| {
        h.tokenize(tokenizer, 2, 0)
    });
    let both = text::FLAG_ADD_BOS | text::FLAG_NO_BOS;
    check("both flags", refused(Status::UnknownOption), &mut |h| {
        h.tokenize(tokenizer, 1, both)
    });
    check(
        "an unknown flag",
        refused(Status::UnknownOption),
        &mut |h| h.tokenize(tokenizer, 1, 64),
    );
    check("a token id out of range", 300 + 55, &mut |h| {
        put(h, &[0xff; 4]);
        h.session_prompt_ids(s, 1)
    });
    check("broken settings", 601, &mut |h| h.session_new(package, 1));
    check("the head twice", refused(Status::OutOfOrder), &mut |h| {
        h.package_head(package, 1)
    });
    check(
        "a tensor of an open package",
        refused(Status::OutOfOrder),
        &mut |h| h.package_tensor_verify_step(package, 0, 1),
    );
    check("a closed import", refused(Status::NotAHandle), &mut |h| {
        h.import_step(0, 1)
    });
    let again = new_session(&mut host, package, "{\"max_tokens\":6}").expect("a session");
    assert_eq!(digest(&run(&mut host, again, "The cat")), before);
}

#[test]
fn a_constraint_is_compiled_in_one_part_and_obeyed_in_the_other() {
    let (mut compiler, mut host) = (Host::new(), Host::new());
    let compile = |compiler: &mut Host, text: &[u8]| {
        let len = put(compiler, text);
        let len = compiler.grammar_compile(len)?;
        Ok::<_, Failure>(answer(compiler, len))
    };
    let constraint = "{\"gbnf\":\"root ::= \\\"yes\\\" | \\\"no\\\"\"}";
    let table = compile(&mut compiler, constraint.as_bytes()).expect("a table");
    let json = compile(&mut compiler, b"{\"json\":true}").expect("a table");
    for (text, code) in [
        (&b"{\"json\":"[..], 9),
        (b"{\"json\":1}", 9),
        (b"\xff", 9),
        (b"{\"gbnf\":\"root ::= x\"}", 631),
        (b"{\"json_schema\":{\"not\":{}}}", 637),
    ] {
        let refused = compile(&mut compiler, text);
        assert_eq!(refused.map_err(|failure| failure.code()), Err(code));
    }
    let package = open(&mut host, &golden("golden-q8_0.slm")).expect("a good package");
    let settings = format!("{{\"max_tokens\":8,\"constraint\":{constraint}}}");
    let early = new_session(&mut host, package, &settings);
    assert_eq!(early.map_err(|failure| failure.code()), Err(645));
    for (bytes, code) in [(&b"CVSNAP\r\n"[..], 646), (&table[..90], 649)] {
        let len = put(&mut host, bytes);
        let refused = host.package_constraint(package, len);
        assert_eq!(refused.map_err(|failure| failure.code()), Err(code));
    }
    for table in [&json, &table] {
        let len = put(&mut host, table);
        assert_eq!(host.package_constraint(package, len), Ok(0));
    }
    let s = new_session(&mut host, package, &settings).expect("a session");
    let report = run(&mut host, s, "The cat");
    let text = report
        .get("text")
        .and_then(JsonValue::as_str)
        .expect("a text");
    assert!(["yes", "no"].contains(&text), "{text}");
    let reason = host.session_stop_reason(s);
    assert_eq!(reason, Ok(session::REASON_GRAMMAR_END));
}

#[test]
fn a_package_is_open_only_when_all_of_it_was_verified() {
    let file = golden("golden-q8_0.slm");
    let mut host = Host::new();
    let len = put(&mut host, &file[..64]);
    let package = host
        .package_begin(len, file.len() as f64)
        .expect("a header");
    let early = |result: Result<i32, Failure>| result.map_err(|failure| failure.code());
    assert_eq!(
        early(host.package_describe(package)),
        Err(Status::OutOfOrder.code())
    );
    assert_eq!(
        early(host.package_finish_step(package, 1)),
        Err(Status::OutOfOrder.code())
    );
    let n_head = host.package_head_bytes(package).expect("a number") as usize;
    let len = put(&mut host, &file[..n_head]);
    assert!(host.package_head(package, len - 1).is_err());
    let n_tensors = host.package_head(package, len).expect("a head") as u32;
    let len = put(&mut host, b"{}");
    assert_eq!(
        early(host.session_new(package, len)),
        Err(Status::OutOfOrder.code())
    );
    assert!(host.package_finish_step(package, 1 << 30).is_err());
    assert!(
        host.package_tensor_verify_step(package, 0, 64).is_err(),
        "it was never filled"
    );
    assert!(host.tensor_buffer(package, n_tensors).is_err());
    host.tensor_buffer(package, 0).expect("room");
    put(&mut host, &[7; 32]);
    assert_eq!(early(host.package_tensor_digest(package, 0)), Err(253));
    assert_eq!(host.package_close(package), Ok(0));
    assert_eq!(
        early(host.package_close(package)),
        Err(Status::StaleHandle.code())
    );
    assert!(open(&mut host, &file).is_ok());
}

#[test]
fn closing_a_package_ends_its_sessions_only() {
    let mut host = Host::new();
    let a = open(&mut host, &golden("golden-q8_0.slm")).expect("a good package");
    let b = open(&mut host, &golden("golden-f16.slm")).expect("a good package");
    let on_a = new_session(&mut host, a, "{}").expect("a session");
    let on_b = new_session(&mut host, b, "{}").expect("a session");
    let fork = host.session_fork(on_a).expect("a fork");
    assert_eq!(host.package_close(a), Ok(2));
    for s in [on_a, fork] {
        assert_eq!(
            host.session_len(s).map_err(|f| f.code()),
            Err(Status::StaleHandle.code())
        );
    }
    assert_eq!(host.session_len(on_b), Ok(0));
}

#[test]
fn logits_belong_to_the_session_that_computed_last() {
    let mut host = Host::new();
    let package = open(&mut host, &golden("golden-q4_0.slm")).expect("a good package");
    let a = new_session(&mut host, package, "{\"max_tokens\":2}").expect("a session");
    let b = new_session(&mut host, package, "{\"max_tokens\":2}").expect("a session");
    assert!(host.session_logits(a).is_err());
    run(&mut host, a, "one");
    assert!(host.session_logits(a).is_ok());
    run(&mut host, b, "two");
    assert!(host.session_logits(a).is_err());
    assert!(host.session_logits(b).is_ok());
    assert!(host.session_rewind(b, 1).is_ok());
    assert!(host.session_logits(b).is_err());
}

#[test]
fn log_probabilities_are_of_the_last_token_and_only_where_asked_for() {
    let mut host = Host::new();
    let package = open(&mut host, &golden("golden-q4_0.slm")).expect("a good package");
    let plain = new_session(&mut host, package, "{\"max_tokens\":2}").expect("a session");
    run(&mut host, plain, "one");
    let refused = host.session_logprobs(plain).map_err(|f| f.code());
    assert_eq!(refused, Err(Status::OutOfOrder.code()));
    let settings = "{\"max_tokens\":2,\"ignore_stop\":true,\"logprobs\":3}";
    let asked = new_session(&mut host, package, settings).expect("a session");
    assert!(host.session_logprobs(asked).is_err());
    run(&mut host, asked, "one");
    assert_eq!(host.session_logprobs(asked), Ok(4));
    let bytes = answer(&host, 32);
    let pairs: Vec<(u32, f32)> = bytes
        .chunks_exact(8)
        .map(|pair| {
            let word = |at: usize| [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
            (u32::from_le_bytes(word(0)), f32::from_le_bytes(word(4)))
        })
        .collect();
    assert_eq!(host.session_token(asked), Ok(pairs[0].0 as i32));
    assert_eq!(pairs[0], pairs[1], "greedy takes the likeliest");
    assert!(pairs[1].1 >= pairs[2].1 && pairs[2].1 >= pairs[3].1);
    assert!(pairs.iter().all(|(_, logprob)| *logprob <= 0.0));
}

#[test]
fn an_import_says_what_is_wrong_with_its_order() {
    let mut host = Host::new();
    let bad = Status::BadJson.code();
    let rows: [(&str, i32); 6] = [
        ("{", bad),
        ("[]", bad),
        ("{\"sources\":[{\"name\":\"a\"}]}", bad),
        ("{\"sources\":[],\"options\":{\"format\":1}}", bad),
        (
            "{\"sources\":[],\"options\":{\"colour\":\"red\"}}",
            Status::UnknownOption.code(),
        ),
        ("{\"sources\":[],\"options\":{\"format\":\"q9\"}}", 522),
    ];
    for (order, code) in rows {
        let len = put(&mut host, order.as_bytes());
        assert_eq!(
            host.import_begin(len).map_err(|f| f.code()),
            Err(code),
            "{order}"
        );
    }
    let order = "{\"sources\":[{\"name\":\"a.txt\",\"bytes\":5}]}";
    let len = put(&mut host, order.as_bytes());
    let handle = host.import_begin(len).expect("an import");
    assert_eq!(host.import_step(handle, 1024), Ok(import::STEP_READ));
    assert_eq!(host.import_request(handle), Ok(6));
    assert_eq!(answer(&host, 24)[16], 5);
    assert_eq!(host.import_plan(handle), Ok(0), "no header is read yet");
    let len = put(&mut host, b"hell");
    assert_eq!(
        host.import_supply(handle, len).map_err(|f| f.code()),
        Err(519)
    );
    assert_eq!(host.import_close(handle), Ok(0));
    assert!(host.import_close(handle).is_err());
}

/// Runs an export of these package bytes to its end: the first file's length, or the first code.
fn export(host: &mut Host, format: &str, file: &[u8]) -> Result<usize, i32> {
    let code = |failure: Failure| failure.code();
    let len = put(host, format.as_bytes());
    let handle = host.export_begin(len, file.len() as f64).map_err(code)?;
    assert!(host.export_files(handle).is_err(), "no head is read yet");
    assert!(host.export_output(handle).is_err());
    let mut end = 0;
    let outcome = loop {
        let step = host.export_step(handle).map_err(code);
        assert_eq!(host.export_request(handle), Ok(6));
        let words = answer(host, 24);
        let words: Vec<u64> = words
            .chunks(8)
            .map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")))
            .collect();
        match step {
            Ok(import::STEP_READ) => {
                let at = words[1] as usize;
                let len = put(host, &file[at..at + words[2] as usize]);
                if let Err(error) = host.export_supply(handle, len).map_err(code) {
                    break Err(error);
                }
            }
            Ok(import::STEP_WRITE) => {
                let len = host.export_output(handle).expect("output") as u64;
                assert_eq!(len, words[2]);
                end = end.max((words[1] + len) * u64::from(words[0] == 0));
            }
            Ok(_) => {
                let len = host.export_files(handle).expect("files");
                let files = json::parse(&answer(host, len)).expect("JSON");
                assert!(files.get("files").is_some() && files.get("report").is_some());
                break Ok(end as usize);
            }
            Err(error) => break Err(error),
        }
    };
    assert_eq!(host.export_close(handle), Ok(0));
    assert!(host.export_step(handle).is_err());
    outcome
}

#[test]
fn an_export_reads_a_package_and_writes_files_or_says_why_not() {
    let mut host = Host::new();
    let file = golden("golden-q8_0.slm");
    let unknown = Status::UnknownOption.code();
    assert_eq!(export(&mut host, "onnx", &file), Err(unknown));
    let made = export(&mut host, "safetensors", &file).expect("files");
    assert!(made > file.len(), "blocks become f32");
    let mut damaged = file.clone();
    damaged[300] ^= 1;
    for (bytes, what) in [
        (&file[..40], "a cut header"),
        (&file[..64], "a file shorter than its header says"),
        (damaged.as_slice(), "a damaged head"),
    ] {
        let code = export(&mut host, "gguf", bytes).expect_err(what);
        assert!((100..200).contains(&code), "{what}: {code}");
    }
}

#[test]
fn the_engine_describes_itself() {
    let mut host = Host::new();
    let len = host.engine_info().expect("JSON");
    let info = json::parse(&answer(&host, len)).expect("JSON");
    assert_eq!(info.get("abi_version").and_then(JsonValue::as_u64), Some(2));
    assert!(host.selftest().expect("equal kernels") > 200);
    let len = host.memory_stats().expect("JSON");
    assert!(json::parse(&answer(&host, len)).is_ok());
    assert_eq!(host.error_code(), Ok(0));
}
