//! Decimal text to the nearest `f64`, exactly, in little code.
//!
//! The library's own conversion is faster but brings ten kilobytes of tables into the module.
//! Here the number is a fraction of two long integers, divided bit by bit and rounded once, half
//! to even (Clinger, "How to read floating point numbers accurately", 1990, without the shortcuts).

use super::long::Long;
use core::cmp::Ordering;

/// Digits beyond these cannot be told from a single non-zero one: the longest exact halfway
/// between two floats has 767.
const DIGITS_MAX: usize = 780;
/// Bits of the quotient below its first one: 53 for the result, one for rounding, and to spare.
const QUOTIENT_BITS: i32 = 64;

/// The float nearest to a number of JSON's grammar; infinite if it is too large.
pub(super) fn parse_f64(spelled: &str) -> f64 {
    let (sign, unsigned) = match spelled.strip_prefix('-') {
        Some(unsigned) => (1 << 63, unsigned),
        None => (0, spelled),
    };
    f64::from_bits(sign | magnitude_bits(unsigned))
}

fn magnitude_bits(unsigned: &str) -> u64 {
    let (mantissa, exponent) = split_at_first(unsigned, b"eE").unwrap_or((unsigned, "0"));
    let (whole, fraction) = split_at_first(mantissa, b".").unwrap_or((mantissa, ""));
    let mut power = exponent_of(exponent) - fraction.len() as i64;
    let mut digits = Long::new(0);
    let mut n_digits: usize = 0;
    let significant = whole
        .bytes()
        .chain(fraction.bytes())
        .skip_while(|digit| *digit == b'0');
    for digit in significant {
        if n_digits < DIGITS_MAX {
            digits.multiply_add(10, u32::from(digit - b'0'));
            n_digits += 1;
        } else {
            power += 1;
            // The first digit past the limit stands for all that follow.
            if digit != b'0' && n_digits == DIGITS_MAX {
                digits.multiply_add(10, 1);
                power -= 1;
                n_digits += 1;
            }
        }
    }
    let point = n_digits as i64 + power;
    if n_digits == 0 || point < -330 {
        return 0;
    }
    if point > 310 {
        return f64::INFINITY.to_bits();
    }
    let mut divisor = Long::new(1);
    let scaled = if power < 0 { &mut divisor } else { &mut digits };
    for _ in 0..power.unsigned_abs() {
        scaled.multiply_add(10, 0);
    }
    round(digits, divisor)
}

/// What stands before and behind the first of the ASCII `separators`.
fn split_at_first<'a>(text: &'a str, separators: &[u8]) -> Option<(&'a str, &'a str)> {
    let at = text.bytes().position(|byte| separators.contains(&byte))?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The exponent, or one that is as good where it is out of all range.
fn exponent_of(text: &str) -> i64 {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let append = |sum: i64, digit: u8| (sum * 10 + i64::from(digit - b'0')).min(1 << 40);
    sign * digits.bytes().fold(0, append)
}

/// Bits of the float nearest to `dividend / divisor`, both above zero.
fn round(mut dividend: Long, mut divisor: Long) -> u64 {
    // Scaled by 2^shift, the quotient has QUOTIENT_BITS or one more bit below its first.
    let shift = QUOTIENT_BITS + 1 - (dividend.n_bits() - divisor.n_bits());
    dividend.shift_left(shift.max(0) as u32);
    divisor.shift_left((-shift).max(0) as u32 + QUOTIENT_BITS as u32 + 1);
    let mut quotient = 0_u128;
    for _ in 0..QUOTIENT_BITS + 2 {
        quotient <<= 1;
        if dividend.subtract_if_not_less(&divisor) {
            quotient |= 1;
        }
        divisor.halve();
    }
    let first_bit = 127 - quotient.leading_zeros() as i32;
    let exponent = first_bit - shift;
    // Below 2^-1022 floats lose a bit of precision per power.
    let n_kept = 53 - (-1022 - exponent).max(0);
    if n_kept < 0 {
        return 0;
    }
    let n_dropped = first_bit + 1 - n_kept;
    let kept = (quotient >> n_dropped) as u64;
    let rest = quotient & ((1 << n_dropped) - 1);
    let half = 1 << (n_dropped - 1);
    let up = match rest.cmp(&half) {
        Ordering::Greater => true,
        Ordering::Equal => !dividend.is_zero() || kept % 2 == 1,
        Ordering::Less => false,
    };
    // A carry out of the fraction raises the exponent by itself, up to infinity.
    let biased = (exponent.max(-1022) + 1022) as u64;
    (biased << 52) + kept + u64::from(up)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn check(text: &str) {
        let expected: f64 = text.parse().unwrap();
        assert_eq!(parse_f64(text).to_bits(), expected.to_bits(), "{text}");
    }

    #[test]
    fn equals_the_library_on_the_hard_ones() {
        let long_half = format!("{}1{}", "9007199254740993.", "0".repeat(900));
        let sticky = format!("9007199254740993.{}1", "0".repeat(900));
        for text in [
            "0",
            "-0",
            "0.0",
            "0e999999999999",
            "1",
            "-1",
            "0.1",
            "1e23",
            "9007199254740993",
            "9007199254740992.5",
            "9007199254740993.0000000000000000000001",
            "5e-324",
            "2.4e-324",
            "2.5e-324",
            "2.4703282292062327e-324",
            "2.4703282292062328e-324",
            "1e-400",
            "1e400",
            "1.7976931348623157e308",
            "1.7976931348623158e308",
            "1.7976931348623159e308",
            "1E+2",
            "2.2250738585072011e-308",
            "2.2250738585072014e-308",
            "2.2250738585072012e-308",
            "123456789012345678901234567890",
            "0.000000000000000000000000000001e30",
            "1e-5000000000",
            "6.9294956446009195e15",
            "8.5e-5",
            "1e5000000000",
            &long_half,
            &sticky,
        ] {
            check(text);
        }
    }

    #[test]
    fn equals_the_library_on_every_kind_of_float() {
        let mut bits = 1_u64;
        for _ in 0..3000 {
            bits = bits
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            // Every exponent, the subnormal ones more often.
            let value = f64::from_bits(if bits.is_multiple_of(5) {
                bits & (u64::MAX >> 12)
            } else {
                bits
            });
            if value.is_finite() {
                check(&format!("{value:e}"));
                check(&format!("{value}"));
                let halfway = format!("{:.400e}", value).replace("e", "5e");
                check(&halfway);
            }
        }
    }
}
