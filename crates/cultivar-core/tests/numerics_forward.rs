//! The whole forward pass against the naive f64 one: error ceilings for every weight format and
//! KV format, on the two shapes of random models. `docs/numerics.md` quotes the figures.

use cultivar_core::kernels::Backend;
use cultivar_core::kv_cache::KvFormat;
use cultivar_core::model::{EngineOptions, Row};
use cultivar_core::package::Package;
use cultivar_testdata::loading::load_engine;
use cultivar_testdata::models::ModelSpec;
use cultivar_testdata::reference;

/// More than two pages of positions.
const N_IDS: usize = 70;

/// The root of the mean square error of all logits, as a part of their own root mean square.
fn relative_error(spec: &ModelSpec, expected: &[Vec<f64>], kv: KvFormat, ids: &[u32]) -> f64 {
    let options = EngineOptions {
        max_rows: 8,
        max_logit_rows: 8,
        backend: Backend::Fast,
    };
    let mut engine = load_engine(&spec.build(), options);
    let sequence = engine.open_sequence(ids.len(), kv).unwrap();
    let (mut error, mut size) = (0.0, 0.0);
    for (i, chunk) in ids.chunks(8).enumerate() {
        let row = |(t, &token): (usize, &u32)| {
            let position = (8 * i + t) as u32;
            Row {
                sequence,
                position,
                token,
                wants_logits: true,
            }
        };
        let rows: Vec<Row> = chunk.iter().enumerate().map(row).collect();
        engine.forward(&rows).unwrap();
        for t in 0..rows.len() {
            for (got, expected) in engine.logits(t).iter().zip(&expected[8 * i + t]) {
                error += (f64::from(*got) - expected).powi(2);
                size += expected.powi(2);
            }
        }
    }
    (error / size).sqrt()
}

#[test]
fn errors_of_every_format_keep_their_ceilings() {
    let ids: Vec<u32> = (0..N_IDS as u32).map(|i| i * i * 31 % 258).collect();
    // Ceilings with KV in f32, f16 and q8.
    let cases = [
        ("f32", [1e-6, 1e-3, 2e-2]),
        ("f16", [1e-6, 1e-3, 2e-2]),
        ("bf16", [1e-6, 1e-3, 2e-2]),
        ("q8_0", [0.03, 0.03, 0.03]),
        ("q4_0", [0.03, 0.03, 0.03]),
        ("q5_0", [0.03, 0.03, 0.03]),
        ("q4_k", [0.03, 0.03, 0.03]),
        ("q6_k", [0.03, 0.03, 0.03]),
    ];
    for (format, ceilings) in cases {
        for spec in [ModelSpec::tiny(format), ModelSpec::untied(format)] {
            let expected = reference::forward(&Package::parse(&spec.build()).unwrap(), &ids);
            for (kv, ceiling) in KvFormat::ALL.into_iter().zip(ceilings) {
                let error = relative_error(&spec, &expected, kv, &ids);
                let case = format!("{} {format} kv {}", spec.name, kv.name());
                println!("{case}: {error:e}");
                assert!(error < ceiling, "{case}: {error:e}");
            }
        }
    }
}
