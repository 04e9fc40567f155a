//! The cache against a plain list of positions: fork, rewind, copy on write, commit, limits.

use super::*;
use crate::digest::Digest;
use alloc::vec;

pub(super) const SHAPE: KvShape = KvShape {
    n_layers: 2,
    n_kv_heads: 2,
    head_dim: 4,
};

/// Everything, unscaled.
const WHOLE: View = View {
    first: 0,
    scale: 1.0,
    softcap: 0.0,
};

/// An empty cache whose layers all see everything.
fn cache() -> KvCache {
    KvCache::new(SHAPE, [None; SHAPE.n_layers].into_iter(), 32).unwrap()
}

fn key_of(token: usize, layer: usize, kv_head: usize) -> [f32; 4] {
    core::array::from_fn(|d| {
        ((token * 31 + layer * 7 + kv_head * 3 + d * 5) % 97) as f32 * 0.02 - 1.0
    })
}

pub(super) fn append(kv: &mut KvCache, id: SequenceId, tokens: &[usize]) {
    kv.prepare(id, tokens.len()).unwrap();
    let len = kv.len(id).unwrap();
    for (i, &token) in tokens.iter().enumerate() {
        for layer in 0..SHAPE.n_layers {
            for kv_head in 0..SHAPE.n_kv_heads {
                let key = key_of(token, layer, kv_head);
                let at = HeadAddress {
                    sequence: id,
                    layer,
                    kv_head,
                };
                kv.write(at, len + i, &key, &key.map(|v| v * 2.0)).unwrap();
            }
        }
    }
    kv.commit(id, tokens.len()).unwrap();
}

/// Attention over a sequence that holds these tokens, in f64.
pub(super) fn expected(
    tokens: &[usize],
    query: &[f32; 4],
    layer: usize,
    kv_head: usize,
) -> [f64; 4] {
    let scores = tokens.iter().map(|&token| {
        let key = key_of(token, layer, kv_head);
        query
            .iter()
            .zip(key)
            .map(|(q, k)| f64::from(*q) * f64::from(k))
            .sum::<f64>()
    });
    let e: alloc::vec::Vec<f64> = scores.map(crate::math::exp_f64).collect();
    let sum: f64 = e.iter().sum();
    core::array::from_fn(|d| {
        let weighted = tokens
            .iter()
            .zip(&e)
            .map(|(&token, e)| e * 2.0 * f64::from(key_of(token, layer, kv_head)[d]));
        weighted.sum::<f64>() / sum
    })
}

fn check(kv: &KvCache, id: SequenceId, tokens: &[usize], tolerance: f64) {
    assert_eq!(kv.len(id).unwrap(), tokens.len());
    let query = [0.3, -0.2, 0.5, 0.1];
    for layer in 0..SHAPE.n_layers {
        for kv_head in 0..SHAPE.n_kv_heads {
            let at = HeadAddress {
                sequence: id,
                layer,
                kv_head,
            };
            let mut scores = vec![0.0; tokens.len()];
            let mut out = [0.0; 4];
            kv.attend(Backend::Fast, &mut out, &query, at, &mut scores, WHOLE)
                .unwrap();
            let want = expected(tokens, &query, layer, kv_head);
            for (o, w) in out.iter().zip(want) {
                assert!((f64::from(*o) - w).abs() <= tolerance, "{o} {w}");
            }
        }
    }
}

fn range(from: usize, to: usize) -> alloc::vec::Vec<usize> {
    (from..to).collect()
}

#[test]
fn attention_in_every_format_is_near_the_oracle() {
    for (format, tolerance) in [
        (KvFormat::F32, 1e-5),
        (KvFormat::F16, 2e-3),
        (KvFormat::Q8, 4e-2),
    ] {
        let mut kv = cache();
        let id = kv.open(100, format).unwrap();
        for len in [1, 15, 16, 17, 31, 32, 33, 64, 70] {
            let have = kv.len(id).unwrap();
            append(&mut kv, id, &range(have, len));
            check(&kv, id, &range(0, len), tolerance);
        }
    }
}

#[test]
fn forks_share_pages_and_do_not_disturb_each_other() {
    let mut kv = cache();
    let a = kv.open(128, KvFormat::F32).unwrap();
    append(&mut kv, a, &range(0, 70));
    let used = kv.used_bytes();
    let b = kv.fork(a).unwrap();
    assert_eq!(kv.used_bytes(), used, "a fork holds no page of its own");
    append(&mut kv, b, &range(500, 530));
    append(&mut kv, a, &range(900, 905));
    let joined = |from: usize, n: usize| {
        let mut tokens = range(0, 70);
        tokens.extend(range(from, from + n));
        tokens
    };
    check(&kv, a, &joined(900, 5), 1e-5);
    check(&kv, b, &joined(500, 30), 1e-5);
    kv.close(a);
    check(&kv, b, &joined(500, 30), 1e-5);
    kv.close(b);
    assert_eq!(
        kv.allocated_bytes(),
        0,
        "closing the last sequence frees everything"
    );
}

#[test]
fn rewind_below_shared_pages_keeps_the_other_intact() {
    let mut kv = cache();
    let a = kv.open(96, KvFormat::F32).unwrap();
    append(&mut kv, a, &range(0, 80));
    let b = kv.fork(a).unwrap();
    kv.rewind(b, 10).unwrap();
    append(&mut kv, b, &range(200, 286));
    append(&mut kv, a, &range(80, 96));
    let mut tokens = range(0, 10);
    tokens.extend(range(200, 286));
    check(&kv, b, &tokens, 1e-5);
    check(&kv, a, &range(0, 96), 1e-5);
    kv.rewind(a, 0).unwrap();
    assert_eq!(kv.len(a).unwrap(), 0);
    append(&mut kv, a, &range(7, 9));
    check(&kv, a, &range(7, 9), 1e-5);
}

#[test]
fn waiting_pages_are_just_what_may_be_asked_for() {
    let mut kv = cache();
    let a = kv.open(64, KvFormat::F32).unwrap();
    append(&mut kv, a, &range(0, 40));
    let page_bytes = SHAPE.page_bytes(KvFormat::F32);
    let forks: alloc::vec::Vec<_> = (0..4).map(|_| kv.fork(a).unwrap()).collect();
    // Two pages are shared by five; four of the five may still copy the second one.
    assert_eq!(kv.used_bytes(), 2 * page_bytes);
    assert_eq!(kv.allocated_bytes(), 6 * page_bytes);
    for (i, &fork) in forks.iter().enumerate() {
        append(&mut kv, fork, &range(100 * i, 100 * i + 24));
    }
    append(&mut kv, a, &range(900, 924));
    assert_eq!(kv.used_bytes(), 6 * page_bytes);
    kv.rewind(forks[0], 10).unwrap();
    append(&mut kv, forks[0], &range(0, 54));
    kv.rewind(a, 33).unwrap();
    append(&mut kv, a, &range(7, 20));
    kv.close(forks[1]);
    append(&mut kv, forks[2], &[]);
    assert!(kv.allocated_bytes() <= 9 * page_bytes);
}

#[test]
fn only_committed_positions_count() {
    let mut kv = cache();
    let id = kv.open(40, KvFormat::F32).unwrap();
    append(&mut kv, id, &range(0, 5));
    kv.prepare(id, 30).unwrap();
    assert_eq!(kv.len(id).unwrap(), 5);
    append(&mut kv, id, &range(5, 8));
    check(&kv, id, &range(0, 8), 1e-5);
}

#[test]
fn every_rule_has_its_error() {
    let mut kv = cache();
    let id = kv.open(40, KvFormat::F32).unwrap();
    let kind = |result: Result<(), KvError>| result.unwrap_err().kind;
    let forward = kv.rewind(id, 1).map(|_| ());
    assert_eq!(kind(kv.prepare(id, 41)), KvErrorKind::SequenceFull);
    assert_eq!(kind(kv.commit(id, 1)), KvErrorKind::NotPrepared);
    assert_eq!(kind(forward), KvErrorKind::RewindForward);
    let at = HeadAddress {
        sequence: id,
        layer: 0,
        kv_head: 0,
    };
    assert_eq!(
        kind(kv.write(at, 0, &[0.0; 4], &[0.0; 4])),
        KvErrorKind::NotPrepared
    );
    let mut out = [0.0; 4];
    let attended = kv.attend(Backend::Fast, &mut out, &[0.0; 4], at, &mut [0.0; 3], WHOLE);
    assert_eq!(kind(attended), KvErrorKind::NotPrepared);
    kv.close(id);
    assert_eq!(kind(kv.prepare(id, 1)), KvErrorKind::UnknownSequence);
    let huge = KvShape {
        n_layers: 1 << 12,
        n_kv_heads: 1 << 12,
        head_dim: 1 << 12,
    };
    let mut kv = KvCache::new(huge, core::iter::repeat_n(None, 1 << 12), 32).unwrap();
    assert_eq!(
        kv.open(1, KvFormat::F32).unwrap_err().kind,
        KvErrorKind::OutOfMemory
    );
    assert_eq!(kv.allocated_bytes(), 0);
}

#[test]
fn a_window_is_what_a_shorter_sequence_sees() {
    let tokens: Vec<usize> = (0..80).map(|i| i * 13 % 41).collect();
    let query = [0.3, -0.9, 0.7, 0.1];
    for format in KvFormat::ALL {
        let mut kv = cache();
        let id = kv.open(100, format).unwrap();
        append(&mut kv, id, &tokens);
        for (first, end) in [
            (0, 5),
            (3, 4),
            (16, 40),
            (31, 33),
            (32, 64),
            (47, 80),
            (79, 80),
        ] {
            let at = HeadAddress {
                sequence: id,
                layer: 1,
                kv_head: 1,
            };
            let view = View {
                first,
                scale: 1.0,
                softcap: 0.8,
            };
            let mut scores = vec![0.0; end - first];
            let mut out = [0.0; 4];
            kv.attend(Backend::Fast, &mut out, &query, at, &mut scores, view)
                .unwrap();
            let seen = &tokens[first..end];
            let weigh = |key: [f32; 4]| {
                let score: f64 = key.iter().zip(query).map(|(k, q)| f64::from(k * q)).sum();
                (0.8 * (score / 0.8).tanh()).exp()
            };
            let weights: Vec<f64> = seen.iter().map(|t| weigh(key_of(*t, 1, 1))).collect();
            let sum: f64 = weights.iter().sum();
            for (d, got) in out.iter().enumerate() {
                let values = seen.iter().map(|t| 2.0 * f64::from(key_of(*t, 1, 1)[d]));
                let want: f64 = values.zip(&weights).map(|(v, w)| v * w / sum).sum();
                assert!(
                    (f64::from(*got) - want).abs() < 0.03,
                    "{first}..{end}: {got} {want}"
                );
            }
        }
    }
}

/// Tokens as ids, with the root that their pages are named from.
pub(super) fn content(tokens: &[u32]) -> Content<'_> {
    Content {
        root: root_key(&Digest::ZERO, KvFormat::F32),
        tokens,
        changes: &[],
    }
}

pub(super) fn ids(tokens: &[usize]) -> alloc::vec::Vec<u32> {
    tokens.iter().map(|token| *token as u32).collect()
}

#[test]
fn whole_pages_are_found_by_their_content_after_their_holder_is_gone() {
    let mut kv = cache();
    let page_bytes = SHAPE.page_bytes(KvFormat::F32);
    let tokens = range(0, 100);
    let all = ids(&tokens);
    let a = kv.open(128, KvFormat::F32).unwrap();
    append(&mut kv, a, &tokens);
    kv.publish(a, &content(&all)).unwrap();
    // Held by two, and by one more when nobody else is left.
    let b = kv.open(128, KvFormat::F32).unwrap();
    let counts = kv.adopt(b, &content(&all)).unwrap();
    assert_eq!((counts.n_hits, counts.n_misses), (3, 0));
    check(&kv, b, &range(0, 96), 1e-5);
    assert_eq!(kv.used_bytes(), 4 * page_bytes);
    kv.close(a);
    kv.close(b);
    assert_eq!(kv.retained_bytes(), 3 * page_bytes);
    assert_eq!(kv.allocated_bytes(), 3 * page_bytes);
    // Up to the last token but one; what comes after it goes to a copy.
    let c = kv.open(128, KvFormat::F32).unwrap();
    kv.adopt(c, &content(&all[..64])).unwrap();
    check(&kv, c, &range(0, 63), 1e-5);
    append(&mut kv, c, &[700, 701]);
    let mut expected = range(0, 63);
    expected.extend([700, 701]);
    check(&kv, c, &expected, 1e-5);
    let d = kv.open(128, KvFormat::F32).unwrap();
    assert_eq!(kv.adopt(d, &content(&all)).unwrap().n_hits, 3);
    check(&kv, d, &range(0, 96), 1e-5);
    // Another beginning, assembly or storage: nothing is found.
    let mut other = all.clone();
    other[5] = 999;
    let e = kv.open(128, KvFormat::F32).unwrap();
    let counts = kv.adopt(e, &content(&other)).unwrap();
    assert_eq!((counts.n_hits, counts.n_misses), (0, 3));
    let foreign = Content {
        root: root_key(&Digest([1; 32]), KvFormat::F32),
        ..content(&all)
    };
    assert_eq!(kv.adopt(e, &foreign).unwrap().n_hits, 0);
    let assembly = Digest([2; 32]);
    let changes = [AssemblyChange {
        position: 40,
        assembly,
    }];
    let changed = Content {
        changes: &changes,
        ..content(&all)
    };
    assert_eq!(
        kv.adopt(e, &changed).unwrap().n_hits,
        1,
        "only what stands before the change"
    );
    let f = kv.open(128, KvFormat::F16).unwrap();
    assert_eq!(kv.adopt(f, &content(&all)).unwrap().n_hits, 0);
}

#[test]
fn twins_that_were_computed_apart_become_one() {
    let mut kv = cache();
    let tokens = range(0, 64);
    let all = ids(&tokens);
    let sequences: alloc::vec::Vec<_> = (0..4)
        .map(|_| {
            let id = kv.open(96, KvFormat::F32).unwrap();
            append(&mut kv, id, &tokens);
            id
        })
        .collect();
    let page_bytes = SHAPE.page_bytes(KvFormat::F32);
    assert_eq!(kv.used_bytes(), 8 * page_bytes);
    for id in &sequences {
        kv.publish(*id, &content(&all)).unwrap();
    }
    assert_eq!(kv.used_bytes(), 2 * page_bytes);
    for id in &sequences {
        kv.rewind(*id, 40).unwrap();
        append(&mut kv, *id, &range(40, 70));
        check(&kv, *id, &range(0, 70), 1e-5);
    }
}

#[test]
fn what_was_let_go_longest_ago_is_evicted_first() {
    let mut kv = cache();
    let page_bytes = SHAPE.page_bytes(KvFormat::F32);
    let run = |kv: &mut KvCache, from: usize| {
        let tokens = range(from, from + 64);
        let id = kv.open(64, KvFormat::F32).unwrap();
        let counts = kv.adopt(id, &content(&ids(&tokens))).unwrap();
        let len = kv.len(id).unwrap();
        append(kv, id, &tokens[len..]);
        kv.publish(id, &content(&ids(&tokens))).unwrap();
        kv.close(id);
        counts.n_hits
    };
    kv.set_budget(KvBudget {
        retained_bytes: 4 * page_bytes,
        ..KvBudget::default()
    });
    assert_eq!((run(&mut kv, 0), run(&mut kv, 1000)), (0, 0));
    assert_eq!(kv.retained_bytes(), 4 * page_bytes);
    assert_eq!(run(&mut kv, 0), 2);
    // Of the older run the end goes first, so its beginning still serves.
    assert_eq!(run(&mut kv, 2000), 0);
    assert_eq!((kv.retained_bytes(), run(&mut kv, 0)), (4 * page_bytes, 2));
    assert_eq!(run(&mut kv, 1000), 0);
    kv.set_budget(KvBudget {
        retained_bytes: 0,
        ..KvBudget::default()
    });
    assert_eq!(kv.allocated_bytes(), 0);
}

#[test]
fn a_budget_evicts_then_refuses_and_sequences_live() {
    let mut kv = cache();
    let page_bytes = SHAPE.page_bytes(KvFormat::F32);
    kv.set_budget(KvBudget {
        total_bytes: 4 * page_bytes,
        ..KvBudget::default()
    });
    let a = kv.open(96, KvFormat::F32).unwrap();
    append(&mut kv, a, &range(0, 70));
    kv.publish(a, &content(&ids(&range(0, 70)))).unwrap();
    let error = kv.open(64, KvFormat::F32).unwrap_err();
    assert_eq!(
        (error.kind, error.given, error.limit),
        (KvErrorKind::OverBudget, 5 * page_bytes, 4 * page_bytes)
    );
    check(&kv, a, &range(0, 70), 1e-5);
    kv.close(a);
    assert_eq!(kv.retained_bytes(), 2 * page_bytes);
    let b = kv.open(128, KvFormat::F32).unwrap();
    assert_eq!(
        (kv.retained_bytes(), kv.allocated_bytes()),
        (0, 4 * page_bytes)
    );
    append(&mut kv, b, &range(0, 128));
    assert_eq!(kv.peak_bytes(), 4 * page_bytes);
}

#[test]
fn taken_back_positions_are_written_again() {
    let mut kv = cache();
    let id = kv.open(80, KvFormat::F32).unwrap();
    append(&mut kv, id, &range(0, 30));
    append(&mut kv, id, &range(100, 110));
    kv.uncommit(id, 7).unwrap();
    append(&mut kv, id, &range(200, 240));
    let mut expected = range(0, 30);
    expected.extend([100, 101, 102]);
    expected.extend(range(200, 240));
    check(&kv, id, &expected, 1e-5);
    assert_eq!(
        kv.uncommit(id, 74).unwrap_err().kind,
        KvErrorKind::RewindForward
    );
}

#[test]
fn pages_as_bytes_and_back() {
    for format in KvFormat::ALL {
        let mut kv = cache();
        let id = kv.open(80, format).unwrap();
        append(&mut kv, id, &range(0, 70));
        let mut bytes = alloc::vec::Vec::new();
        kv.write_pages(id, 50, &mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, kv.stored_bytes(50, format));
        let copy = kv.open(80, format).unwrap();
        kv.read_pages(copy, 50, &bytes).unwrap();
        append(&mut kv, copy, &range(50, 70));
        let query = [0.3, -0.2, 0.5, 0.1];
        let outs = [id, copy].map(|sequence| {
            let at = HeadAddress {
                sequence,
                layer: 1,
                kv_head: 1,
            };
            let mut out = [0.0; 4];
            let view = View {
                first: 0,
                scale: 1.0,
                softcap: 0.0,
            };
            kv.attend(Backend::Fast, &mut out, &query, at, &mut [0.0; 70], view)
                .unwrap();
            out.map(f32::to_bits)
        });
        assert_eq!(outs[0], outs[1]);
        let refused = kv.write_pages(id, 71, &mut bytes).unwrap_err();
        assert_eq!(refused.kind, KvErrorKind::NotPrepared);
    }
}
