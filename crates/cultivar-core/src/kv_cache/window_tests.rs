//! Layers with a sliding window against a plain list of positions: which pages are held, given
//! back, found again, and that no order of calls runs out of pages.

use super::tests::{SHAPE, append, content, expected, ids};
use super::*;
use crate::rng::{self, Purpose};
use alloc::vec::Vec;

const WINDOW: usize = 70;

/// Layer 0 sees everything, layer 1 the last 70 positions.
fn cache() -> KvCache {
    KvCache::new(SHAPE, [None, Some(WINDOW)].into_iter(), 32).unwrap()
}

/// Bytes of a page of one of the layers.
fn page_bytes() -> u64 {
    SHAPE.page_bytes(KvFormat::F32) / 2
}

/// What the last row sees is what these tokens give.
fn check(kv: &KvCache, sequence: SequenceId, tokens: &[usize]) {
    assert_eq!(kv.len(sequence).unwrap(), tokens.len());
    let query = [0.3, -0.2, 0.5, 0.1];
    for layer in 0..2 {
        let first = tokens.len().saturating_sub([usize::MAX, WINDOW][layer]);
        let at = HeadAddress {
            sequence,
            layer,
            kv_head: 1,
        };
        let view = View {
            first,
            scale: 1.0,
            softcap: 0.0,
        };
        let (mut out, mut scores) = ([0.0; 4], alloc::vec![0.0; tokens.len() - first]);
        kv.attend(Backend::Fast, &mut out, &query, at, &mut scores, view)
            .unwrap();
        let want = expected(&tokens[first..], &query, layer, 1);
        for (o, w) in out.iter().zip(want) {
            assert!((f64::from(*o) - w).abs() <= 1e-5, "{layer}: {o} {w}");
        }
    }
}

/// Appends as a prompt is read: in batches of up to 32.
fn extend(kv: &mut KvCache, id: SequenceId, tokens: &[usize]) {
    tokens.chunks(32).for_each(|chunk| append(kv, id, chunk));
}

#[test]
fn a_long_sequence_holds_the_pages_of_its_window() {
    let mut kv = cache();
    let tokens: Vec<usize> = (0..1000).collect();
    let id = kv.open(1024, KvFormat::F32).unwrap();
    // 32 pages that see everything, and of the others no more than may be held at once.
    let n_sliding = (WINDOW + 32).div_ceil(PAGE_LEN) as u64 + 2;
    assert_eq!(kv.allocated_bytes(), (32 + n_sliding) * page_bytes());
    assert_eq!(kv.sliding_bytes(), n_sliding * page_bytes());
    for n in [64, 200, 700, 1000] {
        let len = kv.len(id).unwrap();
        extend(&mut kv, id, &tokens[len..n]);
        check(&kv, id, &tokens[..n]);
    }
    assert!(kv.used_bytes() <= (32 + n_sliding) * page_bytes());
    assert_eq!(kv.allocated_bytes(), (32 + n_sliding) * page_bytes());
    // A little back is at hand; where the window would begin in what is gone, nothing is kept.
    assert_eq!(kv.rewind(id, 975).unwrap(), 975);
    check(&kv, id, &tokens[..975]);
    extend(&mut kv, id, &tokens[975..1000]);
    assert_eq!(kv.rewind(id, 500).unwrap(), 0);
    assert_eq!(kv.used_bytes(), 0);
    extend(&mut kv, id, &tokens[..500]);
    check(&kv, id, &tokens[..500]);
    assert_eq!(kv.rewind(id, 20).unwrap(), 0);
    assert_eq!(kv.rewind(id, 0).unwrap(), 0);
    kv.close(id);
    assert_eq!(kv.allocated_bytes(), 0);
}

#[test]
fn a_prefix_is_found_by_the_pages_that_its_next_row_sees() {
    let mut kv = cache();
    let tokens: Vec<usize> = (0..330).collect();
    let all = ids(&tokens);
    let a = kv.open(400, KvFormat::F32).unwrap();
    for chunk in tokens.chunks(32) {
        append(&mut kv, a, chunk);
        kv.publish(a, &content(&all)).unwrap();
    }
    let b = kv.open(400, KvFormat::F32).unwrap();
    assert_eq!(kv.adopt(b, &content(&all)).unwrap().n_hits, 10);
    check(&kv, b, &tokens[..320]);
    extend(&mut kv, b, &tokens[320..]);
    check(&kv, b, &tokens);
    // Of a shorter beginning the windows are gone, though the other layers have it whole.
    let c = kv.open(400, KvFormat::F32).unwrap();
    let counts = kv.adopt(c, &content(&all[..128])).unwrap();
    assert_eq!((counts.n_hits, counts.n_misses), (0, 4));
    extend(&mut kv, c, &tokens[..128]);
    kv.publish(c, &content(&all)).unwrap();
    check(&kv, c, &tokens[..128]);
    // As a snapshot: the pages of the window alone, and on from there.
    let mut bytes = Vec::new();
    kv.write_pages(b, 325, &mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, kv.stored_bytes(325, KvFormat::F32));
    assert!((bytes.len() as u64) < 2 * 11 * page_bytes());
    let d = kv.open(400, KvFormat::F32).unwrap();
    kv.read_pages(d, 325, &bytes).unwrap();
    check(&kv, d, &tokens[..325]);
    extend(&mut kv, d, &tokens[325..]);
    check(&kv, d, &tokens);
    assert_eq!(kv.rewind(d, 100).unwrap(), 0);
}

/// Sequences of a few beginnings, forked, continued, rewound, named and adopted at random: every
/// one reads what it wrote, and pages never lack.
#[test]
fn no_order_of_calls_runs_out_of_pages() {
    let mut n_drawn = 0;
    let mut draw = |n: usize| {
        n_drawn += 1;
        rng::draw(5, Purpose::TestWeights, n_drawn)[0] as usize % n
    };
    let mut kv = cache();
    let mut live: Vec<(SequenceId, Vec<usize>)> = Vec::new();
    for _ in 0..3000 {
        let n_live = live.len();
        let which = draw(n_live.max(1));
        match (draw(8), live.get_mut(which)) {
            (0, _) | (_, None) if n_live < 6 => {
                let id = kv.open(1 + draw(400), KvFormat::F32).unwrap();
                live.push((id, Vec::new()));
            }
            (1, Some((id, tokens))) if n_live < 6 => {
                let fork = (kv.fork(*id).unwrap(), tokens.clone());
                live.push(fork);
            }
            (2, Some((id, tokens))) => {
                let kept = kv.rewind(*id, draw(tokens.len() + 1)).unwrap();
                tokens.truncate(kept);
            }
            (3, Some(_)) => kv.close(live.swap_remove(which).0),
            (4, Some((id, tokens))) => {
                kv.set_room(*id, tokens.len() + draw(200)).unwrap();
            }
            (5, Some((id, tokens))) => {
                // As a prompt that begins like others.
                let n_more = (kv.max_len(*id).unwrap() - tokens.len()).min(draw(200));
                let wanted = tokens.len()..tokens.len() + n_more;
                let mut all = tokens.clone();
                all.extend(wanted);
                kv.adopt(*id, &content(&ids(&all))).unwrap();
                all.truncate(kv.len(*id).unwrap());
                *tokens = all;
            }
            (_, Some((id, tokens))) => {
                let room = kv.max_len(*id).unwrap() - tokens.len();
                for _ in 0..room.min(draw(90)) {
                    let token = tokens.len() + usize::from(draw(100) == 0);
                    append(&mut kv, *id, &[token]);
                    tokens.push(token);
                    kv.publish(*id, &content(&ids(tokens))).unwrap();
                }
            }
            _ => {}
        }
        for (id, tokens) in live.iter().filter(|(_, tokens)| !tokens.is_empty()) {
            check(&kv, *id, tokens);
        }
    }
    live.into_iter().for_each(|(id, _)| kv.close(id));
    kv.set_budget(KvBudget {
        retained_bytes: 0,
        ..KvBudget::default()
    });
    assert_eq!(kv.allocated_bytes(), 0);
}
