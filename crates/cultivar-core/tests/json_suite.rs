//! The JSON reader against JSONTestSuite (Nicolas Seriot), if `CULTIVAR_DATA` says where it is.

use cultivar_core::json;
use std::path::Path;

#[test]
fn accepts_what_is_valid_and_refuses_what_is_not() {
    let Ok(data) = std::env::var("CULTIVAR_DATA") else {
        println!("skipped: CULTIVAR_DATA is not set");
        return;
    };
    let folder = Path::new(&data).join("json/test_parsing");
    let mut n_files = 0;
    for file in std::fs::read_dir(folder).expect("the suite is there") {
        let path = file.expect("the folder can be read").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let bytes = std::fs::read(&path).expect("the file can be read");
        let parsed = json::parse(&bytes);
        match name.as_bytes().first() {
            Some(b'y') => assert!(parsed.is_ok(), "{name}: {parsed:?}"),
            Some(b'n') => assert!(parsed.is_err(), "{name}"),
            // Implementations may do either; ours must only come back.
            _ => {}
        }
        n_files += 1;
    }
    assert!(n_files > 300, "only {n_files} files");
}
