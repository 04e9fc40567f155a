//! The regular expressions of `alpha_pattern`, as PEFT takes them:
//! `re.match(r"(.*\.)?(KEY)$", name)`.
//!
//! An expression is followed with the set of all places that it can have reached, so time has a
//! bound and nothing backtracks. Look-around, references, flags and possessive repeats are not
//! read: they make a pattern that is refused. Source: peft `utils/other.py`, `get_pattern_key`.

use alloc::vec;
use alloc::vec::Vec;

/// Steps after which a pattern is given up: far above any that names modules.
const STEPS_MAX: u32 = 1 << 20;

/// Groups within groups at most.
const DEPTH_MAX: u32 = 32;

/// Whether a module's whole name, or what stands behind one of its dots, is said by `pattern`;
/// `None` if the pattern is none that is read.
pub(super) fn says(pattern: &str, name: &str) -> Option<bool> {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let behind_dots = text.iter().map(|c| *c == '.');
    let starts: Places = core::iter::once(true).chain(behind_dots).collect();
    let mut reading = Reading {
        pattern: &pattern,
        at: 0,
        text: &text,
        steps: 0,
        depth: 0,
    };
    let ends = reading.alternatives(&starts)?;
    let is_whole = reading.at == pattern.len();
    is_whole.then(|| ends.last() == Some(&true))
}

/// Which places of the name have been reached; place `i` is before its character `i`.
type Places = Vec<bool>;

/// One character of a pattern, or a class of them.
#[derive(Clone, Copy)]
enum Item {
    Any,
    Literal(char),
    /// `d`, `w` or `s`, and whether all others are meant.
    Kind(char, bool),
}

impl Item {
    fn holds(self, c: char) -> bool {
        match self {
            Item::Any => c != '\n',
            Item::Literal(own) => own == c,
            Item::Kind(kind, is_other) => {
                let is_in = match kind {
                    'd' => c.is_ascii_digit(),
                    'w' => c.is_alphanumeric() || c == '_',
                    _ => c.is_whitespace(),
                };
                is_in != is_other
            }
        }
    }
}

struct Reading<'a> {
    pattern: &'a [char],
    at: usize,
    text: &'a [char],
    steps: u32,
    depth: u32,
}

impl Reading<'_> {
    fn peek(&self) -> Option<char> {
        self.pattern.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn accept(&mut self, c: char) -> bool {
        let is_next = self.peek() == Some(c);
        self.at += usize::from(is_next);
        is_next
    }

    /// `a|b`: where either leads to.
    fn alternatives(&mut self, starts: &Places) -> Option<Places> {
        let mut ends = vec![false; starts.len()];
        loop {
            let mut reached = starts.clone();
            while !matches!(self.peek(), None | Some('|' | ')')) {
                reached = self.repeated(&reached)?;
            }
            join(&mut ends, &reached);
            if !self.accept('|') {
                return Some(ends);
            }
        }
    }

    /// An atom, and how often it may stand.
    fn repeated(&mut self, starts: &Places) -> Option<Places> {
        let from = self.at;
        let mut reached = self.atom(starts)?;
        let Some((min, max)) = self.quantifier()? else {
            return Some(reached);
        };
        let behind = self.at;
        let mut ends = match min {
            0 => starts.clone(),
            _ => vec![false; starts.len()],
        };
        for n in 1..=max {
            if n > 1 {
                self.at = from;
                reached = self.atom(&reached)?;
            }
            if n >= min && !join(&mut ends, &reached) {
                break;
            }
        }
        self.at = behind;
        Some(ends)
    }

    /// The least and the greatest number of repeats; lazy ones lead to the same places.
    fn quantifier(&mut self) -> Option<Option<(u32, u32)>> {
        let range = match self.peek() {
            Some('*') => (0, u32::MAX),
            Some('+') => (1, u32::MAX),
            Some('?') => (0, 1),
            Some('{') => self.counts()?,
            _ => return Some(None),
        };
        self.at += 1;
        self.accept('?');
        let is_doubled = matches!(self.peek(), Some('*' | '+' | '?' | '{'));
        (!is_doubled && range.0 <= range.1).then_some(Some(range))
    }

    /// `{3}`, `{3,}`, `{,5}` or `{3,5}` up to its closing brace; `None` for any other.
    fn counts(&mut self) -> Option<(u32, u32)> {
        self.at += 1;
        let min = self.number()?;
        let max = match self.accept(',') {
            true => self.number()?.unwrap_or(u32::MAX),
            false => min?,
        };
        (self.peek() == Some('}')).then_some((min.unwrap_or(0), max))
    }

    /// A number, if one stands here; `None` if it is too large.
    fn number(&mut self) -> Option<Option<u32>> {
        let mut value: Option<u32> = None;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            let tens = value.unwrap_or(0).checked_mul(10)?;
            value = Some(tens.checked_add(digit)?);
            self.at += 1;
        }
        Some(value)
    }

    fn atom(&mut self, starts: &Places) -> Option<Places> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return None;
        }
        let at_end = self.text.len();
        match self.next()? {
            '(' => self.group(starts),
            '[' => {
                let from = self.at;
                self.class(None)?;
                Some(self.advance(starts, from))
            }
            '^' => Some(kept(starts, |place| place == 0)),
            '$' => Some(kept(starts, |place| place == at_end)),
            '.' => Some(self.over(starts, Item::Any)),
            '\\' => {
                let item = self.escape()?;
                Some(self.over(starts, item))
            }
            '*' | '+' | '?' | '{' | ')' => None,
            c => Some(self.over(starts, Item::Literal(c))),
        }
    }

    fn group(&mut self, starts: &Places) -> Option<Places> {
        if self.accept('?') && !self.accept(':') {
            return None;
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let ends = self.alternatives(starts)?;
        self.depth -= 1;
        self.accept(')').then_some(ends)
    }

    /// Behind a backslash: a kind of characters, or a sign that stands for itself.
    fn escape(&mut self) -> Option<Item> {
        match self.next()? {
            c @ ('d' | 'w' | 's') => Some(Item::Kind(c, false)),
            c @ ('D' | 'W' | 'S') => Some(Item::Kind(c.to_ascii_lowercase(), true)),
            c if c.is_ascii_alphanumeric() => None,
            c => Some(Item::Literal(c)),
        }
    }

    /// Reads a class behind its `[`; whether it holds `c`.
    fn class(&mut self, c: Option<char>) -> Option<bool> {
        let is_other = self.accept('^');
        let (mut holds, mut is_first) = (false, true);
        while is_first || self.peek() != Some(']') {
            is_first = false;
            self.steps += 1;
            let low = self.class_item()?;
            let mut is_in = c.is_some_and(|c| low.holds(c));
            let is_range = self.peek() == Some('-') && self.pattern.get(self.at + 1) != Some(&']');
            if is_range {
                self.at += 1;
                let (Item::Literal(low), Item::Literal(high)) = (low, self.class_item()?) else {
                    return None;
                };
                if high < low {
                    return None;
                }
                is_in = c.is_some_and(|c| (low..=high).contains(&c));
            }
            holds |= is_in;
        }
        self.at += 1;
        Some(holds != is_other)
    }

    fn class_item(&mut self) -> Option<Item> {
        match self.next()? {
            '\\' => self.escape(),
            c => Some(Item::Literal(c)),
        }
    }

    /// Past one character of the class that begins at `from`; ends behind the class.
    fn advance(&mut self, starts: &Places, from: usize) -> Places {
        let behind = self.at;
        let text = self.text;
        let ends = past(starts, text, |c| {
            self.at = from;
            self.class(Some(c)) == Some(true)
        });
        self.at = behind;
        ends
    }

    fn over(&self, starts: &Places, item: Item) -> Places {
        past(starts, self.text, |c| item.holds(c))
    }
}

/// Past one character that `holds`.
fn past(starts: &Places, text: &[char], mut holds: impl FnMut(char) -> bool) -> Places {
    let steps = starts
        .iter()
        .zip(text)
        .map(|(is_start, c)| *is_start && holds(*c));
    core::iter::once(false).chain(steps).collect()
}

fn kept(starts: &Places, holds: impl Fn(usize) -> bool) -> Places {
    let places = starts.iter().enumerate();
    places
        .map(|(place, is_start)| *is_start && holds(place))
        .collect()
}

/// Adds places; whether any is new.
fn join(all: &mut Places, more: &Places) -> bool {
    let mut is_new = false;
    for (one, other) in all.iter_mut().zip(more) {
        is_new |= *other && !*one;
        *one |= *other;
    }
    is_new
}

#[cfg(test)]
mod tests {
    use super::*;
    use cultivar_core::json::{self, JsonValue};

    /// PEFT's own answers, of `fixtures/make/peft_adapters.py`.
    const ANSWERS: &[u8] = include_bytes!("../../../../fixtures/peft/patterns.json");

    #[test]
    fn patterns_say_the_names_that_peft_takes_them_for() {
        let told = json::parse(ANSWERS).unwrap();
        fn list<'a>(value: &'a JsonValue, key: &str) -> Vec<&'a str> {
            let items = value.get(key).and_then(JsonValue::as_array).unwrap();
            items.iter().map(|item| item.as_str().unwrap()).collect()
        }
        let names = list(&told, "names");
        let answers = told.get("answers").and_then(JsonValue::as_array).unwrap();
        assert!(answers.len() > 50);
        for answer in answers {
            let pattern = answer.get("pattern").and_then(JsonValue::as_str).unwrap();
            let said = names.iter().copied();
            let said: Vec<&str> = said.filter(|name| says(pattern, name).unwrap()).collect();
            assert_eq!(said, list(answer, "says"), "{pattern}");
        }
    }

    #[test]
    fn what_is_not_read_is_told_apart_from_what_says_nothing() {
        for pattern in [
            "(?=q)",
            "(?!q)",
            "(?i)q",
            "(?P<x>q)",
            r"(q)\1",
            r"\bq",
            r"\x71",
            "q**",
            "q*+",
            "*q",
            "+",
            "?",
            "(q",
            "q)",
            "[q",
            "[z-a]",
            r"[\d-z]",
            "q{",
            "q{2,1}",
            "q{99999999999}",
            "q{,x}",
            "\\",
        ] {
            assert_eq!(says(pattern, "q"), None, "{pattern}");
        }
        let deep = "(".repeat(40) + &")".repeat(40);
        assert_eq!(says(&deep, "q"), None);
        // Repeats of repeats end at the bound of steps, or sooner.
        let nested = "((((((((((q*)*)*)*)*)*)*)*)*)*)*x";
        assert_ne!(says(nested, &"q".repeat(200)), Some(true));
    }
}
