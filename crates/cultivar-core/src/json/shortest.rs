//! The shortest decimal digits that read back to the same float, exactly, in little code.
//!
//! The library's own printing is faster but brings twenty kilobytes into the module. This is the
//! free-format algorithm with exact integers of Burger and Dybvig, "Printing floating-point
//! numbers quickly and accurately", 1996; of several shortest texts it gives the nearest.

use super::long::Long;
use core::cmp::Ordering;

/// No double needs more.
const DIGITS_MAX: usize = 17;

/// Digits of a number above zero: `0.d1 d2 d3 … * 10^point`.
pub(super) struct Digits {
    ascii: [u8; DIGITS_MAX],
    n: usize,
    /// How many digits stand before the decimal point; zero or less if zeros follow it first.
    pub(super) point: i32,
}

impl Digits {
    /// The digits as ASCII; at least one, the last of them not zero.
    pub(super) fn ascii(&self) -> &[u8] {
        self.ascii.get(..self.n).unwrap_or_default()
    }

    fn push(&mut self, digit: u8) {
        if let Some(place) = self.ascii.get_mut(self.n) {
            *place = b'0' + digit;
            self.n += 1;
        }
    }
}

/// A kind of float.
pub(super) struct Format {
    /// Bits of the fraction that are stored.
    pub(super) fraction_bits: u32,
    /// Power of two of the last bit of the smallest float.
    pub(super) exponent_min: i32,
}

/// Digits of the float whose exponent and fraction, as stored, are `bits` (above zero).
pub(super) fn digits(bits: u64, format: &Format) -> Digits {
    let hidden = 1 << format.fraction_bits;
    let fraction = bits & (hidden - 1);
    let biased = (bits >> format.fraction_bits) as i32;
    let mantissa = if biased > 0 {
        hidden | fraction
    } else {
        fraction
    };
    let exponent = format.exponent_min + (biased - 1).max(0);
    // Below a power of two the floats lie closer together.
    let is_border = fraction == 0 && biased > 1;
    let unit = if is_border { 2 } else { 1 };
    // The value is rest / scale; anything nearer than below / scale and above / scale reads back.
    let mut at = Position {
        rest: Long::new(mantissa * 2 * unit),
        scale: Long::new(2 * unit),
        below: Long::new(1),
        above: Long::new(unit),
        takes_ends: mantissa % 2 == 0,
    };
    if exponent < 0 {
        at.scale.shift_left(exponent.unsigned_abs());
    } else {
        for part in [&mut at.rest, &mut at.below, &mut at.above] {
            part.shift_left(exponent.unsigned_abs());
        }
    }
    let point = at.normalize();
    let mut digits = Digits {
        ascii: [0; DIGITS_MAX],
        n: 0,
        point,
    };
    while !at.push_digit(&mut digits) {}
    digits
}

/// What is left to print, and how far it may be missed.
struct Position {
    rest: Long,
    scale: Long,
    below: Long,
    above: Long,
    /// Whether halfway to a neighbour still reads back (ties go to even mantissas).
    takes_ends: bool,
}

impl Position {
    /// Brings the value into 0.1 to 1; returns the power of ten that was taken out.
    fn normalize(&mut self) -> i32 {
        let mut point = 0;
        while self.reaches_scale() {
            self.scale.multiply_add(10, 0);
            point += 1;
        }
        loop {
            self.times_ten();
            if self.reaches_scale() {
                return point;
            }
            point -= 1;
        }
    }

    fn times_ten(&mut self) {
        for part in [&mut self.rest, &mut self.below, &mut self.above] {
            part.multiply_add(10, 0);
        }
    }

    /// Whether 1 is near enough to the rest to be printed for it, or below it.
    fn reaches_scale(&self) -> bool {
        let mut gap = self.scale.clone();
        if !gap.subtract_if_not_less(&self.rest) {
            return true;
        }
        self.is_within(&gap, &self.above)
    }

    fn is_within(&self, distance: &Long, most: &Long) -> bool {
        match distance.compare(most) {
            Ordering::Less => true,
            Ordering::Equal => self.takes_ends,
            Ordering::Greater => false,
        }
    }

    /// Takes the next digit off the rest, which is already times ten; true if it is the last.
    fn push_digit(&mut self, digits: &mut Digits) -> bool {
        let mut digit = 0;
        while self.rest.subtract_if_not_less(&self.scale) {
            digit += 1;
        }
        let down = self.is_within(&self.rest, &self.below);
        let up = self.reaches_scale();
        if !down && !up {
            digits.push(digit);
            self.times_ten();
            return false;
        }
        self.rest.multiply_add(2, 0);
        let is_nearer_up = self.rest.compare(&self.scale) != Ordering::Less;
        digits.push(digit + u8::from(up && (!down || is_nearer_up)));
        true
    }
}
