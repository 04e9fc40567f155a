//! Stacks applied live: against baked weights, against themselves in other batches and backends,
//! and with whatever must be refused.

use cultivar_core::adapter::{
    Adapter, FusedCheck, LoadedAdapter, Stack, StackError, StackErrorDetail, StackLimits, StackRule,
};
use cultivar_core::kernels::Backend;
use cultivar_core::kv_cache::{KvFormat, SequenceId};
use cultivar_core::model::{Engine, EngineOptions, Row};
use cultivar_core::package::schema::TensorRole;
use cultivar_core::package::{Head, ModelParts};
use cultivar_core::package::{Package, TensorPlan, write_model};
use cultivar_core::tensor::{Format, codec};
use cultivar_testdata::adapters::{DeltaSpec, adapter_for};
use cultivar_testdata::loading::load_engine;
use cultivar_testdata::models::ModelSpec;
use std::sync::Arc;

const IDS: [u32; 12] = [256, 84, 104, 101, 32, 99, 97, 116, 32, 115, 97, 116];

fn engine(model: &[u8], backend: Backend) -> Engine {
    let options = EngineOptions {
        max_rows: 48,
        max_logit_rows: 48,
        backend,
    };
    load_engine(model, options)
}

fn loaded(engine: &Engine, file: &[u8]) -> Arc<LoadedAdapter> {
    let adapter = Adapter::parse(file).expect("a valid adapter");
    engine
        .load_adapter(&adapter, StackLimits::default())
        .expect("it fits")
}

fn stack(adapters: &[(&Arc<LoadedAdapter>, f32)]) -> Stack {
    let mut stack = Stack::new(3, StackLimits::default());
    for (adapter, weight) in adapters {
        stack.push(Arc::clone(adapter), *weight).expect("room");
    }
    stack
}

fn rows(sequence: SequenceId, start: usize, ids: &[u32]) -> Vec<Row> {
    let row = |(t, &token): (usize, &u32)| Row {
        sequence,
        position: (start + t) as u32,
        token,
        wants_logits: true,
    };
    ids.iter().enumerate().map(row).collect()
}

/// Logits of every position with this stack, in chunks.
fn run(engine: &mut Engine, stack: Option<Stack>, chunk: usize) -> Vec<f32> {
    let sequence = engine.open_sequence(IDS.len(), KvFormat::F32).unwrap();
    let id = stack.map(|stack| engine.add_stack(stack).unwrap());
    engine.use_stack(sequence, id).unwrap();
    let mut logits = Vec::new();
    for (i, ids) in IDS.chunks(chunk).enumerate() {
        engine.forward(&rows(sequence, i * chunk, ids)).unwrap();
        for t in 0..ids.len() {
            logits.extend_from_slice(engine.logits(t));
        }
    }
    engine.close_sequence(sequence);
    if let Some(id) = id {
        engine.remove_stack(id);
    }
    logits
}

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|v| v.to_bits()).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

/// The model with `weight` times each adapter added to its weights, all in f32.
fn baked(model: &[u8], adapters: &[(&Arc<LoadedAdapter>, f32)]) -> Vec<u8> {
    let package = Package::parse(model).unwrap();
    let Head {
        config,
        tokenizer,
        chat_template,
        metadata,
        unknown,
        directory,
        ..
    } = package.head.clone();
    let parts = ModelParts {
        config,
        tokenizer,
        chat_template,
        metadata,
        unknown,
    };
    let f32_format = Format::by_name("f32").unwrap();
    let tensors: Vec<(TensorPlan, Vec<u8>)> = directory
        .entries()
        .iter()
        .map(|entry| {
            let tensor = package.tensor(&entry.name).unwrap();
            let mut values = vec![0.0; entry.d_out() * entry.d_in()];
            for (row, out) in values.chunks_exact_mut(entry.d_in()).enumerate() {
                codec::decode_row(out, tensor, row);
                for (adapter, weight) in adapters {
                    let deltas = adapter.deltas.iter().filter(|d| d.target == entry.name);
                    deltas.for_each(|delta| delta.add_row(out, row, *weight));
                }
            }
            let plan = TensorPlan {
                name: entry.name.clone(),
                format: f32_format,
                shape: entry.shape.clone(),
            };
            (plan, values.iter().flat_map(|v| v.to_le_bytes()).collect())
        })
        .collect();
    let tensors = tensors
        .iter()
        .map(|(plan, bytes)| (plan.clone(), bytes.as_slice()));
    write_model(&parts, tensors.collect(), &[]).unwrap()
}

fn every_kind(model: &[u8]) -> Vec<Vec<u8>> {
    let is_norm = |name: &str| name.contains("norm");
    vec![
        adapter_for(model, 1, DeltaSpec::LowRank(4, "f32"), |_| true),
        adapter_for(model, 2, DeltaSpec::LowRank(3, "f16"), |name| {
            name.contains("w_")
        }),
        adapter_for(model, 3, DeltaSpec::LowRank(19, "bf16"), |name| {
            name.contains("w_q")
        }),
        adapter_for(model, 4, DeltaSpec::Raw("f32"), |name| {
            is_norm(name) || name.contains("w_v")
        }),
        adapter_for(model, 5, DeltaSpec::Raw("f16"), |name| {
            name.contains("token")
        }),
        adapter_for(model, 6, DeltaSpec::Raw("q8_0"), |name| {
            name.contains("w_up")
        }),
        adapter_for(model, 7, DeltaSpec::Sparse(7), |_| true),
    ]
}

#[test]
fn live_is_near_baked() {
    for spec in [ModelSpec::tiny("f32"), ModelSpec::untied("f32")] {
        let model = spec.build();
        let mut engine = engine(&model, Backend::Fast);
        let base = run(&mut engine, None, 12);
        let adapters: Vec<_> = every_kind(&model)
            .iter()
            .map(|file| loaded(&engine, file))
            .collect();
        let mut all = Vec::new();
        for (adapter, weight) in adapters.iter().zip([1.0, 0.5, -1.0, 1.5, 1.0, 1.0, -0.75]) {
            all.push((adapter, weight));
            let live = run(&mut engine, Some(stack(&[(adapter, weight)])), 12);
            let mut fused = self::engine(&baked(&model, &[(adapter, weight)]), Backend::Fast);
            let fused = run(&mut fused, None, 12);
            assert!(
                largest_difference(&base, &live) > 1e-2,
                "{} changes nothing",
                adapter.metadata.text("name").unwrap_or("")
            );
            let difference = largest_difference(&fused, &live);
            assert!(
                difference < 1e-4,
                "{:?}: {difference}",
                adapter.metadata.text("name")
            );
        }
        let live = run(&mut engine, Some(stack(&all)), 12);
        let fused = run(
            &mut self::engine(&baked(&model, &all), Backend::Fast),
            None,
            12,
        );
        let difference = largest_difference(&fused, &live);
        assert!(difference < 2e-4, "all: {difference}");
    }
}

#[test]
fn backends_chunks_and_batches_change_no_bit() {
    for format in ["f32", "q8_0"] {
        let model = ModelSpec::tiny(format).build();
        let mut fast = engine(&model, Backend::Fast);
        let mut scalar = engine(&model, Backend::Scalar);
        let adapters: Vec<_> = every_kind(&model)
            .iter()
            .map(|file| loaded(&fast, file))
            .collect();
        let pairs: Vec<_> = adapters.iter().map(|adapter| (adapter, 0.75)).collect();
        let expected = bits(&run(&mut fast, Some(stack(&pairs)), 12));
        for chunk in [1, 5] {
            assert_eq!(bits(&run(&mut fast, Some(stack(&pairs)), chunk)), expected);
        }
        assert_eq!(bits(&run(&mut scalar, Some(stack(&pairs)), 7)), expected);

        // Sequences with other stacks, and the base, in the same batch.
        let mixes = [
            None,
            Some(stack(&pairs)),
            Some(stack(&pairs[..2])),
            Some(stack(&[(&adapters[0], -1.0), (&adapters[6], 2.0)])),
        ];
        let alone: Vec<_> = mixes
            .iter()
            .map(|mix| run(&mut fast, mix.clone(), 12))
            .collect();
        let mut batch = Vec::new();
        let mut of_sequences = Vec::new();
        for mix in mixes {
            let sequence = fast.open_sequence(IDS.len(), KvFormat::F32).unwrap();
            let id = mix.map(|mix| fast.add_stack(mix).unwrap());
            fast.use_stack(sequence, id).unwrap();
            batch.push(rows(sequence, 0, &IDS));
            of_sequences.push(sequence);
        }
        // Interleaved: row t of each sequence in turn.
        let rows: Vec<Row> = (0..IDS.len())
            .flat_map(|t| batch.iter().map(move |r| r[t]))
            .collect();
        fast.forward(&rows).unwrap();
        for (i, row) in rows.iter().enumerate() {
            let which = of_sequences
                .iter()
                .position(|s| *s == row.sequence)
                .unwrap();
            let n = fast.logits(i).len();
            let expected = &alone[which][row.position as usize * n..][..n];
            assert_eq!(bits(fast.logits(i)), bits(expected), "{format} row {i}");
        }
    }
}

#[test]
fn weight_zero_is_the_base_and_a_weight_changes_the_next_token() {
    for format in ["f32", "q8_0", "q4_0"] {
        let model = ModelSpec::tiny(format).build();
        let mut engine = engine(&model, Backend::Fast);
        let base = bits(&run(&mut engine, None, 12));
        let adapters: Vec<_> = every_kind(&model)
            .iter()
            .map(|file| loaded(&engine, file))
            .collect();
        for zero in [0.0, -0.0] {
            let off: Vec<_> = adapters.iter().map(|adapter| (adapter, zero)).collect();
            assert_eq!(
                bits(&run(&mut engine, Some(stack(&off)), 12)),
                base,
                "{format}"
            );
        }
        // One adapter among silent ones is the adapter alone.
        let mut one: Vec<_> = adapters.iter().map(|adapter| (adapter, 0.0)).collect();
        one[1].1 = 1.0;
        let among = run(&mut engine, Some(stack(&one)), 12);
        let alone = run(&mut engine, Some(stack(&one[1..2])), 12);
        assert_eq!(bits(&among), bits(&alone));

        // A weight changed in place is a stack made with that weight.
        let mut changed = stack(&[(&adapters[0], 0.25), (&adapters[1], 1.0)]);
        changed.set_weight(0, -2.0).unwrap();
        let made = stack(&[(&adapters[0], -2.0), (&adapters[1], 1.0)]);
        assert_eq!(
            changed.assembly(&adapters[0].weights),
            made.assembly(&adapters[0].weights)
        );
        let changed = run(&mut engine, Some(changed), 12);
        assert_eq!(bits(&changed), bits(&run(&mut engine, Some(made), 12)));
    }
}

#[test]
fn lists_of_factors_refine_a_weight() {
    let model = ModelSpec::tiny("f32").build();
    let mut engine = engine(&model, Backend::Fast);
    let file = adapter_for(&model, 1, DeltaSpec::LowRank(4, "f32"), |n| {
        n.starts_with("layers")
    });
    let of_layer_1 = adapter_for(&model, 1, DeltaSpec::LowRank(4, "f32"), |n| {
        n.starts_with("layers.1")
    });
    let of_w_q = adapter_for(&model, 1, DeltaSpec::LowRank(4, "f32"), |n| {
        n.contains("w_q")
    });
    let all = loaded(&engine, &file);
    let base = all.weights;
    let plain = stack(&[(&all, 1.0)]);

    let mut by_layer = plain.clone();
    by_layer.set_layer_weights(0, &[0.0, 1.0, 0.0]).unwrap();
    assert_ne!(by_layer.assembly(&base), plain.assembly(&base));
    let only = stack(&[(&loaded(&engine, &of_layer_1), 1.0)]);
    assert_eq!(
        bits(&run(&mut engine, Some(by_layer.clone()), 12)),
        bits(&run(&mut engine, Some(only), 12))
    );

    use TensorRole::{WDown, WGate, WUp, Wk, Wo, Wq, Wv};
    let mut by_module = plain.clone();
    let silent = [Wk, Wv, Wo, WGate, WUp, WDown].map(|role| (role, 0.0));
    by_module
        .set_module_weights(0, &[silent.as_slice(), &[(Wq, -1.5)]].concat())
        .unwrap();
    let only = stack(&[(&loaded(&engine, &of_w_q), -1.5)]);
    assert_eq!(
        bits(&run(&mut engine, Some(by_module), 12)),
        bits(&run(&mut engine, Some(only), 12))
    );

    by_layer.set_layer_weights(0, &[]).unwrap();
    assert_eq!(by_layer.assembly(&base), plain.assembly(&base));
    let refused = by_layer.set_layer_weights(0, &[1.0]).unwrap_err();
    assert_eq!(refused.code(), StackRule::LayerWeights.code());
}

#[test]
fn what_is_refused_changes_nothing() {
    let model = ModelSpec::tiny("q8_0").build();
    let engine = engine(&model, Backend::Fast);
    let adapter = loaded(&engine, &every_kind(&model)[0]);
    let mut stack = Stack::new(
        3,
        StackLimits {
            max_adapters: 2,
            max_bytes: adapter.bytes * 2,
        },
    );
    stack.push(Arc::clone(&adapter), 1.0).unwrap();
    let base = adapter.weights;
    let before = stack.assembly(&base);
    let rule = |result: Result<(), StackError>| result.unwrap_err().code() - 470;
    let code = |rule: StackRule| rule.code() - 470;
    assert_eq!(
        rule(stack.set_weight(0, f32::NAN)),
        code(StackRule::WeightNotFinite)
    );
    assert_eq!(
        rule(stack.set_weight(0, f32::INFINITY)),
        code(StackRule::WeightNotFinite)
    );
    assert_eq!(
        rule(stack.set_weight(0, 3e38)),
        code(StackRule::WeightTooLarge)
    );
    assert_eq!(
        rule(stack.set_weight(1, 1.0)),
        code(StackRule::NoSuchAdapter)
    );
    assert_eq!(rule(stack.remove(7)), code(StackRule::NoSuchAdapter));
    assert_eq!(rule(stack.move_to(0, 1)), code(StackRule::NoSuchAdapter));
    let refused = stack.push(Arc::clone(&adapter), f32::NAN).map(|_| ());
    assert_eq!(rule(refused), code(StackRule::WeightNotFinite));
    assert_eq!(stack.assembly(&base), before);
    stack.push(Arc::clone(&adapter), -1.0).unwrap();
    let refused = stack.push(Arc::clone(&adapter), 1.0).map(|_| ());
    assert_eq!(rule(refused), code(StackRule::TooMany));
    assert_eq!(stack.entries().len(), 2);
    stack.move_to(1, 0).unwrap();
    assert_eq!(stack.entries()[0].weight(), -1.0);
    stack.remove(0).unwrap();
    assert_eq!(stack.assembly(&base), before);

    let small = StackLimits {
        max_adapters: 2,
        max_bytes: adapter.bytes + 1,
    };
    let mut stack = Stack::new(3, small);
    stack.push(Arc::clone(&adapter), 1.0).unwrap();
    let refused = stack.push(Arc::clone(&adapter), 1.0).map(|_| ());
    assert_eq!(rule(refused), code(StackRule::TooLarge));
    let file = every_kind(&model)[0].clone();
    let tight = StackLimits {
        max_bytes: 100,
        ..small
    };
    let refused = engine
        .load_adapter(&Adapter::parse(&file).unwrap(), tight)
        .unwrap_err();
    assert_eq!(refused.code(), StackRule::TooLarge.code());
    for rule in StackRule::ALL {
        let error = StackError::Rule(Box::new(StackErrorDetail {
            rule,
            name: cultivar_core::bytes::ShortText::new("layers.0.w_q"),
            numbers: [1, 2],
        }));
        assert!(error.to_string().ends_with('.'), "{error}");
    }
}

/// Base plus delta must fit the base's own format, whatever that is.
#[test]
fn sums_that_overflow_the_base_are_refused_by_row() {
    for format in ["f32", "f16", "q8_0", "q4_0", "q4_k", "q6_k"] {
        let model = ModelSpec::tiny(format).build();
        let engine = engine(&model, Backend::Fast);
        let huge = |scale: f32| {
            let file = adapter_for(&model, 9, DeltaSpec::LowRank(2, "f32"), |n| {
                n == "layers.1.w_o"
            });
            let adapter = Adapter::parse(&file).unwrap();
            let tensors = adapter.head.directory.entries().iter().enumerate();
            let tensors: Vec<_> = tensors
                .map(|(idx, entry)| {
                    let mut bytes = adapter.tensor(idx).unwrap().bytes.to_vec();
                    if entry.name.ends_with("#scales") {
                        bytes = [scale.to_le_bytes(), 0.0_f32.to_le_bytes()].concat();
                    }
                    let plan = TensorPlan {
                        name: entry.name.clone(),
                        format: entry.format,
                        shape: entry.shape.clone(),
                    };
                    (plan, bytes)
                })
                .collect();
            let parts = cultivar_core::adapter::AdapterParts {
                binding: adapter.head.binding,
                metadata: adapter.head.metadata.clone(),
                unknown: Vec::new(),
            };
            let tensors = tensors
                .iter()
                .map(|(plan, bytes)| (plan.clone(), bytes.as_slice()));
            cultivar_core::adapter::write_adapter(&parts, tensors.collect(), &[]).unwrap()
        };
        let load = |file: &[u8]| {
            let adapter = Adapter::parse(file).unwrap();
            engine
                .load_adapter(&adapter, StackLimits::default())
                .map(|_| ())
        };
        assert_eq!(load(&huge(100.0)), Ok(()), "{format}");
        if format == "f32" {
            // Only a weight can bring these factors beyond f32.
            let file = huge(100.0);
            let adapter = Adapter::parse(&file).unwrap();
            let adapter = engine
                .load_adapter(&adapter, StackLimits::default())
                .unwrap();
            let check =
                |weight| FusedCheck::new().step(&adapter, weight, &engine.model, usize::MAX);
            assert_eq!(check(1e30), Ok(true));
            assert_eq!(check(3e38).unwrap_err().code(), StackRule::Fused.code());
            continue;
        }
        let refused = load(&huge(1e12));
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), StackRule::Fused.code(), "{format}");
        assert!(refused.to_string().contains("layers.1.w_o"), "{refused}");
    }
}
