//! Numbers between bounds, as texts: digit by digit.

use super::byte_set::{ByteSet, literal};
use super::expression::Expression;
use super::json_rules::{MORE_DIGITS_MAX, digits, fraction, sequence};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// The largest magnitude of an integer without an upper bound: 16 digits.
const MAGNITUDE_MAX: u64 = 9_999_999_999_999_999;

/// Bounds, both included; `None` is none.
#[derive(Clone, Copy, Default)]
pub(super) struct Bounds {
    pub min: Option<i64>,
    pub max: Option<i64>,
}

/// Integers within the bounds; nothing if there are none.
pub(super) fn integer(bounds: Bounds) -> Expression {
    signed(bounds, magnitude)
}

/// Numbers within the bounds, without exponents.
pub(super) fn number(bounds: Bounds) -> Expression {
    signed(bounds, |low, high| {
        let zeros = Expression::Repeat(Box::new(literal(b"0")), 1, Some(MORE_DIGITS_MAX));
        let point_zero = sequence(vec![literal(b"."), zeros]).optional();
        let last = sequence(vec![magnitude(high, high), point_zero]);
        match high.checked_sub(1).filter(|below| *below >= low) {
            Some(below) => {
                let inner = sequence(vec![magnitude(low, below), fraction().optional()]);
                Expression::OneOf(vec![inner, last])
            }
            None => last,
        }
    })
}

/// Both signs: `of` gives the magnitudes from one number to another.
fn signed(bounds: Bounds, of: impl Fn(u64, u64) -> Expression) -> Expression {
    let limit = MAGNITUDE_MAX as i64;
    let min = bounds.min.unwrap_or(-limit).max(-limit);
    let max = bounds.max.unwrap_or(limit).min(limit);
    let mut alternatives = Vec::new();
    if min < 0 && min <= max {
        let low = max.min(0).unsigned_abs();
        alternatives.push(sequence(vec![literal(b"-"), of(low, min.unsigned_abs())]));
    }
    if max >= 0 && min <= max {
        alternatives.push(of(min.max(0) as u64, max as u64));
    }
    Expression::any_of(alternatives)
}

/// The integers from `low` to `high`, apart by their number of digits.
fn magnitude(low: u64, high: u64) -> Expression {
    let mut alternatives = Vec::new();
    let mut first = 0;
    let mut last = 9;
    loop {
        let (from, to) = (low.max(first), high.min(last));
        if from <= to {
            let (from, to) = (format!("{from}"), format!("{to}"));
            alternatives.push(same_length(from.as_bytes(), to.as_bytes()));
        }
        if last >= high {
            return Expression::any_of(alternatives);
        }
        first = last + 1;
        last = last * 10 + 9;
    }
}

fn byte(first: u8, last: u8) -> Expression {
    Expression::Bytes(ByteSet::range(first, last))
}

/// The digits from `low` to `high`, which are as many. A first digit behind which any digits do
/// stands with those between, so that the size grows with the length alone.
fn same_length(low: &[u8], high: &[u8]) -> Expression {
    let (Some((&l, lows)), Some((&h, highs))) = (low.split_first(), high.split_first()) else {
        return Expression::empty();
    };
    let all = |digits: &[u8], digit: u8| digits.iter().all(|one| *one == digit);
    let (any_low, any_high) = (all(lows, b'0'), all(highs, b'9'));
    if l == h && !(any_low && any_high) {
        return sequence(vec![byte(l, h), same_length(lows, highs)]);
    }
    let n = lows.len();
    let mut alternatives = Vec::new();
    if !any_low {
        alternatives.push(sequence(vec![
            byte(l, l),
            same_length(lows, &vec![b'9'; n]),
        ]));
    }
    if !any_high {
        alternatives.push(sequence(vec![
            byte(h, h),
            same_length(&vec![b'0'; n], highs),
        ]));
    }
    let (first, last) = (l + u8::from(!any_low), h - u8::from(!any_high));
    if first <= last {
        let free = digits(n as u32, n as u32);
        alternatives.push(sequence(vec![byte(first, last), free]));
    }
    Expression::any_of(alternatives)
}
