//! The compatibility part of NFKC as a list for the step `map`: with canonical composition behind
//! it (`nfc`) it is NFKC, since canonical decompositions are left to that.

use super::compatibility_table::{FIRSTS, GAPS, LENS, OTHERS};
use alloc::string::String;
use alloc::vec::Vec;

/// Most code points that one character becomes.
const CODES_MAX: usize = 18;

/// Every character that has a compatibility decomposition, with all of it, in ascending order.
///
/// The tables hold per character the code points since the last one, how many it becomes, the
/// first of those and the others, as base-128 numbers. Each of those is its difference `d` from
/// the last one at its place, as `2 d` or, where negative, `-2 d - 1`.
pub(super) fn pairs() -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut gaps, mut lens, mut firsts, mut others) = (GAPS, LENS, FIRSTS, OTHERS);
    let mut pairs = Vec::new();
    let (mut code, mut last) = (0, [0; CODES_MAX]);
    while let (Some(gap), Some(n_codes)) = (number(&mut gaps), number(&mut lens)) {
        code += gap;
        let mut to = String::new();
        for (idx, last) in last.iter_mut().take(n_codes as usize).enumerate() {
            let column = if idx == 0 { &mut firsts } else { &mut others };
            let difference = number(column).unwrap_or_default();
            *last = ((difference >> 1) ^ (difference & 1).wrapping_neg()).wrapping_add(*last);
            to.extend(char::from_u32(*last));
        }
        let from = String::from(char::from_u32(code).unwrap_or_default());
        pairs.push((from.into_bytes(), to.into_bytes()));
        code += 1;
    }
    pairs
}

/// The next number of a table: low seven bits first, the high bit set on all but the last byte.
fn number(rest: &mut &[u8]) -> Option<u32> {
    let mut number = 0;
    for shift in (0..32).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u32::from(byte & 0x7F) << shift;
        if *byte < 0x80 {
            return Some(number);
        }
    }
    None
}
