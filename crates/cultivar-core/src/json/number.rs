//! Numbers as JSON text: one spelling per value, the one that ECMAScript prints.
//!
//! Shortest digits that read back to the same float, placed as JavaScript places them, so that a
//! page that parses and prints a report gets the same bytes. One difference: -0 keeps its sign.

use super::shortest::{self, Digits, Format};
use core::fmt;

/// Room for the text of any float: sign, 17 digits, point, exponent, or 21 digits and zeros.
const TEXT_BYTES_MAX: usize = 32;

const F64: Format = Format {
    fraction_bits: 52,
    exponent_min: -1074,
};
const F32: Format = Format {
    fraction_bits: 23,
    exponent_min: -149,
};

/// The text of one number, held inline.
pub struct NumberText {
    bytes: [u8; TEXT_BYTES_MAX],
    n_bytes: usize,
}

impl NumberText {
    fn of(text: &[u8]) -> Self {
        let mut number = NumberText {
            bytes: [0; TEXT_BYTES_MAX],
            n_bytes: 0,
        };
        number.push(text);
        number
    }

    /// The text that is held.
    pub fn as_str(&self) -> &str {
        let held = self.bytes.get(..self.n_bytes).unwrap_or_default();
        core::str::from_utf8(held).unwrap_or_default()
    }

    fn push(&mut self, text: &[u8]) {
        for byte in text {
            if let Some(place) = self.bytes.get_mut(self.n_bytes) {
                *place = *byte;
                self.n_bytes += 1;
            }
        }
    }

    fn push_zeros(&mut self, n: i32) {
        for _ in 0..n {
            self.push(b"0");
        }
    }
}

impl fmt::Display for NumberText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text of `value`; `null` if it is infinite or not a number.
pub fn f64_text(value: f64) -> NumberText {
    let magnitude = value.abs();
    text(
        value.is_sign_negative(),
        magnitude.is_finite(),
        magnitude.to_bits(),
        &F64,
    )
}

/// The text of `value` with the digits that a 32-bit float needs.
pub(super) fn f32_text(value: f32) -> NumberText {
    let magnitude = value.abs();
    let bits = u64::from(magnitude.to_bits());
    text(value.is_sign_negative(), magnitude.is_finite(), bits, &F32)
}

fn text(is_negative: bool, is_finite: bool, bits: u64, format: &Format) -> NumberText {
    if !is_finite {
        return NumberText::of(b"null");
    }
    let mut text = NumberText::of(if is_negative { b"-" } else { b"" });
    if bits == 0 {
        text.push(b"0");
    } else {
        place(&mut text, &shortest::digits(bits, format));
    }
    text
}

/// Places digits as ECMAScript does (ECMA-262, Number::toString, radix 10).
fn place(text: &mut NumberText, digits: &Digits) {
    let (ascii, point) = (digits.ascii(), digits.point);
    let n_digits = ascii.len() as i32;
    if (-5..=0).contains(&point) {
        text.push(b"0.");
        text.push_zeros(-point);
        text.push(ascii);
        return;
    }
    let is_plain = (1..=21).contains(&point);
    let n_whole = if is_plain { point.min(n_digits) } else { 1 };
    let (whole, fraction) = ascii.split_at_checked(n_whole as usize).unwrap_or_default();
    text.push(whole);
    if !fraction.is_empty() {
        text.push(b".");
        text.push(fraction);
    }
    if is_plain {
        text.push_zeros(point - n_digits);
        return;
    }
    let exponent = point - 1;
    text.push(if exponent < 0 { b"e-" } else { b"e+" });
    let exponent = exponent.unsigned_abs();
    for unit in [100, 10, 1] {
        if exponent >= unit {
            text.push(&[b'0' + (exponent / unit % 10) as u8]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::String};

    #[test]
    fn spells_numbers_as_ecmascript_does() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (123.456, "123.456"),
            (100.0, "100"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.25e-7, "1.25e-7"),
            (0.000012345, "0.000012345"),
            (5e-324, "5e-324"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (9007199254740993.0, "9007199254740992"),
            (0.30000000000000004, "0.30000000000000004"),
            (f64::NAN, "null"),
            (f64::INFINITY, "null"),
        ] {
            assert_eq!(f64_text(value).as_str(), text);
        }
        assert_eq!(f32_text(0.1).as_str(), "0.1");
        assert_eq!(f32_text(-0.0).as_str(), "-0");
        assert_eq!(f32_text(f32::MIN_POSITIVE).as_str(), "1.1754944e-38");
        assert_eq!(f32_text(1e-45).as_str(), "1e-45");
        assert_eq!(f32_text(16777216.0).as_str(), "16777216");
        assert_eq!(f32_text(f32::NEG_INFINITY).as_str(), "null");
    }

    /// Digits and power of ten of a number's text, however it is placed.
    fn parts(text: &str) -> (String, i32) {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches(['-', '0']);
        let power = exponent.parse::<i32>().unwrap() - fraction.len() as i32;
        let trimmed = digits.trim_end_matches('0');
        (
            trimmed.into(),
            power + (digits.len() - trimmed.len()) as i32,
        )
    }

    fn check_f64(value: f64) {
        if value.is_finite() {
            let text = f64_text(value);
            let bits = text.as_str().parse::<f64>().map(f64::to_bits);
            assert_eq!(bits, Ok(value.to_bits()));
            assert_eq!(
                parts(text.as_str()),
                parts(&format!("{value:e}")),
                "{value:e}"
            );
        }
    }

    fn check_f32(value: f32) {
        if value.is_finite() {
            let text = f32_text(value);
            let bits = text.as_str().parse::<f32>().map(f32::to_bits);
            assert_eq!(bits, Ok(value.to_bits()));
            assert_eq!(
                parts(text.as_str()),
                parts(&format!("{value:e}")),
                "{value:e}"
            );
        }
    }

    #[test]
    fn digits_equal_the_librarys_and_read_back_to_the_same_bits() {
        for power in 0..2047_u64 {
            for bits in [
                power << 52,
                (power << 52) + 1,
                (power << 52).saturating_sub(1),
            ] {
                check_f64(f64::from_bits(bits));
            }
        }
        for power in 0..255_u32 {
            for bits in [
                power << 23,
                (power << 23) + 1,
                (power << 23).saturating_sub(1),
            ] {
                check_f32(f32::from_bits(bits));
            }
        }
        for n in -30..30 {
            check_f64(format!("1e{n}").parse().unwrap());
            check_f64(f64::from(n) / 8.0);
        }
        let mut bits = 1_u64;
        for _ in 0..20_000 {
            bits = bits
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            check_f64(f64::from_bits(bits));
            check_f32(f32::from_bits((bits >> 32) as u32));
        }
    }
}
