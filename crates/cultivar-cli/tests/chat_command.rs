//! `cultivar chat`: messages in a format, answers that are remembered, the same bits as one prompt.

mod command;

use command::{asked, cultivar, folder_with_model, ids, text};
use cultivar_core::json::JsonValue;

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
    let long = "word ".repeat(400);
    let answer = cultivar(&folder, &[&MODEL[..], &["--message", &long]].concat());
    assert_eq!(answer.exit, 2, "{}", answer.err);
    assert!(
        answer.err.contains("tokens too long for the context"),
        "{}",
        answer.err
    );
}
