//! `cultivar run`: the same answers from every way of asking, settings, figures on request.

mod command;

use command::{asked, cultivar, folder_with_model, ids, text};
use cultivar_core::json::JsonValue;
use cultivar_testdata::adapters::{DeltaSpec, adapter_for};
use cultivar_testdata::models::ModelSpec;

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
    assert!(part("profile").get("attention_ms").is_some());
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

#[test]
fn log_probabilities_are_told_on_request() {
    let folder = folder_with_model("logprobs", "q8_0");
    let run = ["run", "tiny.slm", "--prompt", "a tale", "--max-tokens", "5"];
    let plain = asked(&folder, 0, &run);
    assert!(plain.get("logprobs").is_none());
    let report = asked(&folder, 0, &[&run[..], &["--logprobs", "3"]].concat());
    assert_eq!(ids(&report, "output_ids"), ids(&plain, "output_ids"));
    let tokens = report.get("logprobs").unwrap().as_array().unwrap();
    let own: Vec<u32> = tokens
        .iter()
        .map(|token| token.get("id").unwrap().as_u32().unwrap())
        .collect();
    assert_eq!(own, ids(&report, "output_ids"));
    for token in tokens {
        let value = |one: &JsonValue| one.get("logprob").unwrap().as_f64().unwrap();
        let top = token.get("top").unwrap().as_array().unwrap();
        assert_eq!(top.len(), 3);
        // Greedy: the chosen token is the likeliest.
        assert_eq!(value(token), value(&top[0]));
        assert!(value(&top[0]) >= value(&top[2]) && value(token) < 0.0);
        text(token, "text");
    }
    let answer = cultivar(&folder, &[&run[..], &["--logprobs", "2"]].concat());
    assert_eq!(answer.err.lines().filter(|l| l.contains('|')).count(), 5);
    let refused = cultivar(&folder, &[&run[..], &["--logprobs", "21"]].concat());
    assert_eq!(refused.exit, 2, "{}", refused.err);
    assert!(
        refused.err.contains("logprobs must be 0 to 20"),
        "{}",
        refused.err
    );
}

#[test]
fn a_snapshot_goes_on_in_another_process_and_nowhere_else() {
    let folder = folder_with_model("snapshot", "q8_0");
    let first = [
        "run",
        "tiny.slm",
        "--prompt",
        "A tale",
        "--max-tokens=40",
        "--temperature=0.8",
        "--ignore-stop",
        "--snapshot=one.snapshot",
    ];
    asked(&folder, 0, &first);
    let next = ["--prompt", " and then", "--resume", "one.snapshot"];
    let record = ["--record=two.json", "--record-steps"];
    let second = asked(
        &folder,
        0,
        &[&["run", "tiny.slm"][..], &next, &record].concat(),
    );
    assert_eq!(ids(&second, "prompt_ids")[..2], [32, 97]);
    assert_eq!(ids(&second, "output_ids").len(), 40);
    // Both turns, computed by one session, have the same bits.
    let replayed = cultivar(&folder, &["replay", "two.json", "--model", "tiny.slm"]);
    assert_eq!(replayed.exit, 0, "{}", replayed.err);
    let digest = text(&second, "run_digest");
    assert!(replayed.out.contains(digest), "{}", replayed.out);

    let flags = [&["run", "tiny.slm", "--seed=1"][..], &next].concat();
    let answer = cultivar(&folder, &flags);
    assert_eq!(answer.exit, 2);
    assert!(answer.err.contains("--seed is what"), "{}", answer.err);
    let other = folder_with_model("snapshot-other", "q4_0");
    let bytes = std::fs::read(folder.join("one.snapshot")).unwrap();
    std::fs::write(other.join("one.snapshot"), &bytes).unwrap();
    let of_other = cultivar(&other, &[&["run", "tiny.slm"][..], &next].concat());
    std::fs::write(folder.join("one.snapshot"), &bytes[..bytes.len() - 1]).unwrap();
    let cut = cultivar(&folder, &[&["run", "tiny.slm"][..], &next].concat());
    for (answer, word) in [(of_other, "snapshot"), (cut, "snapshot")] {
        assert_eq!(answer.exit, 3, "{}", answer.err);
        assert!(
            answer.err.contains("one.snapshot: ") && answer.err.contains(word),
            "{}",
            answer.err
        );
    }
}

#[test]
fn choices_that_fell_back_to_greedy_are_said_to_people_too() {
    let folder = folder_with_model("fallbacks", "q8_0");
    let model = ModelSpec::tiny("q8_0").build();
    for (file, name) in [("a.sla", "final_norm"), ("b.sla", "token_embedding")] {
        let adapter = adapter_for(&model, 1, DeltaSpec::Raw("f32"), |it| it == name);
        std::fs::write(folder.join(file), adapter).unwrap();
    }
    let sampled = [
        "tiny.slm",
        "--temperature=1",
        "--max-tokens=5",
        "--ignore-stop",
    ];
    // Weights out of all proportion: the logits' sums are no finite numbers.
    let broken = ["--adapter", "a.sla=1e38", "--adapter", "b.sla=1e10"];
    let run = [&["run"][..], &sampled, &["--prompt=A tale"]].concat();
    let chat = [&["chat"][..], &sampled, &["--message=Hello"]].concat();
    let says = "warning: 5 of the choices fell back to the likeliest token";
    for command in [&run, &chat] {
        let answer = cultivar(&folder, &[&command[..], &broken].concat());
        assert_eq!(answer.exit, 0, "{}", answer.err);
        let lines = answer.err.lines().filter(|line| line.starts_with(says));
        assert_eq!(lines.count(), 1, "{}", answer.err);
        let sound = cultivar(&folder, command);
        assert!(!sound.err.contains("fell back"), "{}", sound.err);
    }
    // The JSON of a run has it among its warnings.
    let answer = cultivar(&folder, &[&run[..], &broken, &["--json"]].concat());
    assert!(
        answer.out.contains("sampler_fell_back_to_greedy"),
        "{}",
        answer.out
    );
    assert!(!answer.err.contains("fell back"), "{}", answer.err);
}
