//! Builders of foreign model files: GGUF and safetensors, right or wrong in any field.
//!
//! They check nothing, so that a test can write what no program would.

/// A GGUF file in the making: metadata and tensors in the order of the calls.
#[derive(Clone, Debug, Default)]
pub struct GgufBuilder {
    entries: Vec<u8>,
    n_entries: u64,
    infos: Vec<u8>,
    n_tensors: u64,
    data: Vec<u8>,
    /// 3 unless set.
    pub version: Option<u32>,
    /// 32 unless set; only the padding follows it, the metadata key is the caller's.
    pub alignment: Option<usize>,
}

/// The bytes of a GGUF text: its length, then itself.
pub fn gguf_text(text: &[u8]) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text);
    bytes
}

impl GgufBuilder {
    /// A file without metadata and tensors.
    pub fn new() -> GgufBuilder {
        GgufBuilder::default()
    }

    /// A metadata entry of this type id whose value has these bytes.
    pub fn raw(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.entries.extend(gguf_text(key.as_bytes()));
        self.entries.extend(kind.to_le_bytes());
        self.entries.extend(value);
        self.n_entries += 1;
        self
    }

    /// A text.
    pub fn text(self, key: &str, value: &str) -> Self {
        let value = gguf_text(value.as_bytes());
        self.raw(key, 8, &value)
    }

    /// An unsigned integer of 32 bits.
    pub fn u32(self, key: &str, value: u32) -> Self {
        self.raw(key, 4, &value.to_le_bytes())
    }

    /// A float of 32 bits.
    pub fn f32(self, key: &str, value: f32) -> Self {
        self.raw(key, 6, &value.to_le_bytes())
    }

    /// A truth value.
    pub fn bool(self, key: &str, value: bool) -> Self {
        self.raw(key, 7, &[u8::from(value)])
    }

    /// An array of `len` elements of this type id.
    pub fn array(self, key: &str, kind: u32, len: u64, elements: &[u8]) -> Self {
        let mut value = kind.to_le_bytes().to_vec();
        value.extend(len.to_le_bytes());
        value.extend(elements);
        self.raw(key, 9, &value)
    }

    /// An array of texts.
    pub fn texts(self, key: &str, texts: &[&[u8]]) -> Self {
        let elements: Vec<u8> = texts.iter().flat_map(|text| gguf_text(text)).collect();
        self.array(key, 8, texts.len() as u64, &elements)
    }

    /// An array of 32-bit floats.
    pub fn f32s(self, key: &str, values: &[f32]) -> Self {
        let elements: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.array(key, 6, values.len() as u64, &elements)
    }

    /// An array of 32-bit signed integers.
    pub fn i32s(self, key: &str, values: &[i32]) -> Self {
        let elements: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.array(key, 5, values.len() as u64, &elements)
    }

    /// A tensor with these dimensions (outermost first), type id and bytes, behind the others.
    pub fn tensor(mut self, name: &str, shape: &[u64], type_id: u32, bytes: &[u8]) -> Self {
        let offset = self.data.len() as u64;
        self.data.extend(bytes);
        let alignment = self.alignment.unwrap_or(32);
        self.data
            .resize(self.data.len().next_multiple_of(alignment), 0);
        self.info(name, shape, type_id, offset)
    }

    /// A tensor of 32-bit floats.
    pub fn f32_tensor(self, name: &str, shape: &[u64], values: &[f32]) -> Self {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.tensor(name, shape, 0, &bytes)
    }

    /// Only the description of a tensor, at any offset of the data.
    pub fn info(mut self, name: &str, shape: &[u64], type_id: u32, offset: u64) -> Self {
        self.infos.extend(gguf_text(name.as_bytes()));
        self.infos.extend((shape.len() as u32).to_le_bytes());
        for dim in shape.iter().rev() {
            self.infos.extend(dim.to_le_bytes());
        }
        self.infos.extend(type_id.to_le_bytes());
        self.infos.extend(offset.to_le_bytes());
        self.n_tensors += 1;
        self
    }

    /// The file with other counts than it has.
    pub fn with_counts(&self, n_tensors: u64, n_entries: u64) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.unwrap_or(3).to_le_bytes());
        bytes.extend(n_tensors.to_le_bytes());
        bytes.extend(n_entries.to_le_bytes());
        bytes.extend(&self.entries);
        bytes.extend(&self.infos);
        bytes.resize(
            bytes.len().next_multiple_of(self.alignment.unwrap_or(32)),
            0,
        );
        bytes.extend(&self.data);
        bytes
    }

    /// The file.
    pub fn build(&self) -> Vec<u8> {
        self.with_counts(self.n_tensors, self.n_entries)
    }
}

/// A safetensors file with this JSON header and these data bytes.
pub fn safetensors_file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// A safetensors file of these tensors: name, dtype, shape, bytes.
pub fn safetensors_of(tensors: &[(&str, &str, &[u64], &[u8])]) -> Vec<u8> {
    let (mut header, mut data) = (String::from("{"), Vec::new());
    for (i, (name, dtype, shape, bytes)) in tensors.iter().enumerate() {
        let (begin, end) = (data.len(), data.len() + bytes.len());
        let comma = if i == 0 { "" } else { "," };
        header += &format!(
            "{comma}\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape:?},\
             \"data_offsets\":[{begin},{end}]}}"
        );
        data.extend(*bytes);
    }
    header.push('}');
    safetensors_file(&header, &data)
}
