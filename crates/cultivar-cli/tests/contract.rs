//! The contract that scripts rely on, whatever the command: help, usage, exit codes, one JSON
//! object.

mod command;

use command::{asked, cultivar, folder, folder_with_model, text};

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
