//! Splits text into the words that merging never crosses: named steps, each cutting the pieces of
//! the step before it. What a regular expression says in other tools is written out here by hand.
//!
//! Every rule decides from a bounded number of characters, or from a run of one kind that it then
//! consumes: each step looks at each character a bounded number of times, whatever the text.
//! A step names the expression it equals; `isolated` means that what lies between matches is kept
//! as pieces too. Sources: `pre_tokenizer` of the models' tokenizer.json, and llama.cpp's
//! `llm_tokenizer_bpe` for the names that GGUF files use.

use super::error::TokenizerError;
use super::unicode::{CharKind, Classes};
use super::word_rules;
use alloc::string::String;
use alloc::vec::Vec;

/// One way to cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// GPT-2's words.
    Gpt2,
    /// Llama 3's words, digits in groups of at most so many.
    Llama3 { digits_max: usize },
    /// `\s?[members]{1,len_max}`, isolated; without `\s?` unless `takes_space`.
    Runs {
        members: Members,
        takes_space: bool,
        len_max: usize,
    },
    /// `\s+$`, isolated.
    TrailingSpace,
    /// `[0-9][0-9][0-9]`, isolated.
    DigitTriples,
    /// Every space begins a piece.
    SpaceWords,
}

/// What a run is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Members {
    Letters,
    Numbers,
    Punctuation,
    /// Punctuation and all of ASCII's symbols.
    AsciiSymbols,
    /// The same without the backtick.
    AsciiSymbolsButBacktick,
    LineBreaks,
    /// DeepSeek's letters that have case.
    CasedLetters,
    /// DeepSeek's punctuation.
    DeepSeekPunctuation,
    /// DeepSeek's Chinese, Japanese and Korean, and what its range from U+0800 holds besides.
    Cjk,
}

const fn runs(members: Members) -> Step {
    Step::Runs {
        members,
        takes_space: false,
        len_max: usize::MAX,
    }
}

const fn spaced_runs(members: Members) -> Step {
    Step::Runs {
        members,
        takes_space: true,
        len_max: usize::MAX,
    }
}

const fn singles(members: Members) -> Step {
    Step::Runs {
        members,
        takes_space: false,
        len_max: 1,
    }
}

/// Every step by the name that records use, ascending. `docs/package-format.md` repeats the table.
const STEPS: &[(&str, Step)] = &[
    ("ascii_symbol_runs", runs(Members::AsciiSymbols)),
    (
        "ascii_symbol_runs_but_backtick",
        runs(Members::AsciiSymbolsButBacktick),
    ),
    ("ascii_symbols", singles(Members::AsciiSymbols)),
    ("cjk_runs", runs(Members::Cjk)),
    ("deepseek_letters", spaced_runs(Members::CasedLetters)),
    (
        "deepseek_punctuation",
        spaced_runs(Members::DeepSeekPunctuation),
    ),
    ("digit_triples", Step::DigitTriples),
    ("gpt2_words", Step::Gpt2),
    ("letter_words", spaced_runs(Members::Letters)),
    ("line_breaks", singles(Members::LineBreaks)),
    ("llama3_words", Step::Llama3 { digits_max: 3 }),
    ("number_runs", runs(Members::Numbers)),
    ("numbers", singles(Members::Numbers)),
    ("punctuation_words", spaced_runs(Members::Punctuation)),
    ("qwen2_words", Step::Llama3 { digits_max: 1 }),
    ("space_words", Step::SpaceWords),
    ("trailing_space", Step::TrailingSpace),
];

/// Whether this version knows a pre-tokenizer step of that name.
pub fn is_pre_tokenizer_step(name: &str) -> bool {
    step_of(name).is_some()
}

fn step_of(name: &str) -> Option<Step> {
    let row = STEPS.iter().find(|(known, _)| *known == name);
    row.map(|(_, step)| *step)
}

/// The steps of one tokenizer, ready to use.
#[derive(Clone, Debug)]
pub(super) struct PreTokenizer {
    steps: Vec<Step>,
    classes: Classes,
}

impl PreTokenizer {
    /// The steps of these names; `None` if one is unknown.
    pub(super) fn new(names: &[String]) -> Option<PreTokenizer> {
        let steps: Option<Vec<Step>> = names.iter().map(|name| step_of(name)).collect();
        Some(PreTokenizer {
            steps: steps?,
            classes: Classes::new(),
        })
    }

    /// Gives every piece of `text`, in order; together they are the text.
    pub(super) fn split<'a>(
        &self,
        text: &'a str,
        emit: &mut dyn FnMut(&'a str) -> Result<(), TokenizerError>,
    ) -> Result<(), TokenizerError> {
        self.split_by(&self.steps, text, emit)
    }

    /// Depth of recursion is the number of steps, which records limit to 64.
    fn split_by<'a>(
        &self,
        steps: &[Step],
        text: &'a str,
        emit: &mut dyn FnMut(&'a str) -> Result<(), TokenizerError>,
    ) -> Result<(), TokenizerError> {
        let Some((step, later)) = steps.split_first() else {
            return emit(text);
        };
        let mut rest = text;
        while !rest.is_empty() {
            let end = self.piece_end(*step, rest);
            debug_assert!(end > 0 && rest.is_char_boundary(end));
            let (piece, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            self.split_by(later, piece, emit)?;
            rest = after;
        }
        Ok(())
    }

    /// Where the first piece of a text that is not empty ends, in bytes.
    fn piece_end(&self, step: Step, text: &str) -> usize {
        match step {
            Step::Gpt2 => word_rules::gpt2(&self.classes, text),
            Step::Llama3 { digits_max } => word_rules::llama3(&self.classes, text, digits_max),
            Step::Runs {
                members,
                takes_space,
                len_max,
            } => self.run_end(members, takes_space, len_max, text),
            Step::TrailingSpace => match text.trim_end().len() {
                0 => text.len(),
                end => end,
            },
            Step::DigitTriples => triple_end(text.as_bytes()),
            Step::SpaceWords => {
                let rest = text.as_bytes().get(1..).unwrap_or_default();
                let space = rest.iter().position(|byte| *byte == b' ');
                space.map_or(text.len(), |idx| idx + 1)
            }
        }
    }

    /// The run that begins the text, or what stands before the next run.
    fn run_end(&self, members: Members, takes_space: bool, len_max: usize, text: &str) -> usize {
        let is_member = |character| self.is_member(members, character);
        let mut characters = text.char_indices().peekable();
        let begins = |character: char, next: Option<char>| {
            is_member(character)
                || takes_space && character.is_whitespace() && next.is_some_and(is_member)
        };
        while let Some((at, character)) = characters.next() {
            let next = characters.peek().map(|(_, next)| *next);
            if !begins(character, next) {
                continue;
            }
            if at > 0 {
                return at;
            }
            let n_first = usize::from(is_member(character));
            let members = characters.take_while(|(_, character)| is_member(*character));
            let last = members.take(len_max.saturating_sub(n_first)).last();
            return last.map_or(character.len_utf8(), |(at, last)| at + last.len_utf8());
        }
        text.len()
    }

    fn is_member(&self, members: Members, character: char) -> bool {
        let kind = || self.classes.of(character);
        match members {
            Members::Letters => kind() == CharKind::Letter,
            Members::Numbers => kind() == CharKind::Number,
            Members::Punctuation => kind() == CharKind::Punctuation,
            Members::AsciiSymbols => {
                character.is_ascii_punctuation() || kind() == CharKind::Punctuation
            }
            Members::AsciiSymbolsButBacktick => {
                character != '`' && self.is_member(Members::AsciiSymbols, character)
            }
            Members::LineBreaks => matches!(character, '\r' | '\n'),
            Members::CasedLetters => word_rules::is_deepseek_letter(character),
            Members::DeepSeekPunctuation => matches!(
                character,
                '!'..='/' | ':'..='~' | '！'..='／' | '：'..='～' | '‘'..='‟'
                    | '\u{3000}'..='\u{3002}'
            ),
            Members::Cjk => matches!(
                character,
                '\u{800}'..='\u{9FA5}' | '\u{AC00}'..='\u{D7FF}'
            ),
        }
    }
}

/// Three ASCII digits, or what stands before the next three.
fn triple_end(text: &[u8]) -> usize {
    let is_triple = |window: &[u8]| window.iter().all(u8::is_ascii_digit);
    match text.windows(3).position(is_triple) {
        Some(0) => 3,
        Some(at) => at,
        None => text.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(steps: &[&str], text: &str) -> Vec<String> {
        let names: Vec<String> = steps.iter().copied().map(String::from).collect();
        let mut pieces = Vec::new();
        let pre_tokenizer = PreTokenizer::new(&names).unwrap();
        let emit = &mut |piece: &str| {
            pieces.push(String::from(piece));
            Ok(())
        };
        pre_tokenizer.split(text, emit).unwrap();
        assert_eq!(pieces.concat(), text);
        pieces
    }

    #[test]
    fn every_step_cuts_where_its_expression_does() {
        for (step, text, expected) in [
            (
                "gpt2_words",
                "I've  got 12 cats!\n\nYes ",
                "I|'ve| | got| 12| cats|!|\n|\n|Yes| ",
            ),
            ("gpt2_words", "'Re 'sun \t x", "'|Re| '|sun| \t| x"),
            (
                "llama3_words",
                "I'VE 12345(yes)!!\n\n  a\t\tb",
                "I|'VE| |123|45|(yes|)!!\n\n| | a|\t|\tb",
            ),
            ("llama3_words", " \n \n x'\u{17F}t", " \n \n| x|'\u{17F}|t"),
            ("qwen2_words", "a12 #", "a|1|2| #"),
            ("numbers", "a12b", "a|1|2|b"),
            ("number_runs", "a12b", "a|12|b"),
            ("digit_triples", "12345678x9", "123|456|78x9"),
            ("ascii_symbol_runs", "a+`!b$", "a|+`!|b|$"),
            ("ascii_symbol_runs_but_backtick", "a+`!b", "a|+|`|!|b"),
            ("ascii_symbols", "a+`!b", "a|+|`|!|b"),
            ("line_breaks", "a\r\n\nb", "a|\r|\n|\n|b"),
            ("letter_words", "ab  cd1é", "ab| | cd|1|é"),
            ("punctuation_words", "a !?b .", "a| !?|b| ."),
            ("deepseek_letters", " aé\u{10D0}b", " aé|\u{10D0}|b"),
            ("deepseek_punctuation", "é ab。\u{3000}", "é| ab。\u{3000}"),
            ("cjk_runs", "a我想b가", "a|我想|b|가"),
            ("trailing_space", "a b \n ", "a b| \n "),
            ("trailing_space", " \n ", " \n "),
            ("space_words", "a  b c", "a| | b| c"),
        ] {
            let expected: Vec<&str> = expected.split('|').collect();
            assert_eq!(pieces(&[step], text), expected, "{step}");
        }
        assert!(STEPS.is_sorted_by_key(|(name, _)| name));
        assert!(PreTokenizer::new(&["x".into()]).is_none());
    }

    #[test]
    fn later_steps_cut_the_pieces_of_earlier_ones() {
        let steps = ["numbers", "gpt2_words"];
        assert_eq!(pieces(&steps, "a 12 b"), ["a", " ", "1", "2", " b"]);
        assert_eq!(pieces(&[], "a b"), ["a b"]);
    }

    #[test]
    fn no_text_makes_a_step_look_more_than_a_few_times_at_a_character() {
        let n = 20_000;
        for unit in [
            "a", " ", "\n", " \n", "1", "!", "'", "é", "\u{300}", " a", "我", "a1!",
        ] {
            let text = unit.repeat(n);
            for (name, _) in STEPS {
                let pre_tokenizer = PreTokenizer::new(&[(*name).into()]).unwrap();
                pre_tokenizer.split(&text, &mut |_| Ok(())).unwrap();
                let n_questions = pre_tokenizer.classes.n_questions.get();
                let n_characters = text.chars().count();
                assert!(
                    n_questions <= 6 * n_characters + 200,
                    "{name} on {unit:?}: {n_questions}"
                );
            }
        }
    }
}
