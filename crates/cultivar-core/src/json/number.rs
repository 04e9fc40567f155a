//! Numbers as JSON text: one spelling per value, the one that ECMAScript prints.
//!
//! Shortest digits that read back to the same float, placed as JavaScript places them, so that a
//! page that parses and prints a report gets the same bytes. One difference: -0 keeps its sign.

use core::fmt::Write;

/// Room for the text of any float: sign, 17 digits, point, exponent, or 21 digits and zeros.
const TEXT_BYTES_MAX: usize = 32;

/// The text of one number, held inline.
pub(super) struct NumberText {
    bytes: [u8; TEXT_BYTES_MAX],
    n_bytes: usize,
}

impl NumberText {
    fn new() -> Self {
        NumberText {
            bytes: [0; TEXT_BYTES_MAX],
            n_bytes: 0,
        }
    }

    pub(super) fn as_str(&self) -> &str {
        let held = self.bytes.get(..self.n_bytes).unwrap_or_default();
        core::str::from_utf8(held).unwrap_or_default()
    }
}

impl Write for NumberText {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.n_bytes + text.len();
        let room = self
            .bytes
            .get_mut(self.n_bytes..end)
            .ok_or(core::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.n_bytes = end;
        Ok(())
    }
}

/// The text of `value`; `null` if it is infinite or not a number.
pub(super) fn f64_text(value: f64) -> NumberText {
    let mut scientific = NumberText::new();
    let written = write!(scientific, "{value:e}");
    place_digits(value.is_finite() && written.is_ok(), scientific.as_str())
}

/// The text of `value` with the digits that a 32-bit float needs.
pub(super) fn f32_text(value: f32) -> NumberText {
    let mut scientific = NumberText::new();
    let written = write!(scientific, "{value:e}");
    place_digits(value.is_finite() && written.is_ok(), scientific.as_str())
}

/// From Rust's shortest `d.ddde-x` to ECMAScript's form (ECMA-262, Number::toString, radix 10).
fn place_digits(is_finite: bool, scientific: &str) -> NumberText {
    let mut text = NumberText::new();
    let placed = if is_finite {
        write_placed(&mut text, scientific)
    } else {
        Err(core::fmt::Error)
    };
    if placed.is_err() {
        text = NumberText::new();
        let _ = text.write_str("null");
    }
    text
}

fn write_placed(text: &mut NumberText, scientific: &str) -> core::fmt::Result {
    let unsigned = match scientific.strip_prefix('-') {
        Some(unsigned) => {
            text.write_str("-")?;
            unsigned
        }
        None => scientific,
    };
    let (mantissa, exponent) = unsigned.split_once('e').ok_or(core::fmt::Error)?;
    let (first, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.parse().map_err(|_| core::fmt::Error)?;
    let n_digits = 1 + fraction.len() as i32;
    // The decimal point stands behind this many digits.
    let point = exponent + 1;
    if (n_digits..=21).contains(&point) {
        write!(
            text,
            "{first}{fraction}{:0>width$}",
            "",
            width = (point - n_digits) as usize
        )
    } else if (1..=21).contains(&point) {
        let (whole, rest) = fraction.split_at(exponent as usize);
        write!(text, "{first}{whole}.{rest}")
    } else if (-5..=0).contains(&point) {
        write!(
            text,
            "0.{:0>width$}{first}{fraction}",
            "",
            width = -point as usize
        )
    } else {
        let separator = if fraction.is_empty() { "" } else { "." };
        write!(text, "{first}{separator}{fraction}e{exponent:+}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(f32_text(16777216.0).as_str(), "16777216");
        assert_eq!(f32_text(f32::NEG_INFINITY).as_str(), "null");
    }

    #[test]
    fn every_spelling_reads_back_to_the_same_bits() {
        let mut bits = 1_u64;
        for _ in 0..20_000 {
            bits = bits
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let value = f64::from_bits(bits);
            if value.is_finite() {
                let text = f64_text(value);
                assert_eq!(text.as_str().parse::<f64>().map(f64::to_bits), Ok(bits));
            }
        }
    }
}
