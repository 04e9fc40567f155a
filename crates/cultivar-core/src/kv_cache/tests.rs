//! The cache against a plain list of positions: fork, rewind, copy on write, commit, limits.

use super::*;
use alloc::vec;

const SHAPE: KvShape = KvShape {
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

fn key_of(token: usize, layer: usize, kv_head: usize) -> [f32; 4] {
    core::array::from_fn(|d| {
        ((token * 31 + layer * 7 + kv_head * 3 + d * 5) % 97) as f32 * 0.02 - 1.0
    })
}

fn append(kv: &mut KvCache, id: SequenceId, tokens: &[usize]) {
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
fn expected(tokens: &[usize], query: &[f32; 4], layer: usize, kv_head: usize) -> [f64; 4] {
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
        let mut kv = KvCache::new(SHAPE);
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
    let mut kv = KvCache::new(SHAPE);
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
    let mut kv = KvCache::new(SHAPE);
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
    let mut kv = KvCache::new(SHAPE);
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
    let mut kv = KvCache::new(SHAPE);
    let id = kv.open(40, KvFormat::F32).unwrap();
    append(&mut kv, id, &range(0, 5));
    kv.prepare(id, 30).unwrap();
    assert_eq!(kv.len(id).unwrap(), 5);
    append(&mut kv, id, &range(5, 8));
    check(&kv, id, &range(0, 8), 1e-5);
}

#[test]
fn every_rule_has_its_error() {
    let mut kv = KvCache::new(SHAPE);
    let id = kv.open(40, KvFormat::F32).unwrap();
    let kind = |result: Result<(), KvError>| result.unwrap_err().kind;
    assert_eq!(kind(kv.prepare(id, 41)), KvErrorKind::SequenceFull);
    assert_eq!(kind(kv.commit(id, 1)), KvErrorKind::NotPrepared);
    assert_eq!(kind(kv.rewind(id, 1)), KvErrorKind::RewindForward);
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
    let mut kv = KvCache::new(huge);
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
        let mut kv = KvCache::new(SHAPE);
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
