//! A second encoder of packages, field by field, that can also write what no writer would.
//!
//! Shares no code with the package writer, so the two check each other; every derived field
//! (offsets, lengths, digests) can be overridden to build one hostile file per rule. It follows
//! `docs/package-format.md` line by line. For tests only: it panics on nonsense of its caller.

use cultivar_core::digest::sha256;

/// One option of a record section.
#[derive(Clone, Debug, PartialEq)]
pub struct RawRecord {
    /// The key's bytes.
    pub key: Vec<u8>,
    /// The kind of the value.
    pub kind: u8,
    /// The value's bytes.
    pub payload: Vec<u8>,
}

/// A record of these parts.
pub fn record(key: &str, kind: u8, payload: impl Into<Vec<u8>>) -> RawRecord {
    RawRecord {
        key: key.into(),
        kind,
        payload: payload.into(),
    }
}

/// A record that holds an unsigned integer.
pub fn count_record(key: &str, value: u64) -> RawRecord {
    record(key, 1, value.to_le_bytes())
}

/// A record that holds a float.
pub fn real_record(key: &str, value: f64) -> RawRecord {
    record(key, 3, value.to_le_bytes())
}

/// A record that holds a text.
pub fn text_record(key: &str, value: &str) -> RawRecord {
    record(key, 5, value)
}

/// The payload of a list of byte strings.
pub fn strings_payload(strings: &[&[u8]]) -> Vec<u8> {
    let mut out = (strings.len() as u32).to_le_bytes().to_vec();
    for string in strings {
        out.extend_from_slice(&(string.len() as u32).to_le_bytes());
        out.extend_from_slice(string);
    }
    out
}

/// The bytes of a section of records, in the order given.
pub fn record_section(records: &[RawRecord]) -> Vec<u8> {
    let mut out = (records.len() as u32).to_le_bytes().to_vec();
    for record in records {
        out.push(record.key.len() as u8);
        out.extend_from_slice(&record.key);
        out.push(record.kind);
        out.extend_from_slice(&(record.payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&record.payload);
    }
    out
}

/// One tensor with its directory entry.
#[derive(Clone, Debug, PartialEq)]
pub struct RawTensor {
    /// The name's bytes.
    pub name: Vec<u8>,
    /// Dtype id.
    pub dtype: u16,
    /// Layout id.
    pub layout: u16,
    /// Dimensions.
    pub dims: Vec<u64>,
    /// Stored bytes.
    pub bytes: Vec<u8>,
    /// Instead of the place that follows from the tensor before.
    pub offset: Option<u64>,
    /// Instead of the length of `bytes`.
    pub len: Option<u64>,
    /// Instead of the digest of `bytes`.
    pub digest: Option<[u8; 32]>,
}

impl RawTensor {
    /// An f32 tensor in rows.
    pub fn f32(name: &str, dims: &[u64], values: &[f32]) -> RawTensor {
        RawTensor {
            name: name.into(),
            dtype: 1,
            layout: 0,
            dims: dims.to_vec(),
            bytes: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
            offset: None,
            len: None,
            digest: None,
        }
    }

    /// A u32 tensor in rows.
    pub fn u32(name: &str, values: &[u32]) -> RawTensor {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let dims = vec![values.len() as u64];
        RawTensor {
            dtype: 4,
            dims,
            bytes,
            ..RawTensor::f32(name, &[], &[])
        }
    }
}

/// One section with its row in the table.
#[derive(Clone, Debug, PartialEq)]
pub struct RawSection {
    /// Section id.
    pub id: u32,
    /// Flags.
    pub flags: u32,
    /// The section's bytes.
    pub bytes: Vec<u8>,
    /// Instead of the place that follows from the section before.
    pub offset: Option<u64>,
    /// Instead of the length of `bytes`.
    pub len: Option<u64>,
    /// The reserved field.
    pub reserved: u64,
    /// Instead of the digest of `bytes` (for the tensor data: of the directory's bytes).
    pub digest: Option<[u8; 32]>,
}

impl RawSection {
    /// A well-formed section.
    pub fn new(id: u32, flags: u32, bytes: impl Into<Vec<u8>>) -> RawSection {
        let bytes = bytes.into();
        RawSection {
            id,
            flags,
            bytes,
            offset: None,
            len: None,
            reserved: 0,
            digest: None,
        }
    }
}

/// Ids of the sections that the builder treats specially.
const DIRECTORY: u32 = 0x50;
const DATA: u32 = 0x60;

/// A package in the making.
#[derive(Clone, Debug, PartialEq)]
pub struct RawPackage {
    /// The first eight bytes.
    pub magic: [u8; 8],
    /// Format version.
    pub version: (u16, u16),
    /// 1 model, 2 adapter.
    pub kind: u32,
    /// Instead of the number of sections.
    pub n_sections: Option<u32>,
    /// The two reserved fields of the header.
    pub reserved: (u32, u32),
    /// Instead of the file's length.
    pub file_bytes: Option<u64>,
    /// Instead of the place of the tensor data.
    pub head_bytes: Option<u32>,
    /// Instead of the header's digest.
    pub header_digest: Option<[u8; 24]>,
    /// All sections but directory and tensor data, in the order of the table.
    pub sections: Vec<RawSection>,
    /// Changes the directory's or the data's row and bytes after they are made.
    pub directory: RowChange,
    /// The same for the tensor data.
    pub data: RowChange,
    /// Instead of the number of tensors.
    pub n_tensors: Option<u32>,
    /// The tensors in the order of the directory.
    pub tensors: Vec<RawTensor>,
    /// Bytes behind the last entry of the directory.
    pub directory_extra: Vec<u8>,
    /// Bytes behind the last tensor, inside the tensor data.
    pub data_extra: Vec<u8>,
    /// What padding is made of.
    pub padding: u8,
    /// Bytes behind the last section.
    pub trailing: Vec<u8>,
}

/// Overrides for a section that the builder makes by itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowChange {
    /// Leaves the section out.
    pub is_absent: bool,
    /// Instead of its flags.
    pub flags: Option<u32>,
    /// Instead of its digest.
    pub digest: Option<[u8; 32]>,
}

impl RawPackage {
    /// A package of this kind without sections and tensors.
    pub fn new(kind: u32) -> RawPackage {
        RawPackage {
            magic: *b"\x89SLM\r\n\x1A\n",
            version: (1, 0),
            kind,
            n_sections: None,
            reserved: (0, 0),
            file_bytes: None,
            head_bytes: None,
            header_digest: None,
            sections: Vec::new(),
            directory: RowChange::default(),
            data: RowChange::default(),
            n_tensors: None,
            tensors: Vec::new(),
            directory_extra: Vec::new(),
            data_extra: Vec::new(),
            padding: 0,
            trailing: Vec::new(),
        }
    }

    /// The section of this id, to be changed.
    pub fn section(&mut self, id: u32) -> &mut RawSection {
        let found = self.sections.iter_mut().find(|section| section.id == id);
        found.expect("the builder's caller names a section that it put")
    }

    /// The tensor of this name, to be changed.
    pub fn tensor(&mut self, name: &str) -> &mut RawTensor {
        let found = self
            .tensors
            .iter_mut()
            .find(|tensor| tensor.name == name.as_bytes());
        found.expect("the builder's caller names a tensor that it put")
    }

    /// The file's bytes.
    pub fn build(&self) -> Vec<u8> {
        let rows = self.rows();
        let table_end = 64 + 64 * rows.len() as u64;
        let mut table = Vec::new();
        let mut body = Vec::new();
        let mut head_bytes = 0;
        for row in &rows {
            let end = table_end + body.len() as u64;
            body.resize(
                (end.next_multiple_of(64) - table_end) as usize,
                self.padding,
            );
            let place = end.next_multiple_of(64);
            if row.id == DATA {
                head_bytes = place;
            }
            table.extend_from_slice(&row.id.to_le_bytes());
            table.extend_from_slice(&row.flags.to_le_bytes());
            table.extend_from_slice(&row.offset.unwrap_or(place).to_le_bytes());
            table.extend_from_slice(&row.len.unwrap_or(row.bytes.len() as u64).to_le_bytes());
            table.extend_from_slice(&row.reserved.to_le_bytes());
            table.extend_from_slice(&row.digest.unwrap_or(sha256(&row.bytes).0));
            body.extend_from_slice(&row.bytes);
        }
        body.extend_from_slice(&self.trailing);
        let file_bytes = table_end + body.len() as u64;

        let mut out = self.magic.to_vec();
        out.extend_from_slice(&self.version.0.to_le_bytes());
        out.extend_from_slice(&self.version.1.to_le_bytes());
        out.extend_from_slice(&self.kind.to_le_bytes());
        out.extend_from_slice(&self.n_sections.unwrap_or(rows.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.reserved.0.to_le_bytes());
        out.extend_from_slice(&self.file_bytes.unwrap_or(file_bytes).to_le_bytes());
        out.extend_from_slice(&self.head_bytes.unwrap_or(head_bytes as u32).to_le_bytes());
        out.extend_from_slice(&self.reserved.1.to_le_bytes());
        let digested = [out.as_slice(), table.as_slice()].concat();
        let digest = sha256(&digested).0;
        out.extend_from_slice(
            &self
                .header_digest
                .unwrap_or(digest[..24].try_into().unwrap()),
        );
        out.extend_from_slice(&table);
        out.extend_from_slice(&body);
        out
    }

    /// The sections with directory and tensor data put in their places.
    fn rows(&self) -> Vec<RawSection> {
        let (directory, data) = self.directory_and_data();
        let directory_digest = sha256(&directory).0;
        let mut made = Vec::new();
        if !self.directory.is_absent {
            let mut row = RawSection::new(DIRECTORY, self.directory.flags.unwrap_or(1), directory);
            row.digest = self.directory.digest;
            made.push(row);
        }
        if !self.data.is_absent {
            let mut row = RawSection::new(DATA, self.data.flags.unwrap_or(1), data);
            row.digest = Some(self.data.digest.unwrap_or(directory_digest));
            made.push(row);
        }
        let mut rows = self.sections.clone();
        let place = rows
            .iter()
            .position(|row| row.id > DIRECTORY)
            .unwrap_or(rows.len());
        rows.splice(place..place, made);
        rows
    }

    fn directory_and_data(&self) -> (Vec<u8>, Vec<u8>) {
        let n_tensors = self.n_tensors.unwrap_or(self.tensors.len() as u32);
        let mut directory = n_tensors.to_le_bytes().to_vec();
        let mut data = Vec::new();
        for tensor in &self.tensors {
            data.resize(data.len().next_multiple_of(64), self.padding);
            let offset = tensor.offset.unwrap_or(data.len() as u64);
            let len = tensor.len.unwrap_or(tensor.bytes.len() as u64);
            directory.extend_from_slice(&(tensor.name.len() as u16).to_le_bytes());
            directory.extend_from_slice(&tensor.name);
            directory.extend_from_slice(&tensor.dtype.to_le_bytes());
            directory.extend_from_slice(&tensor.layout.to_le_bytes());
            directory.push(tensor.dims.len() as u8);
            tensor
                .dims
                .iter()
                .for_each(|dim| directory.extend_from_slice(&dim.to_le_bytes()));
            directory.extend_from_slice(&offset.to_le_bytes());
            directory.extend_from_slice(&len.to_le_bytes());
            directory.extend_from_slice(&tensor.digest.unwrap_or(sha256(&tensor.bytes).0));
            data.extend_from_slice(&tensor.bytes);
        }
        directory.extend_from_slice(&self.directory_extra);
        data.extend_from_slice(&self.data_extra);
        (directory, data)
    }
}
