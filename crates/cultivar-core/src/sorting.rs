//! One small stable merge sort for everything that is put in order when something is opened.
//!
//! The library's sorts are faster on long lists and compiled anew for every type: together they
//! were a sixth of the wasm module. Here the work is done once, on indices, and each type adds
//! only its comparison. Allocates, so nothing that runs per token may use it.

use alloc::vec::Vec;
use core::cmp::Ordering;

/// Sorts by `compare`; equal items keep their order.
pub fn sort_by<T>(items: &mut [T], mut compare: impl FnMut(&T, &T) -> Ordering) {
    let order = sorted_order(items.len(), &mut |a, b| {
        // Both indices are below the length by construction of the order.
        match (items.get(a as usize), items.get(b as usize)) {
            (Some(a), Some(b)) => compare(a, b),
            _ => Ordering::Equal,
        }
    });
    arrange(order, &mut |a, b| items.swap(a, b));
}

/// Sorts by a key; equal items keep their order.
pub fn sort_by_key<T, K: Ord>(items: &mut [T], mut key: impl FnMut(&T) -> K) {
    sort_by(items, |a, b| key(a).cmp(&key(b)));
}

/// Sorts by the items' own order.
pub fn sort<T: Ord>(items: &mut [T]) {
    sort_by(items, T::cmp);
}

/// Indices `0..len` in the order that `compare` gives them: bottom-up merge sort.
fn sorted_order(len: usize, compare: &mut dyn FnMut(u32, u32) -> Ordering) -> Vec<u32> {
    let mut order: Vec<u32> = (0..len as u32).collect();
    let mut merged: Vec<u32> = Vec::with_capacity(len);
    let mut run_len = 1;
    while run_len < len {
        merged.clear();
        for pair in order.chunks(run_len * 2) {
            let (mut left, mut right) = pair.split_at(run_len.min(pair.len()));
            while let (Some((&l, left_rest)), Some((&r, right_rest))) =
                (left.split_first(), right.split_first())
            {
                if compare(r, l) == Ordering::Less {
                    merged.push(r);
                    right = right_rest;
                } else {
                    merged.push(l);
                    left = left_rest;
                }
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        core::mem::swap(&mut order, &mut merged);
        run_len *= 2;
    }
    order
}

/// Moves items so that place `i` holds what was at `order[i]`, cycle by cycle.
fn arrange(mut order: Vec<u32>, swap: &mut dyn FnMut(usize, usize)) {
    for start in 0..order.len() {
        let mut place = start;
        while let Some(source) = order.get_mut(place) {
            let from = core::mem::replace(source, place as u32) as usize;
            if from == start {
                break;
            }
            swap(place, from);
            place = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_library_on_every_length_and_keeps_equal_items_in_order() {
        for len in (0..70).chain([255, 256, 257, 1000]) {
            for n_keys in [1, 2, 7, 100_000] {
                // Any scattered numbers do.
                let key = |i: u64| ((i * 2654435761 + len) >> 7) as u32 % n_keys;
                let mut items: Vec<(u32, u64)> = (0..len).map(|i| (key(i), i)).collect();
                let mut expected = items.clone();
                expected.sort_by_key(|item| item.0);
                sort_by_key(&mut items, |item| item.0);
                assert_eq!(items, expected, "{len} items, {n_keys} keys");
            }
        }
    }

    #[test]
    fn sorts_what_cannot_be_copied() {
        let mut words: Vec<alloc::string::String> =
            ["pear", "fig", "", "apple", "fig"].map(Into::into).to_vec();
        sort(&mut words);
        assert_eq!(words, ["", "apple", "fig", "fig", "pear"]);
    }
}
