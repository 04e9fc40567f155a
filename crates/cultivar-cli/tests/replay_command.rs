//! `cultivar run --record` and `cultivar replay`: the same bits, or the first step that differs.

mod command;

use command::{asked, cultivar, folder_with_model, ids, text};

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
fn prompts_that_were_left_out_of_several_turns_are_given_in_their_order() {
    let folder = folder_with_model("replays_turns", "q8_0");
    let model = ["run", "tiny.slm"];
    let first = ["--prompt=A tale", "--seed=5", "--snapshot=one.snapshot"];
    let settings = ["--temperature=0.8", "--max-tokens=9", "--ignore-stop"];
    asked(&folder, 0, &[&model[..], &first, &settings].concat());
    let second = ["--prompt", " and then", "--resume", "one.snapshot"];
    let record = ["--record=two.json", "--redact-prompt"];
    let report = asked(&folder, 0, &[&model[..], &second, &record].concat());

    let replay = |more: &[&str]| {
        let base = ["replay", "two.json", "--model=tiny.slm"];
        cultivar(&folder, &[&base[..], more].concat())
    };
    let same = format!("same bits: run digest {}\n", text(&report, "run_digest"));
    let prompt_ids: Vec<String> = ids(&report, "prompt_ids")
        .iter()
        .map(u32::to_string)
        .collect();
    let prompt_ids = prompt_ids.join(",");
    let by_ids = format!("--prompt-ids={prompt_ids}");
    for second in ["--prompt= and then", &*by_ids] {
        let answer = replay(&["--prompt=A tale", second]);
        assert_eq!((answer.exit, answer.out.as_str()), (0, &*same), "{second}");
    }
    for (prompts, exit, says) in [
        (&[][..], 3, "leaves out prompt 1"),
        (&["--prompt=A tale"], 3, "leaves out prompt 2"),
        (&[&*by_ids, "--prompt=A tale"], 3, "leaves out prompt 1"),
        (
            &["--prompt=A tale", &*by_ids, "--prompt=More"],
            2,
            "leaves out 2 prompts, 3 are given",
        ),
        (
            &["--prompt=A tale", "--prompt-ids=1,x"],
            2,
            "\"x\" is not a token id",
        ),
    ] {
        let answer = replay(prompts);
        assert_eq!((answer.exit, &*answer.out), (exit, ""), "{}", answer.err);
        assert!(answer.err.contains(says), "{prompts:?}: {}", answer.err);
    }
    // Elsewhere a prompt is still given once.
    let twice = cultivar(
        &folder,
        &[&model[..], &["--prompt=A", "--prompt=B"]].concat(),
    );
    assert_eq!(twice.exit, 2);
    assert!(
        twice.err.contains("--prompt is given twice"),
        "{}",
        twice.err
    );
}
