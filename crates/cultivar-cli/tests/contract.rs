//! The contract that scripts rely on: one JSON object, exit codes, fields, and the same answers
//! from every way of asking.

mod command;

use command::{asked, cultivar, files, folder, folder_with_model, ids, text};
use cultivar_core::json::JsonValue;

#[test]
fn help_goes_to_standard_output_and_wrong_usage_does_not() {
    let folder = folder("help");
    for arguments in [&["--help"][..], &["-h"], &["help"], &["--version"]] {
        let answer = cultivar(&folder, arguments);
        assert_eq!((answer.exit, answer.err.as_str()), (0, ""));
        assert!(answer.out.contains("ultivar"), "{}", answer.out);
    }
    for name in [
        "import",
        "inspect",
        "verify",
        "run",
        "logits",
        "tokenize",
        "detokenize",
    ] {
        let answer = cultivar(&folder, &[name, "--help"]);
        assert_eq!((answer.exit, answer.err.as_str()), (0, ""));
        assert!(
            answer.out.contains(&format!("cultivar {name} ")),
            "{}",
            answer.out
        );
        assert!(answer.out.contains("--json"));
        assert_eq!(cultivar(&folder, &["help", name]).out, answer.out);
    }
    let cases: [(&[&str], &str); 10] = [
        (&[], "which command"),
        (&["rnu"], "did you mean run?"),
        (&["run"], "which file"),
        (&["run", "a", "--prompt", "x", "b"], "\"b\""),
        (&["run", "a", "--promt", "x"], "did you mean --prompt?"),
        (&["run", "a"], "--prompt"),
        (
            &["run", "a", "--prompt", "x", "--prompt-ids", "1"],
            "either",
        ),
        (
            &["run", "a", "--prompt", "x", "--top-k", "0"],
            "--top-k must be 1 to 1024",
        ),
        (&["run", "a", "--prompt", "x", "--kv", "f8"], "f32, f16, q8"),
        (&["import", "a"], "-o OUT"),
    ];
    for (arguments, message) in cases {
        let answer = cultivar(&folder, arguments);
        assert_eq!((answer.exit, answer.out.as_str()), (2, ""), "{arguments:?}");
        assert!(
            answer.err.contains(message),
            "{arguments:?}: {}",
            answer.err
        );
    }
    let error = asked(&folder, 2, &["run", "--top-k", "x", "a", "--prompt", "y"]);
    assert_eq!(
        (text(&error, "schema"), text(&error, "kind")),
        ("cultivar.error.v1", "usage")
    );
    assert!(text(&error, "message").contains("--top-k"));
}

#[test]
fn help_and_version_are_one_object_if_asked() {
    let folder = folder("help-json");
    let plain = |arguments: &[&str]| cultivar(&folder, arguments).out;
    for (arguments, same) in [
        (&["--help", "--json"][..], &["--help"][..]),
        (&["--json", "--help"], &["--help"]),
        (&["-h", "--json"], &["--help"]),
        (&["help", "--json"], &["--help"]),
        (&["help", "run", "--json"], &["run", "--help"]),
        (&["run", "--help", "--json"], &["run", "--help"]),
        (&["run", "--json", "-h"], &["run", "--help"]),
        (&["--json", "run", "--help"], &["run", "--help"]),
    ] {
        let answer = cultivar(&folder, arguments);
        assert_eq!((answer.exit, answer.err.as_str()), (0, ""), "{arguments:?}");
        let object = answer.json();
        assert_eq!(text(&object, "schema"), "cultivar.help.v1");
        assert_eq!(text(&object, "text"), plain(same), "{arguments:?}");
    }
    for arguments in [["--version", "--json"], ["--json", "-V"]] {
        let answer = cultivar(&folder, &arguments);
        assert_eq!((answer.exit, answer.err.as_str()), (0, ""));
        let object = answer.json();
        assert_eq!(text(&object, "schema"), "cultivar.version.v1");
        let line = format!("cultivar {}\n", text(&object, "version"));
        assert_eq!(line, plain(&["--version"]));
    }
}

#[test]
fn every_refusal_to_verify_names_the_file() {
    let folder = folder("verify-names");
    for case in cultivar_testdata::hostile::hostile_models() {
        std::fs::write(folder.join("bad.slm"), &case.bytes).unwrap();
        let answer = cultivar(&folder, &["verify", "bad.slm", "--json"]);
        let object = answer.json();
        if answer.exit == 3 {
            let message = text(&object, "message");
            assert!(message.starts_with("bad.slm: "), "{message}");
            assert_eq!(message.matches("bad.slm").count(), 1, "{message}");
        } else {
            assert_eq!(answer.exit, 1, "{}", answer.out);
        }
    }
}

#[test]
fn inspect_and_verify_tell_what_a_package_holds() {
    let folder = folder_with_model("inspect", "q8_0");
    let card = asked(&folder, 0, &["inspect", "tiny.slm"]);
    assert_eq!(text(&card, "schema"), "cultivar.card.v1");
    assert_eq!(
        (text(&card, "kind"), text(&card, "name")),
        ("model", "tiny")
    );
    let tensors = card.get("tensors").unwrap().as_array().unwrap();
    assert_eq!(tensors.len(), 2 + 3 * 9);
    assert!(card.get("sections").unwrap().as_array().unwrap().len() >= 4);
    let identities = card.get("identities").unwrap();
    for name in [
        "content",
        "weights",
        "architecture",
        "tokenizer",
        "tensor_schema",
    ] {
        assert_eq!(text(identities, name).len(), 64, "{name}");
    }
    let shown = cultivar(&folder, &["inspect", "tiny.slm"]);
    assert_eq!(shown.exit, 0);
    assert!(shown.out.contains("tiny") && shown.out.contains(text(identities, "content")));

    let verified = asked(&folder, 0, &["verify", "tiny.slm"]);
    assert_eq!(verified.get("ok"), Some(&JsonValue::Bool(true)));
    let verified = verified.get("identities").unwrap();
    assert_eq!(text(verified, "content"), text(identities, "content"));
    assert_eq!(text(verified, "weights"), text(identities, "weights"));
}

#[test]
fn a_damaged_package_is_answered_with_no_and_every_difference() {
    let folder = folder_with_model("damaged", "f32");
    let good = std::fs::read(folder.join("tiny.slm")).unwrap();
    let card = asked(&folder, 0, &["inspect", "tiny.slm"]);
    let place = |idx: usize| {
        let tensor = &card.get("tensors").unwrap().as_array().unwrap()[idx];
        (
            tensor.get("offset").unwrap().as_u64().unwrap() as usize,
            text(tensor, "name").to_string(),
        )
    };
    let mut bad = good.clone();
    let ((first, first_name), (second, second_name)) = (place(0), place(5));
    bad[first] ^= 1;
    bad[second + 3] ^= 1;
    std::fs::write(folder.join("bad.slm"), &bad).unwrap();
    let answer = asked(&folder, 1, &["verify", "bad.slm"]);
    assert_eq!(answer.get("ok"), Some(&JsonValue::Bool(false)));
    let problems = answer.get("problems").unwrap().as_array().unwrap();
    assert_eq!(problems.len(), 2);
    assert!(problems[0].as_str().unwrap().contains(&first_name));
    assert!(problems[1].as_str().unwrap().contains(&second_name));
    // The head is whole, so it can be shown; the weights cannot be run.
    asked(&folder, 0, &["inspect", "bad.slm"]);
    let error = asked(&folder, 3, &["run", "bad.slm", "--prompt", "x"]);
    assert!(text(&error, "message").contains(&first_name));

    let mut bad = good.clone();
    bad[200] ^= 1;
    std::fs::write(folder.join("head.slm"), &bad).unwrap();
    asked(&folder, 1, &["verify", "head.slm"]);
    asked(&folder, 3, &["inspect", "head.slm"]);
}

#[test]
fn what_is_no_package_is_bad_input_for_every_command() {
    let folder = folder_with_model("no-package", "f32");
    let good = std::fs::read(folder.join("tiny.slm")).unwrap();
    std::fs::write(folder.join("short.slm"), &good[..good.len() - 1]).unwrap();
    // As an import that is killed leaves it: the head is written after the tensors.
    let mut headless = good.clone();
    headless[..128].fill(0);
    std::fs::write(folder.join("out.slm.1.part"), &headless).unwrap();
    std::fs::write(
        folder.join("text.txt"),
        "Once upon a time there was a file. ".repeat(9),
    )
    .unwrap();
    std::fs::write(folder.join("empty"), "").unwrap();
    std::fs::create_dir(folder.join("sub")).unwrap();
    for file in [
        "short.slm",
        "out.slm.1.part",
        "text.txt",
        "empty",
        "missing",
        "sub",
    ] {
        for arguments in [
            &["inspect", file][..],
            &["verify", file],
            &["run", file, "--prompt", "x"],
            &["logits", file, "--prompt-ids", "1"],
            &["tokenize", file, "--text", "x"],
            &["detokenize", file, "--ids", "1"],
        ] {
            let error = asked(&folder, 3, arguments);
            assert_eq!(text(&error, "kind"), "bad_input");
            assert!(
                text(&error, "message").starts_with(file),
                "{}",
                text(&error, "message")
            );
        }
    }
}

#[test]
fn a_run_is_the_same_however_it_is_asked_for() {
    let folder = folder_with_model("run", "q4_0");
    let base = [
        "run",
        "tiny.slm",
        "--prompt",
        "Hello",
        "--max-tokens",
        "12",
        "--ignore-stop",
    ];
    let run = asked(&folder, 0, &base);
    assert_eq!(text(&run, "schema"), "cultivar.run.v1");
    assert_eq!(ids(&run, "prompt_ids"), [256, 72, 101, 108, 108, 111]);
    assert_eq!(ids(&run, "output_ids").len(), 12);
    assert_eq!(text(&run, "stop_reason"), "max_tokens");
    assert_eq!(text(&run, "run_digest").len(), 64);
    let diagnostics = run.get("diagnostics").unwrap();
    assert_eq!(text(diagnostics, "schema"), "cultivar.diagnostics.v1");

    let same = |arguments: &[&str]| {
        let other = asked(&folder, 0, arguments);
        assert_eq!(
            ids(&other, "output_ids"),
            ids(&run, "output_ids"),
            "{arguments:?}"
        );
        assert_eq!(
            text(&other, "run_digest"),
            text(&run, "run_digest"),
            "{arguments:?}"
        );
        assert_eq!(text(&other, "text"), text(&run, "text"), "{arguments:?}");
    };
    same(&base);
    same(&[&base[..], &["--backend", "scalar"]].concat());
    let mut by_ids = base;
    (by_ids[2], by_ids[3]) = ("--prompt-ids", "256,72,101,108,108,111");
    same(&by_ids);

    let plain = cultivar(&folder, &base);
    assert_eq!(plain.exit, 0);
    assert_eq!(plain.out, format!("{}\n", text(&run, "text")));
    assert!(
        plain.err.contains(text(&run, "run_digest")),
        "{}",
        plain.err
    );
}

#[test]
fn a_seed_names_the_choices_and_the_context_ends_a_run() {
    let folder = folder_with_model("seed", "q4_0");
    let base = ["run", "tiny.slm", "--prompt", "Hello", "--ignore-stop"];
    let seeded = |seed: &str| {
        let flags = [
            "--temperature",
            "1",
            "--top-k",
            "50",
            "--top-p",
            "1",
            "--seed",
            seed,
        ];
        asked(&folder, 0, &[&base[..], &flags].concat())
    };
    let (one, again, two) = (seeded("1"), seeded("1"), seeded("2"));
    assert_eq!(text(&one, "run_digest"), text(&again, "run_digest"));
    assert_ne!(text(&one, "run_digest"), text(&two, "run_digest"));
    assert_ne!(ids(&one, "output_ids"), ids(&two, "output_ids"));

    let full = [
        "run",
        "tiny.slm",
        "--prompt",
        "Hello",
        "--ignore-stop",
        "--max-tokens",
        "9999",
    ];
    let full = asked(&folder, 0, &full);
    assert_eq!(text(&full, "stop_reason"), "context_full");
    let long = "x".repeat(200);
    asked(&folder, 2, &["run", "tiny.slm", "--prompt", &long]);
    asked(&folder, 2, &["run", "tiny.slm", "--prompt-ids", "258"]);
    asked(
        &folder,
        2,
        &[
            "run",
            "tiny.slm",
            "--prompt",
            "x",
            "--context-len",
            "100000",
        ],
    );
}

#[test]
fn logits_agree_between_top_all_and_run() {
    let folder = folder_with_model("logits", "q8_0");
    let prompt: Vec<String> = (0..70).map(|n| (n * 3 % 256).to_string()).collect();
    let prompt = prompt.join(",");
    let base = ["logits", "tiny.slm", "--prompt-ids", prompt.as_str()];
    let pairs = |value: &JsonValue| -> Vec<(u32, f32)> {
        let list = value.get("top").unwrap().as_array().unwrap();
        let pair = |pair: &JsonValue| {
            let pair = pair.as_array().unwrap();
            (pair[0].as_u32().unwrap(), pair[1].as_f64().unwrap() as f32)
        };
        list.iter().map(pair).collect()
    };
    let top = pairs(&asked(&folder, 0, &base));
    assert_eq!(top.len(), 10);
    let two = pairs(&asked(&folder, 0, &[&base[..], &["--top", "2"]].concat()));
    assert_eq!(two, top[..2]);

    let all = asked(
        &folder,
        0,
        &[&base[..], &["--all", "-o", "all.f32"]].concat(),
    );
    assert_eq!(all.get("n_prompt").unwrap().as_u64(), Some(70));
    assert_eq!(all.get("vocab_size").unwrap().as_u64(), Some(258));
    let bytes = std::fs::read(folder.join("all.f32")).unwrap();
    assert_eq!(bytes.len(), 70 * 258 * 4);
    assert_eq!(files(&folder), ["all.f32", "tiny.slm"], "no part is left");
    let floats = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes));
    let last: Vec<f32> = floats.skip(69 * 258).collect();
    for (id, logit) in top {
        assert_eq!(last[id as usize].to_bits(), logit.to_bits());
    }
    let next = asked(
        &folder,
        0,
        &[
            "run",
            "tiny.slm",
            "--prompt-ids",
            &prompt,
            "--max-tokens",
            "1",
        ],
    );
    assert_eq!(ids(&next, "output_ids"), [two[0].0]);

    for flags in [
        &["--all"][..],
        &["-o", "x"],
        &["--all", "-o", "x", "--top", "3"],
    ] {
        asked(&folder, 2, &[&base[..], flags].concat());
    }
    asked(&folder, 2, &["logits", "tiny.slm", "--prompt-ids", "999"]);
    asked(
        &folder,
        2,
        &[&base[..], &["--all", "-o", "no/such/folder"]].concat(),
    );
    assert_eq!(files(&folder), ["all.f32", "tiny.slm"]);
}

#[test]
fn text_and_ids_there_and_back() {
    let folder = folder_with_model("text", "f32");
    let tokenize = |flags: &[&str]| {
        let arguments = [&["tokenize", "tiny.slm"], flags].concat();
        ids(&asked(&folder, 0, &arguments), "ids")
    };
    assert_eq!(tokenize(&["--text", "a</s>"]), [256, 97, 60, 47, 115, 62]);
    assert_eq!(
        tokenize(&["--text", "a</s>", "--special", "--no-bos"]),
        [97, 257]
    );
    assert_eq!(tokenize(&["--text", ""]), [256]);
    std::fs::write(folder.join("t.txt"), "é\n").unwrap();
    assert_eq!(tokenize(&["--file", "t.txt", "--no-bos"]), [195, 169, 10]);
    std::fs::write(folder.join("bad.txt"), b"ab\xff").unwrap();
    let error = asked(&folder, 3, &["tokenize", "tiny.slm", "--file", "bad.txt"]);
    assert!(text(&error, "message").contains("byte 2"));
    asked(&folder, 2, &["tokenize", "tiny.slm"]);
    asked(
        &folder,
        2,
        &["tokenize", "tiny.slm", "--text", "a", "--file", "t.txt"],
    );

    let back = asked(
        &folder,
        0,
        &["detokenize", "tiny.slm", "--ids", "256,195,169, 10,240"],
    );
    assert_eq!(text(&back, "text"), "é\n\u{FFFD}");
    asked(&folder, 2, &["detokenize", "tiny.slm", "--ids", "258"]);
    asked(&folder, 2, &["detokenize", "tiny.slm", "--ids", ""]);
    asked(&folder, 2, &["detokenize", "tiny.slm"]);
    let shown = cultivar(&folder, &["detokenize", "tiny.slm", "--ids", "104,105"]);
    assert_eq!(shown.out, "hi\n");
}

#[test]
fn a_failed_import_leaves_nothing_behind() {
    let folder = folder("import-fails");
    std::fs::write(folder.join("readme.md"), "Not a model.").unwrap();
    let import = ["import", "readme.md", "-o", "out.slm"];
    let error = asked(&folder, 3, &import);
    assert!(text(&error, "message").starts_with("readme.md"));
    asked(&folder, 3, &["import", ".", "-o", "out.slm"]);
    asked(&folder, 3, &["import", "missing", "-o", "out.slm"]);
    asked(&folder, 2, &["import", "readme.md", "-o", "readme.md"]);
    asked(&folder, 2, &["import", "readme.md", "-o", "."]);
    let error = asked(
        &folder,
        2,
        &[&import[..], &["--requantize", "f16"]].concat(),
    );
    assert!(text(&error, "message").contains("use q8_0 or nearest"));
    let error = asked(&folder, 2, &[&import[..], &["--format", "q9"]].concat());
    assert!(text(&error, "message").contains("no format q9"));
    assert_eq!(files(&folder), ["readme.md"]);
    // An older file stays as it is.
    std::fs::write(folder.join("out.slm"), "older").unwrap();
    asked(&folder, 3, &import);
    assert_eq!(std::fs::read(folder.join("out.slm")).unwrap(), b"older");
}

#[test]
fn adapters_are_shown_and_verified_but_not_run() {
    let folder = folder("adapter");
    let adapter = cultivar_testdata::hostile_adapters::bound_adapter();
    std::fs::write(folder.join("a.sla"), adapter.build()).unwrap();
    let card = asked(&folder, 0, &["inspect", "a.sla"]);
    assert_eq!(text(&card, "kind"), "adapter");
    assert!(!card.get("targets").unwrap().as_array().unwrap().is_empty());
    assert!(
        cultivar(&folder, &["inspect", "a.sla"])
            .out
            .contains("adapter")
    );
    asked(&folder, 0, &["verify", "a.sla"]);
    let error = asked(&folder, 3, &["run", "a.sla", "--prompt", "x"]);
    assert!(text(&error, "message").contains("model or adapter"));
}

#[test]
fn sampling_flags_are_settings_of_the_same_name() {
    let folder = folder_with_model("sampling_flags", "q8_0");
    let base = [
        "run",
        "tiny.slm",
        "--prompt-ids",
        "256,65,66",
        "--ignore-stop",
        "--max-tokens",
    ];
    let run = |n: &str, more: &[&str]| asked(&folder, 0, &[&base[..], &[n], more].concat());
    let flags = [
        "--temperature=0.8",
        "--min-p=0.05",
        "--typical-p=0.9",
        "--repetition-penalty=1.25",
        "--frequency-penalty=-0.5",
        "--presence-penalty=0.25",
        "--penalty-window=9",
        "--logit-bias={\"70\": 2.5}",
        "--banned-tokens=[72, 71]",
        "--stop-tokens=[257]",
        "--random-stream=prompt",
        "--stop-strings=never to be met",
    ];
    let report = run("12", &flags);
    let settings = report.get("settings").unwrap();
    let number = |key: &str| settings.get(key).unwrap().as_f64().unwrap();
    assert_eq!((number("min_p") * 1000.0).round(), 50.0);
    assert_eq!(number("frequency_penalty"), -0.5);
    assert_eq!(number("penalty_window"), 9.0);
    assert_eq!(ids(settings, "banned_tokens"), [71, 72]);
    assert_eq!(text(settings, "random_stream"), "prompt");
    let output = ids(&report, "output_ids");
    let banned = |id: &u32| [71, 72].contains(id);
    assert!(output.len() == 12 && !output.iter().any(banned));
    // A stop token that is plain text: in the ids, not in the text.
    let plain = ids(&run("12", &[]), "output_ids");
    let stop = format!("--stop-tokens=[{}]", plain[3]);
    let report = run("12", &[&stop]);
    assert_eq!(text(&report, "stop_reason"), "stop_token");
    let n = ids(&report, "output_ids").len();
    assert_eq!(ids(&report, "output_ids"), plain[..n]);
    for (flag, message) in [
        ("--min-p=2", "--min-p must be 0 to 1"),
        (
            "--logit-bias=7",
            "--logit-bias must be an object of token ids and numbers",
        ),
        (
            "--banned-tokens=x",
            "--banned-tokens must be a list of token ids",
        ),
        (
            "--stop-tokens=[258]",
            "--stop-tokens names a token outside the vocabulary",
        ),
    ] {
        let answer = cultivar(&folder, &[&base[..], &["4", flag]].concat());
        assert_eq!(answer.exit, 2);
        assert!(answer.err.contains(message), "{}", answer.err);
    }
}

#[test]
fn a_recorded_run_replays_to_the_same_bits_or_names_the_step() {
    let folder = folder_with_model("replays", "q8_0");
    let run = |more: &[&str]| {
        let base = [
            "run",
            "tiny.slm",
            "--prompt",
            "a tale",
            "--max-tokens",
            "12",
        ];
        let sampled = ["--temperature", "0.9", "--seed", "3", "--ignore-stop"];
        asked(&folder, 0, &[&base[..], &sampled, more].concat())
    };
    let report = run(&["--record", "run.json", "--record-steps"]);
    let replayed = asked(&folder, 0, &["replay", "run.json", "--model", "tiny.slm"]);
    assert_eq!(text(&replayed, "run_digest"), text(&report, "run_digest"));
    let lookup = run(&["--prompt-lookup", "4"]);
    assert_eq!(text(&lookup, "run_digest"), text(&report, "run_digest"));
    let answer = cultivar(
        &folder,
        &["replay", "run.json", "--model=tiny.slm", "--backend=scalar"],
    );
    assert_eq!(answer.exit, 0);
    assert!(
        answer.out.starts_with("same bits: run digest "),
        "{}",
        answer.out
    );

    let record = std::fs::read_to_string(folder.join("run.json")).unwrap();
    let third = ids(&report, "output_ids")[2];
    let first = ids(&report, "output_ids")
        .iter()
        .map(u32::to_string)
        .collect::<Vec<_>>();
    let mut changed = first.clone();
    changed[2] = (third ^ 1).to_string();
    let changed = record.replace(&first.join(","), &changed.join(","));
    std::fs::write(folder.join("changed.json"), changed).unwrap();
    let answer = asked(
        &folder,
        1,
        &["replay", "changed.json", "--model", "tiny.slm"],
    );
    let difference = answer.get("first_difference").unwrap();
    assert_eq!(difference.get("step").unwrap().as_u64(), Some(2));
    assert_eq!(difference.get("token").unwrap().as_u32(), Some(third));
    let answer = cultivar(&folder, &["replay", "changed.json", "--model", "tiny.slm"]);
    assert_eq!(answer.exit, 1);
    assert!(
        answer.out.starts_with("step 2 differs: token "),
        "{}",
        answer.out
    );

    run(&["--record", "secret.json", "--redact-prompt"]);
    let answer = cultivar(&folder, &["replay", "secret.json", "--model", "tiny.slm"]);
    assert!(
        answer.exit == 3 && answer.err.contains("leaves out prompt 1"),
        "{}",
        answer.err
    );
    let replay = ["replay", "secret.json", "--model", "tiny.slm", "--prompt"];
    asked(&folder, 0, &[&replay[..], &["a tale"]].concat());
    assert_eq!(
        cultivar(&folder, &[&replay[..], &["a tail"]].concat()).exit,
        3
    );
    assert_eq!(cultivar(&folder, &["replay", "run.json"]).exit, 2);
    std::fs::write(folder.join("no.json"), "{}").unwrap();
    assert_eq!(
        cultivar(&folder, &["replay", "no.json", "--model", "tiny.slm"]).exit,
        3
    );
}

#[test]
fn reports_tell_memory_pages_energy_and_profile_on_request() {
    let folder = folder_with_model("figures", "q8_0");
    let flags = [
        "--max-tokens=8",
        "--watts=20",
        "--profile",
        "--kv-budget-mib=8",
    ];
    let base = ["run", "tiny.slm", "--prompt", "a tale of two figures"];
    let report = asked(
        &folder,
        0,
        &[&base[..], &flags, &["--without-text"]].concat(),
    );
    assert!(report.get("text").is_none() && report.get("output_ids").is_none());
    let diagnostics = report.get("diagnostics").unwrap();
    let part = |key: &str| diagnostics.get(key).unwrap();
    assert!(
        part("profile")
            .get("attention")
            .unwrap()
            .get("ms")
            .is_some()
    );
    assert_eq!(
        part("energy_estimate")
            .get("stated_watts")
            .unwrap()
            .as_f64(),
        Some(20.0)
    );
    assert!(part("memory").get("kv_peak_bytes").unwrap().as_u64() > Some(0));
    assert_eq!(part("n_pages_hit").as_u64(), Some(0));
    let answer = cultivar(&folder, &[&base[..], &["--kv-budget-mib=0"]].concat());
    assert_eq!(answer.exit, 4);
    assert!(answer.err.contains("budget of 0"), "{}", answer.err);
    assert_eq!(
        cultivar(&folder, &[&base[..], &["--watts=0"]].concat()).exit,
        2
    );
}
