//! Packages on disk: the head alone for what needs no weights, or a model whose tensors are read
//! straight into the buffers that the kernels use.
//!
//! A file is read once, front to back; no copy of it is kept.

use crate::failure::{Exit, Failure};
use cultivar_core::model::{Model, ModelBuilder};
use cultivar_core::package::{HEADER_BYTES, Head, Header, PackageError, PackageErrorKind, Tail};
use cultivar_core::tokenizer::Tokenizer;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes verified per step: enough that steps cost nothing.
const STEP_BYTES: usize = 16 << 20;

/// An open package file.
pub struct PackageFile {
    file: File,
    path: PathBuf,
    /// Its length.
    pub file_bytes: u64,
}

impl PackageFile {
    /// Opens a file; nothing is read yet.
    pub fn open(path: &Path) -> Result<PackageFile, Failure> {
        let reading = |error| Failure::reading(path, &error);
        let file = File::open(path).map_err(reading)?;
        let info = file.metadata().map_err(reading)?;
        if info.is_dir() {
            return Err(Failure::new(Exit::BadInput, "is a folder, not a package").about(path));
        }
        Ok(PackageFile {
            file,
            path: path.to_path_buf(),
            file_bytes: info.len(),
        })
    }

    /// The same failure, preceded by the file's name.
    pub fn about(&self, failure: impl Into<Failure>) -> Failure {
        failure.into().about(&self.path)
    }

    /// Fills `out` with the bytes at this offset.
    pub fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<(), Failure> {
        let read = self.file.seek(SeekFrom::Start(offset));
        let read = read.and_then(|_| self.file.read_exact(out));
        read.map_err(|error| Failure::reading(&self.path, &error))
    }

    /// These bytes as a new list.
    pub fn bytes(&mut self, offset: u64, n_bytes: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let n_bytes = usize::try_from(n_bytes).unwrap_or(usize::MAX);
        if bytes.try_reserve_exact(n_bytes).is_err() {
            let message = format!("out of memory: {n_bytes} bytes");
            return Err(Failure::new(Exit::OutOfSpace, message).about(&self.path));
        }
        bytes.resize(n_bytes, 0);
        self.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// The header and the bytes before the tensor data. The header vouches for the file's length,
    /// so that no more is read than is there.
    pub fn head_bytes(&mut self) -> Result<(Header, Vec<u8>), Failure> {
        let n_bytes = self.file_bytes.min(HEADER_BYTES as u64);
        let start = self.bytes(0, n_bytes)?;
        let header = Header::of_file(&start, self.file_bytes).map_err(|e| self.about(e))?;
        let n_bytes = u64::from(header.head_bytes);
        if n_bytes > self.file_bytes {
            let error = PackageError::at(PackageErrorKind::HeadBytes, 32);
            return Err(self.about(error));
        }
        Ok((header, self.bytes(0, n_bytes)?))
    }

    /// The head of a model's package, its digests checked.
    pub fn head(&mut self) -> Result<Head, Failure> {
        let (_, bytes) = self.head_bytes()?;
        Head::parse(&bytes, self.file_bytes).map_err(|error| self.about(error))
    }

    /// What stands behind the tensor data of this head.
    pub fn tail(&mut self, head: &Head) -> Result<Tail, Failure> {
        let offset = head.tail_offset();
        let bytes = self.bytes(offset, self.file_bytes.saturating_sub(offset))?;
        head.parse_tail(&bytes).map_err(|error| self.about(error))
    }

    /// The tokenizer of a model's package, all of it checked. A run on ids needs none.
    pub fn tokenizer(&mut self) -> Result<Tokenizer, Failure> {
        let head = self.head()?;
        Tokenizer::new(head.tokenizer).map_err(|error| self.about(error))
    }

    /// The model, every tensor verified and checked.
    pub fn model(&mut self) -> Result<Model, Failure> {
        let head = self.head()?;
        self.tail(&head)?;
        let mut builder = ModelBuilder::new(head).map_err(|error| self.about(error))?;
        for idx in 0..builder.n_tensors() {
            let (offset, _) = builder.file_range(idx).map_err(|error| self.about(error))?;
            let buffer = builder.buffer(idx).map_err(|error| self.about(error))?;
            self.read_at(offset, buffer)?;
            while builder
                .verify_step(idx, STEP_BYTES)
                .map_err(|error| self.about(error))?
                > 0
            {}
        }
        while builder
            .check_step(STEP_BYTES)
            .map_err(|error| self.about(error))?
            > 0
        {}
        builder.finish().map_err(|error| self.about(error))
    }
}
