//! The sampler's steps, one by one and together, against what their formulas allow.

use super::*;
use alloc::vec;

fn settings(temperature: f32, top_k: u32, top_p: f32, seed: u64) -> SamplerSettings {
    SamplerSettings {
        temperature,
        top_k,
        top_p,
        seed,
        ..Default::default()
    }
}

fn made(settings: SamplerSettings) -> Sampler {
    Sampler::new(settings, 300).unwrap()
}

#[test]
fn greedy_takes_the_first_of_equals_and_ignores_nan() {
    assert_eq!(greedy(&[1.0, 3.0, 3.0]), 1);
    assert_eq!(greedy(&[f32::NAN, -2.0, f32::NEG_INFINITY]), 1);
    assert_eq!(greedy(&[f32::NAN, f32::NAN]), 0);
    let mut sampler = made(settings(0.0, 40, 1.0, 7));
    assert_eq!(sampler.sample(&[0.0, 5.0, 1.0], &[], 0), 1);
}

#[test]
fn frequencies_follow_the_probabilities() {
    let logits = [0.0f32, 1.0, 2.0, -1.0];
    let total: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
    let mut sampler = made(settings(1.0, 1024, 1.0, 42));
    let mut counts = [0u32; 4];
    for index in 0..40_000 {
        counts[sampler.sample(&logits, &[], index) as usize] += 1;
    }
    for (count, logit) in counts.iter().zip(logits) {
        let expected = f64::from(logit).exp() / total * 40_000.0;
        let deviation = (f64::from(*count) - expected).abs();
        assert!(deviation < 5.0 * expected.sqrt(), "{count} of {expected}");
    }
}

#[test]
fn top_k_and_top_p_bound_what_can_be_chosen() {
    let logits = [2.0f32, 1.9, 1.8, 1.7, 1.6];
    let chosen = |settings: SamplerSettings| {
        let mut sampler = made(settings);
        let mut seen = vec![false; logits.len()];
        for index in 0..2000 {
            seen[sampler.sample(&logits, &[], index) as usize] = true;
        }
        seen.iter().filter(|seen| **seen).count()
    };
    assert_eq!(chosen(settings(1.0, 2, 1.0, 1)), 2);
    assert_eq!(chosen(settings(1.0, 1, 1.0, 1)), 1);
    assert_eq!(chosen(settings(1.0, 5, 1.0, 1)), 5);
    assert_eq!(chosen(settings(1.0, 5, 0.45, 1)), 2);
    assert_eq!(chosen(settings(1.0, 5, 1e-9, 1)), 1);
}

#[test]
fn the_stream_depends_on_seed_and_index_only() {
    let logits: Vec<f32> = (0..300).map(|i| (i * 37 % 101) as f32 * 0.03).collect();
    let text = |seed: u64| {
        let mut sampler = made(settings(0.9, 50, 0.95, seed));
        (0..50)
            .map(|i| sampler.sample(&logits, &[], i))
            .collect::<Vec<_>>()
    };
    assert_eq!(text(5), text(5));
    assert_ne!(text(5), text(6));
    let mut sampler = made(settings(0.9, 50, 0.95, 5));
    assert_eq!(sampler.sample(&logits, &[], 49), text(5)[49]);
}

#[test]
fn unusable_mass_falls_back_to_greedy_and_is_counted() {
    let mut sampler = made(settings(1.0, 10, 1.0, 0));
    assert_eq!(sampler.sample(&[f32::NAN, f32::NAN], &[], 0), 0);
    assert_eq!(sampler.sample(&[1.0, f32::INFINITY], &[], 1), 1);
    assert_eq!(sampler.n_fallbacks(), 2);
    assert_eq!(sampler.sample(&[1.0, f32::NAN, 900.0], &[], 2), 2);
    assert_eq!(sampler.n_fallbacks(), 2);
}

/// Ids that 2000 draws choose, ascending.
fn chosen(settings: SamplerSettings, logits: &[f32], history: &[u32]) -> Vec<u32> {
    let mut sampler = Sampler::new(settings, logits.len()).unwrap();
    let mut seen = vec![false; logits.len()];
    for index in 0..2000 {
        seen[sampler.sample(logits, history, index) as usize] = true;
    }
    (0..logits.len() as u32)
        .filter(|id| seen[*id as usize])
        .collect()
}

#[test]
fn min_p_keeps_what_is_near_the_likeliest() {
    let logits = [3.0f32, 2.0, 1.0, 0.0];
    // Relative probabilities at temperature 1: 1, 0.37, 0.14, 0.05.
    for (min_p, kept) in [(0.0, 4), (0.04, 4), (0.06, 3), (0.2, 2), (0.5, 1), (1.0, 1)] {
        let settings = SamplerSettings {
            min_p,
            ..settings(1.0, 1024, 1.0, 3)
        };
        let all: Vec<u32> = (0..kept).collect();
        assert_eq!(chosen(settings, &logits, &[]), all, "{min_p}");
    }
}

#[test]
fn typical_p_equals_its_definition() {
    let logits: Vec<f32> = (0..12).map(|i| (i * 7 % 12) as f32 * 0.4).collect();
    let p: Vec<f64> = {
        let e: Vec<f64> = logits.iter().map(|l| f64::from(*l).exp()).collect();
        let sum: f64 = e.iter().sum();
        e.iter().map(|e| e / sum).collect()
    };
    let entropy: f64 = p.iter().map(|p| -p * p.ln()).sum();
    let mut order: Vec<u32> = (0..12).collect();
    let deviation = |id: u32| (-p[id as usize].ln() - entropy).abs();
    order.sort_by(|a, b| deviation(*a).total_cmp(&deviation(*b)));
    for typical_p in [0.1f32, 0.3, 0.5, 0.7, 0.9] {
        let mut sum = 0.0;
        let mut kept = Vec::new();
        for id in &order {
            kept.push(*id);
            sum += p[*id as usize];
            if sum >= f64::from(typical_p) {
                break;
            }
        }
        kept.sort_unstable();
        let settings = SamplerSettings {
            typical_p,
            ..settings(1.0, 1024, 1.0, 3)
        };
        assert_eq!(chosen(settings, &logits, &[]), kept, "{typical_p}");
    }
}

#[test]
fn bans_and_bias_rule_the_greedy_choice_too() {
    let logits = [5.0f32, 4.0, 3.0];
    let one = |settings: SamplerSettings| made(settings).sample(&logits, &[0, 0, 0], 0);
    let bans = |ids: &[u32]| SamplerSettings {
        banned_tokens: ids.to_vec(),
        ..Default::default()
    };
    assert_eq!(one(bans(&[])), 0);
    assert_eq!(one(bans(&[0])), 1);
    assert_eq!(one(bans(&[0, 1])), 2);
    let bias = SamplerSettings {
        logit_bias: vec![(2, 2.5)],
        ..Default::default()
    };
    assert_eq!(one(bias), 2);
    let frequency = SamplerSettings {
        frequency_penalty: 0.4,
        ..Default::default()
    };
    assert_eq!(one(frequency), 1);
    let drawn = SamplerSettings {
        banned_tokens: vec![0, 2],
        ..settings(1.0, 1024, 1.0, 3)
    };
    assert_eq!(chosen(drawn, &logits, &[]), [1]);
    // Nothing but NaN is left: the lowest id that is not banned, and the fallback is counted.
    let mut sampler = made(bans(&[0]));
    assert_eq!(sampler.sample(&[1.0, f32::NAN, f32::NAN], &[], 0), 1);
    assert_eq!(sampler.n_fallbacks(), 1);
}

#[test]
fn options_at_their_defaults_leave_no_trace() {
    let of = |settings: SamplerSettings| {
        let mut options = Vec::new();
        settings.for_each_option(|id, words| options.push((id, words.collect::<Vec<u32>>())));
        options
    };
    assert_eq!(of(SamplerSettings::default()), []);
    assert_eq!(of(settings(0.7, 3, 0.5, 9)), [], "these were always there");
    let all = SamplerSettings {
        logit_bias: vec![(1, 2.0), (7, -1.0)],
        banned_tokens: vec![3, 4],
        penalty_window: 5,
        repetition_penalty: 1.5,
        frequency_penalty: 0.5,
        presence_penalty: 0.25,
        typical_p: 0.75,
        min_p: 0.125,
        random_stream: RandomStream::Prompt,
        ..Default::default()
    };
    let bits = f32::to_bits;
    let expected = [
        (1, vec![bits(0.125)]),
        (2, vec![bits(0.75)]),
        (3, vec![bits(1.5)]),
        (4, vec![bits(0.5)]),
        (5, vec![bits(0.25)]),
        (6, vec![5]),
        (7, vec![1, bits(2.0), 7, bits(-1.0)]),
        (8, vec![3, 4]),
        (9, vec![1]),
    ];
    assert_eq!(of(all), expected);
}
