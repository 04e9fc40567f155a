//! What new packages say of their descent: licences that follow from their parents', genomes that
//! name them, and how the elements of sparse deltas were chosen.

mod made;

use cultivar_breed::{BakeOptions, Extraction, Merge, MergeOptions, merge};
use cultivar_core::adapter::Adapter;
use cultivar_core::json::{self, JsonValue};
use cultivar_core::package::{Package, SectionId};
use cultivar_testdata::adapters::{DeltaSpec, adapter_for, licensed};
use cultivar_testdata::models::ModelSpec;
use made::{bake, extract, head, loaded, stack};

const RANK_4: DeltaSpec = DeltaSpec::LowRank(4, "f32");

/// The licence of an adapter, and its genome.
fn descent(file: &[u8]) -> (String, JsonValue) {
    let adapter = Adapter::parse(file).unwrap();
    let license = adapter.head.metadata.text("license").unwrap_or_default();
    let genome = adapter.genome().expect("a genome");
    (license.into(), json::parse(genome.as_bytes()).unwrap())
}

/// The licences of a genome's parents, in order; of one without, nothing.
fn parents<'a>(genome: &'a JsonValue) -> Vec<&'a str> {
    let parents = genome.get("parents").unwrap().as_array().unwrap();
    let license = |parent: &'a JsonValue| parent.get("license").and_then(JsonValue::as_str);
    let of = parents.iter().map(|parent| license(parent).unwrap_or(""));
    of.collect()
}

#[test]
fn a_merge_is_under_the_licences_of_all_that_went_into_it() {
    let model = ModelSpec::tiny("f32").build();
    let base = head(&model);
    let of = |seed, license: &str| {
        let file = adapter_for(&model, seed, RANK_4, |name| name.ends_with("w_q"));
        loaded(&base, &licensed(&file, license))
    };
    let [mit, both, none] = [of(1, "MIT"), of(2, "Apache-2.0 OR MIT"), of(3, "")];
    let merged = |stack, license| {
        let options = MergeOptions {
            license,
            ..MergeOptions::default()
        };
        descent(
            &merge(&base, &stack, Merge::Concatenate, options)
                .unwrap()
                .bytes,
        )
    };
    let (license, genome) = merged(stack(&[(&mit, 1.0), (&both, 0.5)]), "");
    assert_eq!(license, "MIT AND (Apache-2.0 OR MIT)");
    assert_eq!(parents(&genome), ["CC0-1.0", "MIT", "Apache-2.0 OR MIT"]);
    // One that has no part has no say; one without a licence is not passed over.
    let (license, _) = merged(stack(&[(&mit, 1.0), (&both, 0.0), (&none, 1.0)]), "");
    assert_eq!(license, "MIT AND NOASSERTION");
    let (license, _) = merged(stack(&[(&none, 1.0), (&none, 1.0)]), "");
    assert_eq!(license, "");
    // Whoever holds the rights says otherwise; the genome keeps what the parents said.
    let (license, genome) = merged(stack(&[(&mit, 1.0)]), "CC-BY-4.0");
    assert_eq!(license, "CC-BY-4.0");
    assert_eq!(parents(&genome), ["CC0-1.0", "MIT"]);
}

#[test]
fn baked_models_and_extracted_adapters_are_under_the_licences_of_both_sides() {
    let model = ModelSpec::tiny("f32").build();
    let base = head(&model);
    let file = adapter_for(&model, 1, RANK_4, |name| name.ends_with("w_q"));
    let adapter = loaded(&base, &licensed(&file, "MIT"));
    let baked = |weight, license: &str| {
        let options = BakeOptions {
            license: license.into(),
            ..BakeOptions::default()
        };
        bake(&model, stack(&[(&adapter, weight)]), options).unwrap()
    };
    let said = |file: &[u8]| {
        let head = head(file);
        let text = head.metadata.text("license");
        String::from(text.unwrap_or_default())
    };
    let child = baked(1.0, "");
    assert_eq!(said(&child), "CC0-1.0 AND MIT");
    assert_eq!(said(&baked(0.0, "")), "CC0-1.0");
    assert_eq!(said(&baked(1.0, "MIT")), "MIT");
    let package = Package::parse(&child).unwrap();
    let genome = package.tail.section(SectionId::GENOME).unwrap();
    let genome = json::parse(genome).unwrap();
    assert_eq!(parents(&genome), ["CC0-1.0", "MIT"]);

    let how = Extraction::Rank { rank: 4, seed: 0 };
    let (license, genome) = descent(&extract(&model, &child, how).unwrap().bytes);
    assert_eq!(license, "CC0-1.0 AND MIT");
    assert_eq!(parents(&genome), ["CC0-1.0", "CC0-1.0 AND MIT"]);
}

#[test]
fn sparse_deltas_say_how_dense_they_are_and_how_they_were_chosen() {
    let model = ModelSpec::tiny("f32").build();
    let base = head(&model);
    let file = adapter_for(&model, 1, RANK_4, |name| name.contains("layers.1.w_"));
    let child = bake(
        &model,
        stack(&[(&loaded(&base, &file), 1.0)]),
        BakeOptions::default(),
    );
    let sparse = |density| {
        let how = Extraction::Density { density };
        extract(&model, child.as_ref().unwrap(), how).unwrap().bytes
    };
    let said = |file: &[u8]| {
        let adapter = Adapter::parse(file).unwrap();
        let mask = adapter.head.metadata.text("mask").map(String::from);
        let of = |idx: usize| {
            let delta = &adapter.head.deltas[idx];
            let found = adapter.head.density(idx);
            let n = adapter
                .head
                .directory
                .get(&format!("{}#values", delta.target));
            let n = n.map(|entry| entry.n_elements() as f32);
            let whole = base.directory.get(&delta.target).unwrap().n_elements() as f32;
            assert_eq!(found, n.map(|n| n / whole), "{}", delta.target);
            found
        };
        let densities: Vec<Option<f32>> = (0..adapter.head.deltas.len()).map(of).collect();
        (mask, densities, adapter.card_json(file.len() as u64))
    };
    let (mask, densities, card) = said(&sparse(0.25));
    assert_eq!(mask.as_deref(), Some("magnitude"));
    assert_eq!(densities.len(), 7);
    assert!(
        densities.iter().all(|part| *part == Some(0.25)),
        "{densities:?}"
    );
    assert!(
        card.contains(r#""mask":"magnitude""#) && card.contains(r#""density":0.25"#),
        "{card}"
    );
    let (_, genome) = descent(&sparse(0.25));
    let parameters = genome.get("parameters").unwrap();
    assert_eq!(parameters.get("mask").unwrap().as_str(), Some("magnitude"));
    assert_eq!(parameters.get("density").unwrap().as_f64(), Some(0.25));

    // A sum of sparse deltas has all elements that any of them has.
    let [a, b] = [sparse(0.25), sparse(0.5)].map(|file| loaded(&base, &file));
    let sum = merge(&base, &stack(&[(&a, 1.0), (&b, 1.0)]), Merge::Sum, "").unwrap();
    let (mask, densities, _) = said(&sum.bytes);
    assert_eq!(mask.as_deref(), Some("union"));
    assert!(
        densities.iter().all(|part| *part == Some(0.5)),
        "{densities:?}"
    );
    // Other kinds have neither.
    let (mask, densities, card) = said(&file);
    assert_eq!((mask, densities), (None, vec![None; 7]));
    assert!(!card.contains("density"), "{card}");
    // What a stranger writes there is taken as it is: too few, another kind.
    let adapter = Adapter::parse(&sum.bytes).unwrap();
    assert_eq!(adapter.head.density(99), None);
}
