//! `cultivar chat`: messages in a format, answers that are remembered, the same bits as one prompt.

mod command;

use command::{asked, cultivar, files, folder_with_model, ids, text};
use cultivar_core::json::{self, JsonValue};
use cultivar_testdata::adapters::{DeltaSpec, adapter_for};
use cultivar_testdata::models::ModelSpec;

const MODEL: [&str; 6] = ["chat", "tiny.slm", "--max-tokens", "6", "--seed", "4"];

fn messages(conversation: &JsonValue) -> &[JsonValue] {
    conversation.get("messages").unwrap().as_array().unwrap()
}

#[test]
fn a_conversation_is_one_object_and_each_answer_is_remembered() {
    let folder = folder_with_model("chat", "q8_0");
    let said = [
        "--system",
        "Be kind.",
        "--message",
        "Hello",
        "--message",
        "And?",
    ];
    let chat = asked(&folder, 0, &[&MODEL[..], &said].concat());
    assert_eq!(text(&chat, "format"), "plain");
    assert_eq!(chat.get("is_recognised").unwrap().as_bool(), Some(false));
    let said: Vec<(&str, &str)> = messages(&chat)
        .iter()
        .map(|one| (text(one, "role"), text(one, "content")))
        .collect();
    let roles = ["system", "user", "assistant", "user", "assistant"];
    assert!(said.iter().map(|(role, _)| *role).eq(roles));
    assert_eq!((said[1].1, said[3].1), ("Hello", "And?"));
    // The first answer is what a run gives of the prompt written out.
    let prompt = "Be kind.\n\nUser: Hello\nAssistant:";
    let run = [
        "run",
        "tiny.slm",
        "--max-tokens",
        "6",
        "--seed",
        "4",
        "--prompt",
        prompt,
    ];
    let stop = ["--stop-strings", "\nUser:"];
    let run = asked(&folder, 0, &[&run[..], &stop].concat());
    assert_eq!(text(&run, "text").trim(), said[2].1);
    let first = &messages(&chat)[2];
    let n_tokens = first.get("n_tokens").unwrap().as_u64();
    assert_eq!(n_tokens, Some(ids(&run, "output_ids").len() as u64));
    let drafts = [
        "--system",
        "Be kind.",
        "--message",
        "Hello",
        "--prompt-lookup",
        "4",
    ];
    let again = asked(&folder, 0, &[&MODEL[..], &drafts].concat());
    let digest = |one: &JsonValue| text(one, "run_digest").to_string();
    assert_eq!(digest(&messages(&again)[2]), digest(first));
}

#[test]
fn people_read_the_answers_and_which_format_was_used() {
    let folder = folder_with_model("chat_text", "q8_0");
    let answer = cultivar(&folder, &[&MODEL[..], &["--message", "Hello"]].concat());
    assert_eq!(answer.exit, 0, "{}", answer.err);
    assert!(answer.out.ends_with('\n'));
    assert!(
        answer.err.contains("the plain one is used"),
        "{}",
        answer.err
    );
    // Without messages, and nothing on standard input, there is nothing to say.
    let silent = asked(&folder, 0, &MODEL);
    assert!(messages(&silent).is_empty());
}

#[test]
fn a_conversation_replays_and_what_does_not_fit_is_refused() {
    let folder = folder_with_model("chat_record", "q8_0");
    let said = [
        "--message",
        "Hello",
        "--message",
        "And?",
        "--record",
        "chat.json",
    ];
    asked(&folder, 0, &[&MODEL[..], &said].concat());
    let replayed = asked(&folder, 0, &["replay", "chat.json", "--model", "tiny.slm"]);
    assert_eq!(replayed.get("same_bits").unwrap().as_bool(), Some(true));
    // With digests of the steps, and without what was said: its ids, turn by turn, are enough.
    let record = |name: &str| json::parse(&std::fs::read(folder.join(name)).unwrap()).unwrap();
    let whole = record("chat.json");
    assert!(whole.get("step_digests").is_none());
    let redacted = ["--record-steps", "--redact-prompt"];
    asked(&folder, 0, &[&MODEL[..], &said, &redacted].concat());
    let secret = record("chat.json");
    assert!(secret.get("step_digests").unwrap().as_array().is_some());
    let turns = |record: &JsonValue| record.get("turns").unwrap().as_array().unwrap().to_vec();
    let secrets = turns(&secret);
    assert!(secrets.len() == 2 && secrets.iter().all(|one| one.get("prompt_ids").is_none()));
    let given: Vec<String> = turns(&whole)
        .iter()
        .map(|turn| {
            let prompt: Vec<String> = ids(turn, "prompt_ids").iter().map(u32::to_string).collect();
            format!("--prompt-ids={}", prompt.join(","))
        })
        .collect();
    let replay = ["replay", "chat.json", "--model=tiny.slm"];
    assert_eq!(cultivar(&folder, &replay).exit, 3);
    let replayed = [&replay[..], &[&*given[0], &*given[1]]].concat();
    asked(&folder, 0, &replayed);

    let long = "word ".repeat(400);
    let answer = cultivar(&folder, &[&MODEL[..], &["--message", &long]].concat());
    assert_eq!(answer.exit, 2, "{}", answer.err);
    assert!(
        answer.err.contains("tokens too long for the context"),
        "{}",
        answer.err
    );
}

#[test]
fn a_conversation_with_adapters_is_a_run_with_them_and_is_replayed() {
    let folder = folder_with_model("chat_adapters", "q8_0");
    let model = ModelSpec::tiny("q8_0").build();
    for (name, seed) in [("a.sla", 1), ("b.sla", 2)] {
        let adapter = adapter_for(&model, seed, DeltaSpec::LowRank(4, "f32"), |_| true);
        std::fs::write(folder.join(name), adapter).unwrap();
    }
    let said = ["--message", "Hello", "--message", "And?"];
    let mix = ["--adapter", "a.sla=3", "--adapter", "b.sla=-1.5"];
    let chat = |adapters: &[&str], more: &[&str]| {
        asked(&folder, 0, &[&MODEL[..], &said, adapters, more].concat())
    };
    let digests = |chat: &JsonValue| {
        let answers = messages(chat).iter().skip(1).step_by(2);
        let digest = |one: &JsonValue| text(one, "run_digest").to_string();
        answers.map(digest).collect::<Vec<String>>()
    };
    let mixed = chat(&mix, &["--record", "chat.json"]);
    // The first answer is that of a run with the same adapters.
    let run = ["run", "tiny.slm", "--max-tokens", "6", "--seed", "4"];
    let prompt = [
        "--prompt",
        "User: Hello\nAssistant:",
        "--stop-strings",
        "\nUser:",
    ];
    let run = asked(&folder, 0, &[&run[..], &prompt, &mix].concat());
    assert_eq!(
        text(&run, "text").trim(),
        text(&messages(&mixed)[1], "content")
    );
    assert_eq!(digests(&mixed)[0], text(&run, "run_digest"));
    // They count: without them, and in another order, it is another conversation.
    assert_ne!(digests(&chat(&[], &[])), digests(&mixed));
    let other = ["--adapter", "b.sla=-1.5", "--adapter", "a.sla=3"];
    assert_ne!(digests(&chat(&other, &[])), digests(&mixed));
    assert_eq!(digests(&chat(&["--adapter", "a.sla=0"], &[])).len(), 2);
    let replay = ["replay", "chat.json", "--model", "tiny.slm"];
    let replayed = asked(&folder, 0, &[&replay[..], &mix].concat());
    assert_eq!(replayed.get("same_bits").unwrap().as_bool(), Some(true));
    // What cannot be used is refused before anything is said.
    let refused = cultivar(
        &folder,
        &[&MODEL[..], &said, &["--adapter", "none.sla"]].concat(),
    );
    assert!(
        refused.exit != 0 && refused.out.is_empty(),
        "{}",
        refused.out
    );
    assert!(refused.err.contains("none.sla"), "{}", refused.err);
    assert_eq!(files(&folder), ["a.sla", "b.sla", "chat.json", "tiny.slm"]);
}
