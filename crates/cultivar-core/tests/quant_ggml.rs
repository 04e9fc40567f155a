//! Codes and scales equal those of llama-quantize: the tensors of a real checkpoint, quantized
//! here, against the GGUF files of the same model. Needs `CULTIVAR_DATA`.

use cultivar_core::tensor::{Format, codec, tile::tiles_to_rows};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A tensor of a GGUF file: rows of `d_in` elements in ggml's type `kind`.
struct GgufTensor {
    kind: u32,
    d_in: usize,
    d_out: usize,
    bytes: Vec<u8>,
}

/// Just enough of GGUF to find the tensors of a well-formed file.
struct Gguf<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Gguf<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        self.at += N;
        self.bytes[self.at - N..self.at].try_into().unwrap()
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> usize {
        u64::from_le_bytes(self.take()) as usize
    }

    fn text(&mut self) -> String {
        let len = self.u64();
        self.at += len;
        String::from_utf8(self.bytes[self.at - len..self.at].to_vec()).unwrap()
    }

    fn skip_value(&mut self, kind: u32) {
        match kind {
            8 => drop(self.text()),
            9 => {
                let kind = self.u32();
                (0..self.u64()).for_each(|_| self.skip_value(kind));
            }
            _ => self.at += [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8][kind as usize],
        }
    }

    fn tensors(bytes: &[u8]) -> BTreeMap<String, GgufTensor> {
        let mut file = Gguf { bytes, at: 8 };
        assert_eq!(&bytes[..4], b"GGUF");
        let (n_tensors, n_values) = (file.u64(), file.u64());
        for _ in 0..n_values {
            let name = file.text();
            assert_ne!(
                name, "general.alignment",
                "only the default alignment is read"
            );
            let kind = file.u32();
            file.skip_value(kind);
        }
        let infos: Vec<_> = (0..n_tensors)
            .map(|_| {
                let name = file.text();
                let dims: Vec<usize> = (0..file.u32()).map(|_| file.u64()).collect();
                (name, dims, file.u32(), file.u64())
            })
            .collect();
        let data = file.at.next_multiple_of(32);
        let tensor = |(name, dims, kind, offset): (String, Vec<usize>, u32, usize)| {
            let (d_in, d_out) = (dims[0], dims[1..].iter().product::<usize>());
            let row_bytes = match kind {
                0 => 4 * d_in,
                1 => 2 * d_in,
                2 => d_in / 32 * 18,
                8 => d_in / 32 * 34,
                12 => d_in / 256 * 144,
                14 => d_in / 256 * 210,
                // A type that this version does not write.
                _ => return None,
            };
            let bytes = bytes[data + offset..][..d_out * row_bytes].to_vec();
            Some((
                name,
                GgufTensor {
                    kind,
                    d_in,
                    d_out,
                    bytes,
                },
            ))
        };
        infos.into_iter().filter_map(tensor).collect()
    }
}

/// The matrices of a llama2.c checkpoint under GGUF's names. Both keep q and k in the order of
/// interleaved rotation, so no row moves.
fn checkpoint(bytes: &[u8]) -> BTreeMap<String, Vec<f32>> {
    let (words, _) = bytes.as_chunks::<4>();
    let header: Vec<usize> = words[..7]
        .iter()
        .map(|word| i32::from_le_bytes(*word).unsigned_abs() as usize)
        .collect();
    let [dim, hidden, n_layers, n_heads, n_kv_heads, vocab, _] = header[..] else {
        panic!()
    };
    let kv_dim = dim / n_heads * n_kv_heads;
    let floats: Vec<f32> = words[7..]
        .iter()
        .map(|word| f32::from_le_bytes(*word))
        .collect();
    let mut at = 0;
    let mut take = |len: usize| {
        at += len;
        floats[at - len..at].to_vec()
    };
    let mut tensors = BTreeMap::from([(String::from("token_embd.weight"), take(vocab * dim))]);
    for (name, len) in [
        ("attn_norm", dim),
        ("attn_q", dim * dim),
        ("attn_k", kv_dim * dim),
        ("attn_v", kv_dim * dim),
        ("attn_output", dim * dim),
        ("ffn_norm", dim),
        ("ffn_gate", hidden * dim),
        ("ffn_down", hidden * dim),
        ("ffn_up", hidden * dim),
    ] {
        for layer in 0..n_layers {
            tensors.insert(format!("blk.{layer}.{name}.weight"), take(len));
        }
    }
    tensors.insert(String::from("output_norm.weight"), take(dim));
    tensors
}

fn check(name: &str, floats: &[f32], expected: &GgufTensor) {
    let format = match expected.kind {
        0 => "f32",
        1 => "f16",
        2 => "q4_0",
        12 => "q4_k",
        14 => "q6_k",
        _ => "q8_0",
    };
    let format = Format::by_name(format).unwrap();
    let (d_in, d_out) = (expected.d_in, expected.d_out);
    let n_bytes = format.stored_bytes(d_out as u64, d_in as u64).unwrap() as usize;
    let mut stored = vec![0; n_bytes];
    codec::encode_rows(&mut stored, format, floats, d_out, d_in).unwrap();
    let mut rows = vec![0; expected.bytes.len()];
    if format.block_len == 1 {
        rows = stored;
    } else {
        tiles_to_rows(&mut rows, format, &stored, d_out, d_in).unwrap();
    }
    assert!(rows == expected.bytes, "{name} as {}", format.name);
}

/// Checks every tensor of a file, and that at least `n_least` of them are of ggml's type `kind`.
fn check_file(source: &BTreeMap<String, Vec<f32>>, file: PathBuf, kind: u32, n_least: usize) {
    let tensors = Gguf::tensors(&std::fs::read(&file).unwrap());
    for (name, expected) in &tensors {
        // A tied output matrix may be stored again under its own name.
        let floats = source.get(name).or_else(|| source.get("token_embd.weight"));
        check(name, floats.unwrap(), expected);
    }
    let n_equal = tensors
        .values()
        .filter(|tensor| tensor.kind == kind)
        .count();
    assert!(n_equal >= n_least, "{}: {n_equal} tensors", file.display());
}

#[test]
fn codes_and_scales_equal_llama_quantize() {
    let Some(data) = std::env::var_os("CULTIVAR_DATA").map(PathBuf::from) else {
        println!("skipped: CULTIVAR_DATA is not set");
        return;
    };
    let folder = data.join("models/stories260K");
    let source = checkpoint(&std::fs::read(folder.join("stories260K.bin")).unwrap());
    for (format, kind) in [("f16", 1), ("q8_0", 8), ("q4_0", 2)] {
        check_file(
            &source,
            folder.join(format!("gguf/stories260K-{format}.gguf")),
            kind,
            30,
        );
    }
    let path = |format| {
        data.join(format!(
            "models/rot256/gguf/TinyStories-656K-rot256-{format}.gguf"
        ))
    };
    let floats = Gguf::tensors(&std::fs::read(path("f32")).unwrap());
    let floats = floats.into_iter().map(|(name, tensor)| {
        let (words, _) = tensor.bytes.as_chunks::<4>();
        (
            name,
            words.iter().map(|word| f32::from_le_bytes(*word)).collect(),
        )
    });
    let source = floats.collect();
    for (format, kind) in [("q8_0", 8), ("q4_0", 2), ("q6_k", 14), ("pure-q4_k", 12)] {
        check_file(&source, path(format), kind, 14);
    }
    check_file(&source, path("q4_k_m"), 12, 5);
}
