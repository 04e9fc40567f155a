//! Made-up llama2.c files, and drivers that run an import or an export in memory and watch their
//! promises.

// Each test binary uses a part of this.
#![allow(dead_code)]

use cultivar_core::package::Package;
use cultivar_import::{
    ExportKind, ExportStep, Exporter, ImportError, ImportOptions, ImportStep, Importer, SourceInfo,
    TargetFormat,
};

/// Sizes of a made-up checkpoint.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub d_model: i32,
    pub d_ff: i32,
    pub n_layers: i32,
    pub n_heads: i32,
    pub n_kv_heads: i32,
    /// Negative: untied.
    pub vocab_size: i32,
    pub context_len: i32,
}

/// Two heads of six (no multiple of a tile), rows of 12 and 64, 262 pieces.
pub const SMALL: Sizes = Sizes {
    d_model: 12,
    d_ff: 64,
    n_layers: 2,
    n_heads: 2,
    n_kv_heads: 1,
    vocab_size: -262,
    context_len: 6,
};

impl Sizes {
    pub fn header(&self) -> Vec<u8> {
        let fields = [
            self.d_model,
            self.d_ff,
            self.n_layers,
            self.n_heads,
            self.n_kv_heads,
            self.vocab_size,
            self.context_len,
        ];
        fields
            .iter()
            .flat_map(|field| field.to_le_bytes())
            .collect()
    }

    /// Elements after the header.
    pub fn n_weights(&self) -> usize {
        let [d, f, layers, vocab] = [
            self.d_model,
            self.d_ff,
            self.n_layers,
            self.vocab_size.abs(),
        ]
        .map(|n| n as usize);
        let head_dim = d / self.n_heads as usize;
        let kv = head_dim * self.n_kv_heads as usize;
        let rotary = self.context_len as usize * head_dim;
        let output = if self.vocab_size < 0 { vocab * d } else { 0 };
        vocab * d + layers * (2 * d + 2 * d * d + 2 * d * kv + 3 * d * f) + d + rotary + output
    }

    /// A checkpoint whose weights count up in small steps around zero.
    pub fn checkpoint(&self) -> Vec<u8> {
        let mut bytes = self.header();
        for idx in 0..self.n_weights() {
            let weight = ((idx * 37) % 1009) as f32 / 512.0 - 1.0;
            bytes.extend(weight.to_le_bytes());
        }
        bytes
    }
}

/// A tokenizer file of unknown, begin, end, the bytes, then `a`, `b`, `ab`.
pub fn tokenizer_file() -> Vec<u8> {
    let mut pieces: Vec<(f32, Vec<u8>)> = vec![
        (0.0, b"<unk>".to_vec()),
        (0.0, b"\n<s>\n".to_vec()),
        (0.0, b"\n</s>\n".to_vec()),
    ];
    pieces.extend((0..=255).map(|byte: u8| (0.0, format!("<0x{byte:02X}>").into_bytes())));
    pieces.extend([
        (-0.0, b"a".to_vec()),
        (-1.0, b"b".to_vec()),
        (-2.0, b"ab".to_vec()),
    ]);
    tokenizer_file_of(&pieces)
}

pub fn tokenizer_file_of(pieces: &[(f32, Vec<u8>)]) -> Vec<u8> {
    let longest = pieces
        .iter()
        .map(|(_, piece)| piece.len())
        .max()
        .unwrap_or(0) as i32;
    let mut bytes = longest.to_le_bytes().to_vec();
    for (score, piece) in pieces {
        bytes.extend(score.to_le_bytes());
        bytes.extend((piece.len() as i32).to_le_bytes());
        bytes.extend(piece);
    }
    bytes
}

pub fn options(format: TargetFormat) -> ImportOptions {
    ImportOptions {
        format,
        ..ImportOptions::default()
    }
}

/// Runs an import of files in memory. Checks that reads lie inside the files and that writes
/// cover the new file exactly once.
pub fn import(
    files: &[(&str, &[u8])],
    options: ImportOptions,
    budget_bytes: u64,
) -> Result<Vec<u8>, ImportError> {
    let info = |(name, bytes): &(&str, &[u8])| SourceInfo {
        name: name.to_string(),
        bytes: bytes.len() as u64,
    };
    let mut importer = Importer::new(files.iter().map(info).collect(), options)?;
    let mut out: Vec<Option<u8>> = Vec::new();
    loop {
        match importer.step(budget_bytes)? {
            ImportStep::Read {
                source,
                offset,
                len,
            } => {
                let bytes = &files[source].1[offset as usize..(offset + len) as usize];
                importer.supply(bytes)?;
            }
            ImportStep::Write { offset } => {
                let bytes = importer.output();
                let end = offset as usize + bytes.len();
                out.resize(out.len().max(end), None);
                for (slot, byte) in out[offset as usize..end].iter_mut().zip(bytes) {
                    assert_eq!(*slot, None, "a byte is written twice");
                    *slot = Some(*byte);
                }
            }
            ImportStep::Progress {
                done_bytes,
                total_bytes,
            } => assert!(done_bytes <= total_bytes),
            ImportStep::Done => break,
        }
    }
    let (done_bytes, total_bytes) = importer.progress();
    assert_eq!(done_bytes, total_bytes, "every source is read to its end");
    assert_eq!(importer.file_bytes(), out.len() as u64);
    Ok(out
        .into_iter()
        .map(|byte| byte.expect("every byte is written"))
        .collect())
}

/// Runs an export in memory; checks that files are written from front to back without gaps.
pub fn export(package: &[u8], kind: ExportKind) -> (Vec<(String, Vec<u8>)>, Vec<String>) {
    let head = Package::parse(package).unwrap().head;
    let mut exporter = Exporter::new(&head, kind).unwrap();
    let names = exporter.file_names().to_vec();
    let mut files: Vec<(String, Vec<u8>)> = names.into_iter().map(|n| (n, Vec::new())).collect();
    loop {
        match exporter.step().unwrap() {
            ExportStep::Read { offset, len } => {
                let bytes = &package[offset as usize..(offset + len) as usize];
                exporter.supply(bytes).unwrap();
            }
            ExportStep::Write { file, offset } => {
                assert_eq!(files[file].1.len() as u64, offset);
                files[file].1.extend(exporter.output());
            }
            ExportStep::Done => break,
        }
    }
    assert_eq!(exporter.n_bytes(), files[0].1.len() as u64);
    let (done, all) = exporter.progress();
    assert_eq!(done, all);
    assert!(
        exporter
            .report_json()
            .starts_with("{\"schema\":\"cultivar.export.v1\"")
    );
    (files, exporter.notes().to_vec())
}

/// The bytes of one of an export's files that are written as a whole.
pub fn whole_file(mut exporter: Exporter, wanted: usize) -> Vec<u8> {
    loop {
        match exporter.step().unwrap() {
            ExportStep::Write { file, .. } if file == wanted => return exporter.output().to_vec(),
            ExportStep::Write { .. } => {}
            step => panic!("{step:?} before file {wanted}"),
        }
    }
}
