//! The compatibility part of NFKC as a list for the step `map`: with canonical composition behind
//! it (`nfc`) it is NFKC, since canonical decompositions are left to that.

use super::compatibility_table::COMPATIBLE;
use alloc::string::String;
use alloc::vec::Vec;

/// Every character that has a compatibility decomposition, with all of it, in ascending order.
///
/// The table holds per character the code points since the last one, how many it becomes, and
/// those, as base-128 numbers.
pub(super) fn pairs() -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rest = COMPATIBLE.iter();
    let mut number = || {
        let mut number = 0u32;
        for shift in (0..32).step_by(7) {
            let byte = rest.next()?;
            number |= u32::from(byte & 0x7F) << shift;
            if *byte < 0x80 {
                return Some(number);
            }
        }
        None
    };
    let mut pairs = Vec::new();
    let mut next = 0;
    while let (Some(gap), Some(n_codes)) = (number(), number()) {
        let code = next + gap;
        next = code + 1;
        let to: String = (0..n_codes)
            .filter_map(|_| char::from_u32(number()?))
            .collect();
        let from = String::from(char::from_u32(code).unwrap_or_default());
        pairs.push((from.into_bytes(), to.into_bytes()));
    }
    pairs
}
