//! The laws of merging, baking and extracting.

use cultivar_breed::{
    BakeOptions, Baker, BreedError, BreedRule, Extraction, Extractor, MERGE_METHODS, Merge,
    MergeOptions, merge,
};
use cultivar_core::adapter::Stack;
use cultivar_core::json::{self, JsonValue};
use cultivar_core::package::{Package, SectionId};
use cultivar_core::tensor::Format;
use cultivar_testdata::adapters::{DeltaSpec, adapter_for};
use cultivar_testdata::models::ModelSpec;
use made::{
    bake, bits, dense, extract, head, largest_difference, loaded, relative_difference, run, stack,
};

mod made;

const LOW_RANKS: [(u64, usize, &str, f32); 4] = [
    (1, 4, "f32", 1.0),
    (2, 8, "f16", -0.5),
    (3, 3, "f32", 0.25),
    (4, 5, "bf16", 1.5),
];

fn low_rank(model: &[u8], (seed, rank, format, _): (u64, usize, &'static str, f32)) -> Vec<u8> {
    adapter_for(model, seed, DeltaSpec::LowRank(rank, format), |name| {
        seed % 2 == 1 || name.contains("w_")
    })
}

#[test]
fn a_saved_concatenation_is_the_live_stack_to_the_bit() {
    for format in ["f32", "f16", "q8_0", "q4_0"] {
        let model = ModelSpec::tiny(format).build();
        let base = head(&model);
        let adapters = LOW_RANKS.map(|spec| loaded(&base, &low_rank(&model, spec)));
        let weights = LOW_RANKS.map(|spec| spec.3);
        let pairs: Vec<_> = adapters.iter().zip(weights).collect();
        for n in 1..=pairs.len() {
            let mut live = stack(&pairs[..n]);
            if n == 3 {
                live.set_layer_weights(1, &[1.0, 0.0, -0.3]).unwrap();
            }
            let saved = merge(&base, &live, Merge::Concatenate, "mix").unwrap();
            assert_eq!(saved.loss.relative(), 0.0);
            let one = loaded(&base, &saved.bytes);
            let one = run(&model, Some(stack(&[(&one, 1.0)])));
            assert_eq!(
                bits(&one),
                bits(&run(&model, Some(live.clone()))),
                "{format} {n}"
            );
            let again = merge(&base, &live, Merge::Concatenate, "mix").unwrap();
            assert_eq!(again.bytes, saved.bytes);
        }
        // Identity: the concatenation of one adapter of weight 1 has its own values.
        let alone = stack(&pairs[..1]);
        let saved = merge(&base, &alone, Merge::Concatenate, "").unwrap();
        let same = stack(&[(&loaded(&base, &saved.bytes), 1.0)]);
        assert_eq!(relative_difference(&base, &alone, &same), 0.0);
    }
}

#[test]
fn order_matters_only_within_rounding() {
    let model = ModelSpec::tiny("f32").build();
    let base = head(&model);
    let adapters = LOW_RANKS.map(|spec| loaded(&base, &low_rank(&model, spec)));
    let there: Vec<_> = adapters.iter().map(|adapter| (adapter, 1.0)).collect();
    let back: Vec<_> = adapters
        .iter()
        .rev()
        .map(|adapter| (adapter, 1.0))
        .collect();
    let (there, back) = (stack(&there), stack(&back));
    let of = base.identities.weights;
    assert_ne!(there.assembly(&of), back.assembly(&of));
    let difference = largest_difference(&run(&model, Some(there)), &run(&model, Some(back)));
    assert!(difference < 2e-5, "{difference}");
}

#[test]
fn singular_values_keep_all_or_the_best() {
    let model = ModelSpec::tiny("f32").build();
    let base = head(&model);
    let adapters = LOW_RANKS.map(|spec| loaded(&base, &low_rank(&model, spec)));
    let pairs: Vec<_> = adapters.iter().zip(LOW_RANKS.map(|spec| spec.3)).collect();
    let live = stack(&pairs);
    let mut last = -1.0;
    for rank in [64, 20, 12, 6, 2] {
        let method = Merge::Truncate { rank, seed: 1 };
        let merged = merge(&base, &live, method, "").unwrap();
        let own = stack(&[(&loaded(&base, &merged.bytes), 1.0)]);
        let found = relative_difference(&base, &live, &own);
        assert!(
            (found - merged.loss.relative()).abs() < 1e-6,
            "{rank}: {found}"
        );
        assert!(found > last - 1e-7, "{rank}: {found} after {last}");
        last = found;
        if rank >= 20 {
            assert!(found < 1e-6, "{rank}: {found}");
            let merged = run(&model, Some(own));
            let difference = largest_difference(&run(&model, Some(live.clone())), &merged);
            assert!(difference < 2e-5, "{rank}: {difference}");
        }
    }
    assert!(last > 0.1);

    // Dense and sparse deltas go through a sketch; all of their rank is all of them.
    let raw = adapter_for(&model, 5, DeltaSpec::Raw("f32"), |name| {
        name.ends_with("w_k")
    });
    let sparse = adapter_for(&model, 6, DeltaSpec::Sparse(5), |name| {
        name.contains("layers.0")
    });
    let (raw, sparse) = (loaded(&base, &raw), loaded(&base, &sparse));
    let mixed = stack(&[(&raw, 1.0), (&sparse, 2.0), (&adapters[0], 1.0)]);
    let method = Merge::Truncate { rank: 64, seed: 1 };
    let merged = merge(&base, &mixed, method, "").unwrap();
    let own = stack(&[(&loaded(&base, &merged.bytes), 1.0)]);
    assert!(relative_difference(&base, &mixed, &own) < 1e-5);
}

#[test]
fn factors_may_be_stored_smaller_at_a_known_price() {
    let model = ModelSpec::tiny("f32").build();
    let base = head(&model);
    let adapter = loaded(&base, &low_rank(&model, LOW_RANKS[0]));
    let live = stack(&[(&adapter, 1.0)]);
    let exact = merge(&base, &live, Merge::Concatenate, "").unwrap();
    let mut last = exact.bytes.len();
    for (factors, ceiling) in [("f16", 1e-3), ("q8_0", 2e-2)] {
        let options = MergeOptions {
            factors: Some(factors),
            ..MergeOptions::default()
        };
        let merged = merge(&base, &live, Merge::Concatenate, options).unwrap();
        assert!(merged.bytes.len() < last, "{factors}");
        last = merged.bytes.len();
        let own = stack(&[(&loaded(&base, &merged.bytes), 1.0)]);
        let found = relative_difference(&base, &live, &own);
        assert!(
            (found - merged.loss.relative()).abs() < 1e-6,
            "{factors}: {found}"
        );
        assert!(found > 0.0 && found < ceiling, "{factors}: {found}");
        // What is stored as codes is applied as it is stored: saved once more, the same bits.
        let again = merge(&base, &own, Merge::Concatenate, "").unwrap();
        let again = stack(&[(&loaded(&base, &again.bytes), 1.0)]);
        assert_eq!(
            bits(&run(&model, Some(again))),
            bits(&run(&model, Some(own)))
        );
    }
    let options = MergeOptions {
        factors: Some("q4_0"),
        ..MergeOptions::default()
    };
    let refused = merge(&base, &live, Merge::Sum, options);
    assert_eq!(rule(refused), BreedRule::Format.code());
}

#[test]
fn sums_and_mixed_kinds_add_up() {
    let model = ModelSpec::tiny("f32").build();
    let base = head(&model);
    let files = [
        adapter_for(&model, 1, DeltaSpec::LowRank(4, "f32"), |name| {
            name.contains("w_q")
        }),
        adapter_for(&model, 2, DeltaSpec::Raw("f16"), |name| {
            !name.contains("w_up")
        }),
        adapter_for(&model, 3, DeltaSpec::Sparse(3), |_| true),
        adapter_for(&model, 4, DeltaSpec::Sparse(4), |name| {
            name.contains("w_up")
        }),
    ];
    let adapters: Vec<_> = files.iter().map(|file| loaded(&base, file)).collect();
    let pairs: Vec<_> = adapters.iter().zip([1.0, -1.0, 0.5, 2.0]).collect();
    let live = stack(&pairs);
    for method in [Merge::Sum, Merge::Concatenate] {
        let merged = merge(&base, &live, method, "").unwrap();
        let own = stack(&[(&loaded(&base, &merged.bytes), 1.0)]);
        assert!(relative_difference(&base, &live, &own) < 1e-6);
        let found = run(&model, Some(own));
        let difference = largest_difference(&run(&model, Some(live.clone())), &found);
        assert!(difference < 2e-5, "{difference}");
    }
    // Sparse deltas alone stay sparse: every third and every fourth element.
    let sparse = stack(&pairs[2..]);
    let merged = merge(&base, &sparse, Merge::Sum, "").unwrap();
    let kinds = loaded(&base, &merged.bytes);
    let is_sparse = |delta: &cultivar_core::adapter::LoadedDelta| {
        matches!(delta.values, cultivar_core::adapter::DeltaValues::Sparse(_))
    };
    assert!(kinds.deltas.iter().all(is_sparse));
    let own = stack(&[(&kinds, 1.0)]);
    assert!(relative_difference(&base, &sparse, &own) < 1e-6);
}

#[test]
fn a_blend_lies_between_and_its_noise_is_bounded() {
    let model = ModelSpec::tiny("f32").build();
    let base = head(&model);
    let adapters = LOW_RANKS.map(|spec| loaded(&base, &low_rank(&model, spec)));
    let pair = stack(&[(&adapters[0], 1.0), (&adapters[2], 1.0)]);
    let blend = |alpha, noise, seed| {
        let merged = merge(&base, &pair, Merge::Blend { alpha, noise, seed }, "").unwrap();
        (stack(&[(&loaded(&base, &merged.bytes), 1.0)]), merged.bytes)
    };
    let (first, _) = blend(1.0, 0.0, 1);
    assert_eq!(
        relative_difference(&base, &stack(&[(&adapters[0], 1.0)]), &first),
        0.0
    );
    let (last, _) = blend(0.0, 0.0, 1);
    assert_eq!(
        relative_difference(&base, &stack(&[(&adapters[2], 1.0)]), &last),
        0.0
    );
    let between = stack(&[(&adapters[0], 0.25), (&adapters[2], 0.75)]);
    assert_eq!(
        relative_difference(&base, &between, &blend(0.25, 0.0, 1).0),
        0.0
    );

    let (noisy, bytes) = blend(0.25, 0.5, 7);
    assert_eq!(blend(0.25, 0.5, 7).1, bytes);
    assert_ne!(blend(0.25, 0.5, 8).1, bytes);
    for entry in base.directory.entries() {
        let clean = made::dense(&between, &base, &entry.name);
        let found = made::dense(&noisy, &base, &entry.name);
        let squares: f64 = clean.iter().map(|v| f64::from(*v).powi(2)).sum();
        let bound = 0.5 * (squares / clean.len() as f64).sqrt();
        let worst = largest_difference(&clean, &found);
        assert!(
            f64::from(worst) <= bound * 1.001 + 1e-7,
            "{}: {worst}",
            entry.name
        );
        assert!(
            squares == 0.0 || f64::from(worst) > bound * 0.5,
            "{}",
            entry.name
        );
    }
}

#[test]
fn baking_is_the_live_stack_and_can_be_taken_back() {
    for format in ["f32", "f16", "q8_0", "q4_0", "q4_k", "q6_k"] {
        let model = ModelSpec::tiny(format).build();
        let base = head(&model);
        let adapters = LOW_RANKS.map(|spec| loaded(&base, &low_rank(&model, spec)));
        let live = stack(&[(&adapters[0], 1.0), (&adapters[1], -0.5)]);
        let f32_format = Format::by_name("f32");
        let options = BakeOptions {
            format: f32_format,
            name: "baked".into(),
            ..BakeOptions::default()
        };
        let baked = bake(&model, live.clone(), options.clone()).unwrap();
        assert_eq!(bake(&model, live.clone(), options).unwrap(), baked);
        let package = Package::parse(&baked).unwrap();
        package.verify_tensors().unwrap();
        assert_eq!(package.to_bytes().unwrap(), baked);
        assert_eq!(package.head.metadata.text("name"), Some("baked"));
        assert_eq!(
            package.head.identities.tensor_schema,
            base.identities.tensor_schema
        );
        if format == "f32" {
            let difference =
                largest_difference(&run(&baked, None), &run(&model, Some(live.clone())));
            assert!(difference < 5e-5, "{difference}");
        }
        // The genome names the base, which is as it was.
        let genome = package.tail.section(SectionId::GENOME).unwrap();
        let genome = json::parse(genome).unwrap();
        let parents = genome.get("parents").and_then(JsonValue::as_array).unwrap();
        let named = parents[0]
            .get("weights")
            .and_then(JsonValue::as_str)
            .unwrap();
        assert_eq!(named, head(&model).identities.weights.to_string());
        assert_eq!(parents.len(), 3);

        // Kept formats: what nothing changes is copied, what changes is stored with little loss.
        let kept = bake(&model, live.clone(), BakeOptions::default()).unwrap();
        let kept = Package::parse(&kept).unwrap();
        kept.verify_tensors().unwrap();
        for entry in kept.head.directory.entries() {
            let own = base.directory.get(&entry.name).unwrap();
            assert_eq!(own.format, entry.format);
            let is_changed = adapters[0]
                .deltas
                .iter()
                .any(|delta| delta.target == entry.name);
            assert_eq!(own.digest != entry.digest, is_changed, "{}", entry.name);
        }
    }
}

#[test]
fn a_stack_of_weight_zero_bakes_to_the_base() {
    for format in ["f32", "q8_0", "q4_k"] {
        let model = ModelSpec::tiny(format).build();
        let base = head(&model);
        let adapter = loaded(&base, &low_rank(&model, LOW_RANKS[0]));
        let silent = stack(&[(&adapter, 0.0)]);
        let baked = bake(&model, silent, BakeOptions::default()).unwrap();
        assert_eq!(head(&baked).identities.weights, base.identities.weights);
    }
}

/// extract(base, bake(base, a)) is a, as far as the baked format can tell.
#[test]
fn what_was_baked_is_extracted_again() {
    for (format, ceiling) in [
        ("f32", 1e-5),
        ("f16", 1e-3),
        ("q8_0", 0.02),
        ("q6_k", 0.06),
        ("q5_0", 0.12),
        ("q4_0", 0.25),
        ("q4_k", 0.25),
    ] {
        let model = ModelSpec::tiny(format).build();
        let base = head(&model);
        let file = adapter_for(&model, 1, DeltaSpec::LowRank(4, "f32"), |_| true);
        let live = stack(&[(&loaded(&base, &file), 1.0)]);
        let options = BakeOptions {
            format: Format::by_name(format),
            ..BakeOptions::default()
        };
        let child = bake(&model, live.clone(), options).unwrap();
        let how = Extraction::Rank { rank: 4, seed: 3 };
        let found = extract(&model, &child, how).unwrap();
        assert_eq!(extract(&model, &child, how).unwrap().bytes, found.bytes);
        let own = stack(&[(&loaded(&base, &found.bytes), 1.0)]);
        let difference = relative_difference(&base, &live, &own);
        assert!(difference < ceiling, "{format}: {difference}");
        let all = extract(&model, &child, Extraction::Density { density: 1.0 }).unwrap();
        let own = stack(&[(&loaded(&base, &all.bytes), 1.0)]);
        for (name, max_abs) in errors_of_bake(&child) {
            let (wanted, found) = (dense(&live, &base, &name), dense(&own, &base, &name));
            let most = f64::from(largest_difference(&wanted, &found));
            assert!(
                most <= max_abs + 1e-6,
                "{format}, {name}: {most} beyond {max_abs}"
            );
        }
        if format == "f32" {
            let difference = relative_difference(&base, &live, &own);
            assert!(difference < 1e-5, "{difference}");
            let some = extract(&model, &child, Extraction::Density { density: 0.1 }).unwrap();
            let own = stack(&[(&loaded(&base, &some.bytes), 1.0)]);
            let difference = relative_difference(&base, &live, &own);
            assert!((difference - some.loss.relative()).abs() < 1e-4);
            assert!((0.5..0.9).contains(&difference), "{difference}");
        }
    }
}

/// The largest error of each tensor of a baked model, as its conversion record has them.
fn errors_of_bake(child: &[u8]) -> Vec<(String, f64)> {
    let record = Package::parse(child)
        .unwrap()
        .tail
        .conversion_record
        .unwrap();
    let record = json::parse(record.as_bytes()).unwrap();
    let tensors = record.get("tensors").unwrap().as_array().unwrap();
    let of = tensors.iter().map(|tensor| {
        let name = tensor.get("name").unwrap().as_str().unwrap();
        let error = tensor.get("max_abs_error").unwrap().as_f64().unwrap();
        (name.to_string(), error)
    });
    of.collect()
}

fn rule(result: Result<impl Sized, BreedError>) -> i32 {
    let error = result.err().expect("refused");
    assert!(!error.to_string().is_empty());
    error.code()
}

#[test]
fn what_cannot_be_bred_is_refused_by_name() {
    let model = ModelSpec::tiny("q8_0").build();
    let base = head(&model);
    let adapters = LOW_RANKS.map(|spec| loaded(&base, &low_rank(&model, spec)));
    let one = stack(&[(&adapters[0], 1.0)]);
    let two = stack(&[(&adapters[0], 1.0), (&adapters[1], 1.0)]);
    let of = |stack: &Stack, method| rule(merge(&base, stack, method, ""));
    let code = BreedRule::code;
    assert_eq!(
        of(&stack(&[]), Merge::Concatenate),
        code(BreedRule::NoAdapters)
    );
    assert_eq!(
        of(&stack(&[(&adapters[0], 0.0)]), Merge::Sum),
        code(BreedRule::NoAdapters)
    );
    for rank in [0, 4097] {
        let method = Merge::Truncate { rank, seed: 0 };
        assert_eq!(of(&one, method), code(BreedRule::Parameter));
    }
    let blend = |alpha, noise| Merge::Blend {
        alpha,
        noise,
        seed: 0,
    };
    assert_eq!(of(&one, blend(0.5, 0.0)), code(BreedRule::WrongCount));
    assert_eq!(of(&two, blend(f32::NAN, 0.0)), code(BreedRule::Parameter));
    assert_eq!(of(&two, blend(0.5, -1.0)), code(BreedRule::Parameter));
    let wide = adapter_for(&model, 8, DeltaSpec::LowRank(4096, "f16"), |name| {
        name.ends_with("0.w_k")
    });
    let wide = loaded(&base, &wide);
    let pair = stack(&[(&wide, 1.0), (&adapters[0], 1.0)]);
    assert_eq!(
        of(&pair, Merge::Concatenate),
        code(BreedRule::TooManyComponents)
    );
    let raw = adapter_for(&model, 9, DeltaSpec::Raw("f32"), |name| {
        name == "final_norm"
    });
    let raw = loaded(&base, &raw);
    let none = stack(&[(&raw, 1.0), (&raw, -1.0)]);
    assert_eq!(of(&none, Merge::Sum), code(BreedRule::Empty));
    let large = stack(&[(&raw, 3.4e38); 64]);
    assert_eq!(of(&large, Merge::Sum), code(BreedRule::NotFinite));
}

#[test]
fn what_cannot_be_baked_or_extracted_is_refused_by_name() {
    let model = ModelSpec::tiny("q8_0").build();
    let base = head(&model);
    let adapters = LOW_RANKS.map(|spec| loaded(&base, &low_rank(&model, spec)));
    let one = stack(&[(&adapters[0], 1.0)]);
    let two = stack(&[(&adapters[0], 1.0), (&adapters[1], 1.0)]);
    let code = BreedRule::code;
    let options = |format| BakeOptions {
        format: Format::by_name(format),
        ..BakeOptions::default()
    };
    assert_eq!(
        rule(bake(&model, stack(&[]), options("f32"))),
        code(BreedRule::NoAdapters)
    );
    assert_eq!(
        rule(bake(&model, one.clone(), options("u32"))),
        code(BreedRule::Format)
    );
    let strong = stack(&[(&adapters[0], 1e9)]);
    assert_eq!(
        rule(bake(&model, strong, options("f16"))),
        code(BreedRule::NotFinite)
    );
    let mut damaged = model.clone();
    let at = base.directory.get("layers.0.w_q").unwrap().offset as usize + 8;
    damaged[at] ^= 1;
    assert_eq!(
        rule(bake(&damaged, one.clone(), options("f32"))),
        code(BreedRule::Digest)
    );
    let mut baker = Baker::new(base.clone(), one, options("f32")).unwrap();
    assert_eq!(rule(baker.supply(&[])), code(BreedRule::OutOfOrder));
    baker.step().unwrap();
    assert_eq!(rule(baker.supply(&[1, 2])), code(BreedRule::OutOfOrder));

    let how = Extraction::Rank { rank: 2, seed: 0 };
    let other = ModelSpec::untied("q8_0").build();
    assert_eq!(
        rule(extract(&model, &other, how)),
        code(BreedRule::OtherBase)
    );
    assert_eq!(
        rule(extract(&model, &model, how)),
        code(BreedRule::NoDifference)
    );
    for how in [
        Extraction::Rank { rank: 0, seed: 0 },
        Extraction::Density { density: 0.0 },
        Extraction::Density { density: 1.5 },
    ] {
        assert_eq!(
            rule(extract(&model, &model, how)),
            code(BreedRule::Parameter)
        );
    }
    let child = bake(&model, two, options("f32")).unwrap();
    let mut cut = Extractor::new(base, head(&child), how, [""; 2]).unwrap();
    assert_eq!(rule(cut.supply(&[1])), code(BreedRule::OutOfOrder));
    assert_eq!(rule(cut.finish()), code(BreedRule::OutOfOrder));
    assert_eq!(
        rule(extract(&damaged, &child, how)),
        code(BreedRule::Digest)
    );
    let codes: Vec<i32> = BreedRule::ALL.iter().map(|rule| rule.code()).collect();
    assert!(codes.array_windows().all(|[a, b]| a < b));
    assert!(MERGE_METHODS.iter().any(|m| m.name == Merge::Sum.name()));
}
