//! Whole numbers of any length, for conversions between binary and decimal that must be exact.
//!
//! Only what these need, and small rather than fast: nothing on the path of a token uses it.

use alloc::vec::Vec;
use core::cmp::Ordering;

/// A whole number of any length: 32 bits per limb, lowest first.
#[derive(Clone)]
pub(super) struct Long(Vec<u32>);

impl Long {
    /// The number `value`.
    pub(super) fn new(value: u64) -> Long {
        let mut long = Long(Vec::new());
        if value > 0 {
            long.0.extend([value as u32, (value >> 32) as u32]);
        }
        long
    }

    /// Whether it is 0.
    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|limb| *limb == 0)
    }

    /// Bits up to the highest that is set.
    pub(super) fn n_bits(&self) -> i32 {
        match self.0.iter().rposition(|limb| *limb != 0) {
            Some(top) => {
                let unused = self.0.get(top).map_or(0, |limb| limb.leading_zeros());
                (top as i32 + 1) * 32 - unused as i32
            }
            None => 0,
        }
    }

    /// `self = self * factor + addend`.
    pub(super) fn multiply_add(&mut self, factor: u32, addend: u32) {
        let mut carry = u64::from(addend);
        for limb in &mut self.0 {
            let sum = u64::from(*limb) * u64::from(factor) + carry;
            *limb = sum as u32;
            carry = sum >> 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    /// `self = self * 2^n_bits`.
    pub(super) fn shift_left(&mut self, n_bits: u32) {
        let n_limbs = n_bits as usize / 32;
        self.0.splice(0..0, core::iter::repeat_n(0, n_limbs));
        self.multiply_add(1 << (n_bits % 32), 0);
    }

    /// `self = self / 2`, rounded down.
    pub(super) fn halve(&mut self) {
        let mut carry = 0;
        for limb in self.0.iter_mut().rev() {
            let low_bit = *limb & 1;
            *limb = *limb >> 1 | carry << 31;
            carry = low_bit;
        }
    }

    /// `self -= other` if that is not negative; whether it was done.
    pub(super) fn subtract_if_not_less(&mut self, other: &Long) -> bool {
        if self.compare(other) == Ordering::Less {
            return false;
        }
        let mut borrow = 0;
        for (i, place) in self.0.iter_mut().enumerate() {
            let difference = i64::from(*place) - i64::from(other.limb(i)) - borrow;
            borrow = i64::from(difference < 0);
            *place = difference as u32;
        }
        true
    }

    /// Which of the two is larger.
    pub(super) fn compare(&self, other: &Long) -> Ordering {
        let n_limbs = self.0.len().max(other.0.len());
        let differing = (0..n_limbs).rev().find(|i| self.limb(*i) != other.limb(*i));
        differing.map_or(Ordering::Equal, |i| self.limb(i).cmp(&other.limb(i)))
    }

    fn limb(&self, i: usize) -> u32 {
        self.0.get(i).copied().unwrap_or(0)
    }
}
