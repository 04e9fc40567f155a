//! The engine against the naive f64 forward pass, and against itself: chunks, batches, backends,
//! forks and rewinds change no bit.

use cultivar_core::kernels::Backend;
use cultivar_core::kv_cache::KvFormat;
use cultivar_core::model::{Engine, EngineOptions, ModelErrorKind, Row};
use cultivar_core::package::Package;
use cultivar_testdata::loading::load_engine;
use cultivar_testdata::models::ModelSpec;
use cultivar_testdata::reference;
use cultivar_testdata::variants::variants;

const IDS: [u32; 40] = [
    256, 84, 104, 101, 32, 99, 97, 116, 32, 115, 97, 116, 32, 111, 110, 32, 116, 104, 101, 32, 109,
    97, 116, 46, 32, 73, 116, 32, 119, 97, 115, 32, 119, 97, 114, 109, 10, 0, 255, 257,
];

fn engine(bytes: &[u8], max_rows: usize, backend: Backend) -> Engine {
    let options = EngineOptions {
        max_rows,
        max_logit_rows: max_rows,
        backend,
    };
    load_engine(bytes, options)
}

/// Logits bits of every position, computed in chunks.
fn run(engine: &mut Engine, kv: KvFormat, chunk: usize) -> Vec<Vec<u32>> {
    let sequence = engine.open_sequence(IDS.len(), kv).unwrap();
    let mut logits = Vec::new();
    for (i, ids) in IDS.chunks(chunk).enumerate() {
        let rows: Vec<Row> = (0..ids.len())
            .map(|t| Row {
                sequence,
                position: (i * chunk + t) as u32,
                token: ids[t],
                wants_logits: true,
            })
            .collect();
        engine.forward(&rows).unwrap();
        logits.extend((0..ids.len()).map(|t| bits(engine.logits(t))));
    }
    engine.close_sequence(sequence);
    logits
}

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|v| v.to_bits()).collect()
}

/// The plain model and one for every family of options.
fn all_specs(format: &'static str) -> Vec<ModelSpec> {
    let mut specs = variants(format);
    specs.push(ModelSpec::tiny(format));
    specs
}

#[test]
fn logits_are_near_the_oracle() {
    // Logits here spread by about 1. Floats differ by rounding; quantized weights also read
    // activations of 8 bits, which costs about 1 part in 250 per matrix. Ceilings: worst, rms.
    let rounding = (2e-5, 4e-6);
    let codes = (0.16, 0.035);
    let cases = [
        ("f32", rounding),
        ("f16", rounding),
        ("bf16", rounding),
        ("q8_0", codes),
        ("q4_0", codes),
        ("q5_0", codes),
        ("q4_k", codes),
        ("q6_k", codes),
    ];
    for (format, (worst_ceiling, rms_ceiling)) in cases {
        for spec in all_specs(format) {
            let bytes = spec.build();
            let expected = reference::forward(&Package::parse(&bytes).unwrap(), &IDS);
            let mut engine = engine(&bytes, 8, Backend::Fast);
            let got = run(&mut engine, KvFormat::F32, 8);
            let pairs = got.iter().flatten().zip(expected.iter().flatten());
            let errors: Vec<f64> = pairs
                .map(|(got, want)| f64::from(f32::from_bits(*got)) - want)
                .collect();
            let worst = errors
                .iter()
                .fold(0.0f64, |worst, error| worst.max(error.abs()));
            let rms = (errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64).sqrt();
            assert!(
                worst < worst_ceiling && rms < rms_ceiling,
                "{} {format}: {worst} {rms}",
                spec.name
            );
        }
    }
}

#[test]
fn chunks_and_backends_change_no_bit() {
    let of_formats =
        ["f32", "f16", "bf16", "q8_0", "q4_0", "q5_0", "q4_k", "q6_k"].map(ModelSpec::tiny);
    for spec in variants("q8_0").into_iter().chain(of_formats) {
        let bytes = spec.build();
        let case = format!("{} {}", spec.name, spec.format);
        for kv in KvFormat::ALL {
            let expected = run(&mut engine(&bytes, 1, Backend::Scalar), kv, 1);
            for chunk in [1, 3, 16, IDS.len()] {
                let got = run(&mut engine(&bytes, chunk, Backend::Fast), kv, chunk);
                assert_eq!(got, expected, "{case} {kv:?} chunks of {chunk}");
            }
        }
    }
}

#[test]
fn a_batch_of_sequences_equals_each_alone() {
    for spec in all_specs("q8_0") {
        check_batch(&mut engine(&spec.build(), 48, Backend::Fast), spec.name);
    }
}

fn check_batch(engine: &mut Engine, name: &str) {
    let prompts = [&IDS[..5], &IDS[3..33], &IDS[20..28]];
    let alone: Vec<Vec<u32>> = prompts
        .iter()
        .map(|ids| {
            let sequence = engine.open_sequence(32, KvFormat::F16).unwrap();
            for (position, &token) in ids.iter().enumerate() {
                let position = position as u32;
                engine
                    .forward(&[Row {
                        sequence,
                        position,
                        token,
                        wants_logits: true,
                    }])
                    .unwrap();
            }
            bits(engine.logits(0))
        })
        .collect();
    let sequences = [(); 3].map(|()| engine.open_sequence(32, KvFormat::F16).unwrap());
    let mut rows = Vec::new();
    // Rows of the sequences alternate, so that neither is contiguous.
    for position in 0..30u32 {
        for (ids, &sequence) in prompts.iter().zip(&sequences) {
            if let Some(&token) = ids.get(position as usize) {
                let wants_logits = position as usize + 1 == ids.len();
                rows.push(Row {
                    sequence,
                    position,
                    token,
                    wants_logits,
                });
            }
        }
    }
    engine.forward(&rows).unwrap();
    let order: Vec<_> = rows.iter().filter(|row| row.wants_logits).collect();
    for (i, row) in order.iter().enumerate() {
        let which = sequences.iter().position(|s| *s == row.sequence).unwrap();
        assert_eq!(
            bits(engine.logits(i)),
            alone[which],
            "{name}, sequence {which}"
        );
    }
}

#[test]
fn forks_and_rewinds_change_no_bit() {
    for spec in all_specs("q4_0") {
        let mut engine = engine(&spec.build(), IDS.len(), Backend::Fast);
        let whole = run(&mut engine, KvFormat::F16, IDS.len());
        let sequence = engine.open_sequence(IDS.len(), KvFormat::F16).unwrap();
        let row = |sequence, position: usize| Row {
            sequence,
            position: position as u32,
            token: IDS[position],
            wants_logits: true,
        };
        let rows: Vec<Row> = (0..36).map(|p| row(sequence, p)).collect();
        engine.forward(&rows).unwrap();
        engine.rewind_sequence(sequence, 33).unwrap();
        let fork = engine.fork_sequence(sequence).unwrap();
        for sequence in [fork, sequence] {
            let rows: Vec<Row> = (33..IDS.len()).map(|p| row(sequence, p)).collect();
            engine.forward(&rows).unwrap();
            for (i, expected) in whole[33..].iter().enumerate() {
                assert_eq!(bits(engine.logits(i)), *expected, "{} row {i}", spec.name);
            }
        }
    }
}

#[test]
fn wrong_rows_are_refused_and_change_nothing() {
    let bytes = ModelSpec::tiny("f32").build();
    let mut engine = engine(&bytes, 4, Backend::Fast);
    let sequence = engine.open_sequence(10, KvFormat::F32).unwrap();
    let row = |position, token| Row {
        sequence,
        position,
        token,
        wants_logits: true,
    };
    engine.forward(&[row(0, 5), row(1, 6)]).unwrap();
    let refused: [&[Row]; 5] = [
        &[row(2, 258)],
        &[row(3, 1)],
        &[row(2, 1), row(2, 1)],
        &[row(2, 1), row(3, 1), row(4, 1), row(5, 1), row(6, 1)],
        &[row(0, 1)],
    ];
    for rows in refused {
        assert!(engine.forward(rows).is_err());
        assert_eq!(engine.kv().len(sequence).unwrap(), 2);
    }
    let past = engine.forward(&[row(160, 1)]).unwrap_err();
    assert_eq!(past.kind, ModelErrorKind::PastContext(160, 160));
    engine.forward(&[row(2, 7)]).unwrap();
    let after = bits(engine.logits(0));
    let other = engine.open_sequence(10, KvFormat::F32).unwrap();
    let row = |position, token| Row {
        sequence: other,
        position,
        token,
        wants_logits: true,
    };
    engine.forward(&[row(0, 5), row(1, 6), row(2, 7)]).unwrap();
    assert_eq!(bits(engine.logits(2)), after);
}
