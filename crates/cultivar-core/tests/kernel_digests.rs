//! What scalar code gives on the shapes and values of seeds, as `fixtures/kernels/digests.json`
//! holds it for modules in Node and in browsers. `CULTIVAR_BLESS=1` writes the file anew.

use cultivar_core::json::{self, JsonWriter};
use cultivar_core::kernels::Backend;
use cultivar_core::self_test::agreement;
use std::path::Path;

/// Seeds 0 and up.
const N_SEEDS: u64 = 48;

#[test]
fn digests_of_kernels_are_those_committed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/kernels/digests.json");
    let scalar: Vec<u64> = (0..N_SEEDS)
        .map(|seed| agreement::seeded(Backend::Scalar, seed).unwrap() & 0x7fff_ffff)
        .collect();
    if std::env::var_os("CULTIVAR_BLESS").is_some() {
        let mut json = JsonWriter::new();
        json.begin_array();
        for digest in &scalar {
            json.u64(*digest);
        }
        json.end_array();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, json.finish() + "\n").unwrap();
    }
    let committed = json::parse(&std::fs::read(path).unwrap()).unwrap();
    let committed: Vec<u64> = committed
        .as_array()
        .unwrap()
        .iter()
        .map(|digest| digest.as_u64().unwrap())
        .collect();
    assert_eq!(scalar, committed);
}
