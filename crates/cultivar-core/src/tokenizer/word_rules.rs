//! The word rules of GPT-2 and of Llama 3, and DeepSeek's letters: where the first word ends.
//!
//! Each rule is an ordered list of alternatives, tried at the text's first character as a
//! backtracking regular expression would, but decided without going back.

use super::unicode::{CharKind, Classes};

/// GPT-2 (Radford and others, 2019, `encoder.py`):
/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
pub(super) fn gpt2(classes: &Classes, text: &str) -> usize {
    if let Some(end) = contraction(text, false) {
        return end;
    }
    let mut characters = text.chars();
    let first = characters.next().unwrap_or_default();
    let spaced = (first == ' ').then(|| characters.next()).flatten();
    let (start, kind) = match spaced.map(|second| word_kind(classes, second)) {
        Some(kind) if kind != CharKind::Space => (1, kind),
        _ => (0, word_kind(classes, first)),
    };
    if kind == CharKind::Space {
        return space_end(classes, text);
    }
    start
        + run_len(text, start, |character| {
            word_kind(classes, character) == kind
        })
}

/// Llama 3 and Qwen 2 (their tokenizer.json), which differ in how many digits stay together:
/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits_max}`
/// `| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
pub(super) fn llama3(classes: &Classes, text: &str, digits_max: usize) -> usize {
    if let Some(end) = contraction(text, true) {
        return end;
    }
    let mut characters = text.chars();
    let first = characters.next().unwrap_or_default();
    let second = characters.next();
    let kind = word_kind(classes, first);
    let is_letter = |character: char| classes.of(character) == CharKind::Letter;
    if kind == CharKind::Letter {
        return run_len(text, 0, is_letter);
    }
    let may_lead = kind != CharKind::Number && !is_line_break(first);
    if may_lead && second.is_some_and(is_letter) {
        return first.len_utf8() + run_len(text, first.len_utf8(), is_letter);
    }
    if kind == CharKind::Number {
        let numbers = text.chars().take(digits_max);
        let numbers = numbers.take_while(|c| classes.of(*c) == CharKind::Number);
        return numbers.map(char::len_utf8).sum();
    }
    let is_other = |character: char| word_kind(classes, character) == CharKind::Other;
    let start = usize::from(first == ' ' && second.is_some_and(is_other));
    if start == 1 || kind == CharKind::Other {
        let end = start + run_len(text, start, is_other);
        return end + run_len(text, end, is_line_break);
    }
    let n_spaces = run_len(text, 0, |c| classes.of(c) == CharKind::Space);
    let spaces = text.get(..n_spaces).unwrap_or_default();
    match spaces.rfind(is_line_break) {
        Some(last) => last + 1,
        None => space_end(classes, text),
    }
}

/// Letter, number, space or anything else.
fn word_kind(classes: &Classes, character: char) -> CharKind {
    match classes.of(character) {
        CharKind::Punctuation => CharKind::Other,
        kind => kind,
    }
}

fn is_line_break(character: char) -> bool {
    matches!(character, '\r' | '\n')
}

/// `\s+(?!\S)|\s+` of a text that begins with white space: all of it at the text's end, else all
/// but its last character, which goes with the next word; a single one alone.
fn space_end(classes: &Classes, text: &str) -> usize {
    let end = run_len(text, 0, |c| classes.of(c) == CharKind::Space);
    let spaces = text.get(..end).unwrap_or(text);
    let last_len = spaces.chars().next_back().map_or(0, char::len_utf8);
    if end == text.len() || end == last_len {
        end
    } else {
        end - last_len
    }
}

/// Bytes of the run that begins at byte `from`.
fn run_len(text: &str, from: usize, is_member: impl Fn(char) -> bool) -> usize {
    let text = text.get(from..).unwrap_or_default();
    text.find(|character| !is_member(character))
        .unwrap_or(text.len())
}

/// `'s 't 'm 'd 're 've 'll` at the text's beginning; in any case, U+017F being an s in another,
/// if so asked.
fn contraction(text: &str, in_any_case: bool) -> Option<usize> {
    let mut characters = text.strip_prefix('\'')?.chars();
    let mut next = || {
        let character = characters.next()?;
        if !in_any_case {
            return Some((character, character.len_utf8()));
        }
        let folded = match character {
            '\u{17F}' => 's',
            other => other.to_ascii_lowercase(),
        };
        Some((folded, character.len_utf8()))
    };
    let (first, first_len) = next()?;
    match first {
        's' | 't' | 'm' | 'd' => Some(1 + first_len),
        'r' | 'v' | 'l' => {
            let (second, second_len) = next()?;
            let wanted = if first == 'l' { 'l' } else { 'e' };
            (second == wanted).then_some(1 + first_len + second_len)
        }
        _ => None,
    }
}

/// Whether DeepSeek's rule counts a character among its letters: those that have case in the
/// Unicode version that its authors used, Georgian's lower case excepted.
pub(super) fn is_deepseek_letter(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_alphabetic();
    }
    let idx = DEEPSEEK_LETTERS.partition_point(|(first, _)| *first <= character);
    let range = idx.checked_sub(1).and_then(|idx| DEEPSEEK_LETTERS.get(idx));
    range.is_some_and(|(_, last)| character <= *last)
}

/// Ranges, ascending; ASCII's are left out.
const DEEPSEEK_LETTERS: &[(char, char)] = &[
    ('\u{B5}', '\u{B5}'),
    ('\u{C0}', '\u{D6}'),
    ('\u{D8}', '\u{F6}'),
    ('\u{F8}', '\u{1BA}'),
    ('\u{1BC}', '\u{1BF}'),
    ('\u{1C4}', '\u{293}'),
    ('\u{295}', '\u{2AF}'),
    ('\u{370}', '\u{373}'),
    ('\u{376}', '\u{376}'),
    ('\u{377}', '\u{377}'),
    ('\u{37B}', '\u{37D}'),
    ('\u{37F}', '\u{37F}'),
    ('\u{386}', '\u{386}'),
    ('\u{388}', '\u{38A}'),
    ('\u{38C}', '\u{38C}'),
    ('\u{38E}', '\u{3A1}'),
    ('\u{3A3}', '\u{3F5}'),
    ('\u{3F7}', '\u{481}'),
    ('\u{48A}', '\u{52F}'),
    ('\u{531}', '\u{556}'),
    ('\u{10A0}', '\u{10C5}'),
    ('\u{13A0}', '\u{13F5}'),
    ('\u{13F8}', '\u{13FD}'),
    ('\u{1C90}', '\u{1CBA}'),
    ('\u{1CBD}', '\u{1CBF}'),
    ('\u{1D00}', '\u{1D2B}'),
    ('\u{1D6B}', '\u{1D77}'),
    ('\u{1D79}', '\u{1D9A}'),
    ('\u{1E00}', '\u{1F15}'),
    ('\u{1F18}', '\u{1F1D}'),
    ('\u{1F20}', '\u{1F45}'),
    ('\u{1F48}', '\u{1F4D}'),
    ('\u{1F50}', '\u{1F57}'),
    ('\u{1F59}', '\u{1F59}'),
    ('\u{1F5B}', '\u{1F5B}'),
    ('\u{1F5D}', '\u{1F5D}'),
    ('\u{1F5F}', '\u{1F7D}'),
    ('\u{1F80}', '\u{1FB4}'),
    ('\u{1FB6}', '\u{1FBC}'),
    ('\u{1FBE}', '\u{1FBE}'),
    ('\u{1FC2}', '\u{1FC4}'),
    ('\u{1FC6}', '\u{1FCC}'),
    ('\u{1FD0}', '\u{1FD3}'),
    ('\u{1FD6}', '\u{1FDB}'),
    ('\u{1FE0}', '\u{1FEC}'),
    ('\u{1FF2}', '\u{1FF4}'),
    ('\u{1FF6}', '\u{1FFC}'),
    ('\u{2102}', '\u{2102}'),
    ('\u{2107}', '\u{2107}'),
    ('\u{210A}', '\u{2113}'),
    ('\u{2115}', '\u{2115}'),
    ('\u{2119}', '\u{211D}'),
    ('\u{2124}', '\u{2124}'),
    ('\u{2126}', '\u{2126}'),
    ('\u{2128}', '\u{2128}'),
    ('\u{212A}', '\u{212D}'),
    ('\u{212F}', '\u{2134}'),
    ('\u{2139}', '\u{2139}'),
    ('\u{213C}', '\u{213F}'),
    ('\u{2145}', '\u{2149}'),
    ('\u{214E}', '\u{214E}'),
    ('\u{2183}', '\u{2183}'),
    ('\u{2184}', '\u{2184}'),
    ('\u{2C00}', '\u{2C7B}'),
    ('\u{2C7E}', '\u{2CE4}'),
    ('\u{2CEB}', '\u{2CEE}'),
    ('\u{2CF2}', '\u{2CF2}'),
    ('\u{2CF3}', '\u{2CF3}'),
    ('\u{A640}', '\u{A66D}'),
    ('\u{A680}', '\u{A69B}'),
    ('\u{A722}', '\u{A76F}'),
    ('\u{A771}', '\u{A787}'),
    ('\u{A78B}', '\u{A78E}'),
    ('\u{AB70}', '\u{ABBF}'),
    ('\u{FB00}', '\u{FB06}'),
    ('\u{FB13}', '\u{FB17}'),
    ('\u{FF21}', '\u{FF3A}'),
    ('\u{FF41}', '\u{FF5A}'),
    ('\u{10400}', '\u{1044F}'),
    ('\u{104B0}', '\u{104D3}'),
    ('\u{104D8}', '\u{104FB}'),
    ('\u{10C80}', '\u{10CB2}'),
    ('\u{10CC0}', '\u{10CF2}'),
    ('\u{118A0}', '\u{118DF}'),
    ('\u{1E900}', '\u{1E943}'),
];
