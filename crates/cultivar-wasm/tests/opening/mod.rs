//! Opening a golden package through the boundary's verbs, for tests of this crate.

use cultivar_core::package::{HEADER_BYTES, Head, Header};
use cultivar_wasm::host::Host;
use cultivar_wasm::status::Failure;
use std::path::PathBuf;

/// A committed golden package.
pub fn golden(file: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden");
    std::fs::read(folder.join(file)).expect("a golden package")
}

/// Puts bytes into the shared buffer; their length.
pub fn put(host: &mut Host, bytes: &[u8]) -> u32 {
    host.buffer
        .reserve(bytes.len())
        .expect("room in the buffer");
    host.buffer
        .write(bytes.len() as u32)
        .expect("reserved")
        .copy_from_slice(bytes);
    bytes.len() as u32
}

/// Opens the text part of a package.
pub fn open_text(host: &mut Host, file: &[u8]) -> Result<i32, Failure> {
    let header = Header::of_file(&file[..HEADER_BYTES], file.len() as u64)?;
    let len = put(host, &file[..header.head_bytes as usize]);
    host.text_open(len, file.len() as f64)
}

/// Queues a text as a prompt of a session; the golden packages have one tokenizer.
pub fn prompt_text(host: &mut Host, session: i32, text: &str) -> Result<i32, Failure> {
    let tokenizer = open_text(host, &golden("golden-q8_0.slm"))?;
    let len = put(host, text.as_bytes());
    let n = host.tokenize(tokenizer, len, 0)?;
    host.text_close(tokenizer)?;
    host.session_prompt_ids(session, n as u32)
}

/// Opens a package as the kit does, hashing inside.
pub fn open(host: &mut Host, file: &[u8]) -> Result<i32, Failure> {
    let len = put(host, &file[..file.len().min(HEADER_BYTES)]);
    let package = host.package_begin(len, file.len() as f64)?;
    match load(host, package, file) {
        Ok(()) => Ok(package),
        Err(failure) => {
            host.package_close(package)?;
            Err(failure)
        }
    }
}

fn load(host: &mut Host, package: i32, file: &[u8]) -> Result<(), Failure> {
    let n_head = host.package_head_bytes(package)? as usize;
    let len = put(host, &file[..n_head]);
    let n_tensors = host.package_head(package, len)?;
    let head = Head::parse(&file[..n_head], file.len() as u64).expect("a good head");
    for (idx, entry) in head.directory.entries().iter().enumerate() {
        let room = host.tensor_buffer(package, idx as u32)?;
        let from = entry.offset as usize;
        room.copy_from_slice(&file[from..from + room.len()]);
        while host.package_tensor_verify_step(package, idx as u32, 4096)? > 0 {}
    }
    assert_eq!(head.directory.entries().len(), n_tensors as usize);
    let len = put(host, &file[head.tail_offset() as usize..]);
    host.package_tail(package, len)?;
    while host.package_finish_step(package, 50_000)? > 0 {}
    Ok(())
}
