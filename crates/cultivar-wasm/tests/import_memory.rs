//! An import of 400 MB holds no more than twice the largest tensor and 64 MiB: a counting allocator
//! watches the most that is held at once. The file is made up as it is read.
//!
//! Here because an allocator is unsafe code, which only this crate may hold.
#![allow(unsafe_code)]

use cultivar_import::{ImportOptions, ImportStep, Importer, SourceInfo, TargetFormat};
use cultivar_testdata::foreign_files::GgufBuilder;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts what is held, and the most of it.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(held, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const VOCAB: u64 = 65536;
const D: u64 = 1024;
const D_FF: u64 = 4096;
const LAYERS: u32 = 8;

/// The header of a Llama of 200 million f16 weights, and the length of its file.
fn header() -> (Vec<u8>, u64) {
    let mut pieces: Vec<Vec<u8>> = vec![b"<unk>".to_vec(), b"<s>".to_vec(), b"</s>".to_vec()];
    pieces.extend((0..=255_u8).map(|byte| format!("<0x{byte:02X}>").into_bytes()));
    let texts: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    let types: Vec<i32> = [2, 3, 3].into_iter().chain([6; 256]).collect();
    let mut file = GgufBuilder::new()
        .text("general.architecture", "llama")
        .u32("llama.context_length", 512)
        .u32("llama.embedding_length", D as u32)
        .u32("llama.block_count", LAYERS)
        .u32("llama.feed_forward_length", D_FF as u32)
        .u32("llama.attention.head_count", 16)
        .f32("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .text("tokenizer.ggml.model", "llama")
        .texts("tokenizer.ggml.tokens", &texts)
        .f32s("tokenizer.ggml.scores", &vec![0.0; texts.len()])
        .i32s("tokenizer.ggml.token_type", &types)
        .u32("tokenizer.ggml.bos_token_id", 1)
        .u32("tokenizer.ggml.eos_token_id", 2)
        .u32("tokenizer.ggml.unknown_token_id", 0);
    let mut names = vec![
        ("token_embd.weight".to_string(), vec![VOCAB, D], 1, 2),
        ("output_norm.weight".to_string(), vec![D], 0, 4),
    ];
    for layer in 0..LAYERS {
        for (name, shape) in [
            ("attn_q", vec![D, D]),
            ("attn_k", vec![D, D]),
            ("attn_v", vec![D, D]),
            ("attn_output", vec![D, D]),
            ("ffn_gate", vec![D_FF, D]),
            ("ffn_up", vec![D_FF, D]),
            ("ffn_down", vec![D, D_FF]),
        ] {
            names.push((format!("blk.{layer}.{name}.weight"), shape, 1, 2));
        }
        for name in ["attn_norm", "ffn_norm"] {
            names.push((format!("blk.{layer}.{name}.weight"), vec![D], 0, 4));
        }
    }
    let mut place = 0;
    for (name, shape, kind, bytes) in names {
        file = file.info(&name, &shape, kind, place);
        place += shape.iter().product::<u64>() * bytes;
    }
    let header = file.build();
    let file_bytes = header.len() as u64 + place;
    (header, file_bytes)
}

#[test]
fn four_hundred_megabytes_pass_through_little_memory() {
    let (header, file_bytes) = header();
    assert!(file_bytes > 400_000_000, "{file_bytes}");
    let source = SourceInfo {
        name: "random.gguf".into(),
        bytes: file_bytes,
    };
    let options = ImportOptions {
        format: TargetFormat::Q8_0,
        ..ImportOptions::default()
    };
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let mut importer = Importer::new(vec![source], options).unwrap();
    let (mut seed, mut n_written, mut had_plan) = (1_u32, 0, false);
    loop {
        match importer.step(u64::MAX).unwrap() {
            ImportStep::Read { offset, len, .. } => {
                let mut bytes = vec![0_u8; len as usize];
                // Halves and words of any kind that are finite: exponents stay small.
                for pair in bytes.chunks_exact_mut(2) {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    pair.copy_from_slice(&((seed >> 16) as u16 & 0xbbff).to_le_bytes());
                }
                let from = (offset as usize).min(header.len());
                let known = &header[from..header.len().min(from + len as usize)];
                bytes[..known.len()].copy_from_slice(known);
                importer.supply(&bytes).unwrap();
            }
            ImportStep::Write { .. } => n_written += importer.output().len() as u64,
            ImportStep::Progress { .. } => {
                had_plan |= importer.plan_json().contains("\"weights_bytes\"");
            }
            ImportStep::Done => break,
        }
    }
    assert!(had_plan);
    assert_eq!(n_written, importer.file_bytes());
    let held = (MOST.load(Ordering::Relaxed) - before) as u64;
    let largest = VOCAB * D * 2;
    assert!(held <= 2 * largest + (64 << 20), "{held}");
    // Far less: memory follows the chunk, not the tensor.
    assert!(held <= 96 << 20, "{held}");
}
