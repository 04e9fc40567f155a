//! Seeded random models as whole packages: tiny ones for tests, and the shapes that are measured.
//!
//! Weights have the spread of trained ones (rows of norm about 1), so logits are of order 1 and
//! differ; a seed names every byte. Large quantized tensors are drawn as codes, not as floats.

use cultivar_core::package::schema::TensorRole;
use cultivar_core::package::{
    Metadata, ModelConfig, ModelParts, ModelSize, QkNorm, RecordWriter, TensorPlan, metadata_key,
    schema, write_model,
};
use cultivar_core::rng::{self, Purpose};
use cultivar_core::tensor::half::f32_to_f16;
use cultivar_core::tensor::unpacked::Unpacked;
use cultivar_core::tensor::{Format, codec, tile};
use cultivar_core::tokenizer::{PieceType, TokenizerRecord};

/// Ids of the bytes tokenizer: 256 bytes, `<s>`, `</s>`.
pub const BYTES_VOCAB_SIZE: usize = 258;

/// What to draw.
#[derive(Clone, Debug)]
pub struct ModelSpec {
    /// Sizes and options.
    pub config: ModelConfig,
    /// Format of matrices whose rows are whole blocks; others are f16.
    pub format: &'static str,
    /// Names every weight.
    pub seed: u64,
    /// Name in the metadata.
    pub name: &'static str,
}

impl ModelSpec {
    /// Four heads on two key/value heads, three layers, widths that are whole blocks except
    /// `d_ff`, which leaves `w_down` in f16.
    pub fn tiny(format: &'static str) -> Self {
        let mut config = ModelConfig::new(ModelSize {
            d_model: 64,
            d_ff: 172,
            n_layers: 3,
            n_heads: 4,
            vocab_size: BYTES_VOCAB_SIZE,
            context_len: 160,
        });
        config.n_kv_heads = 2;
        config.tied_output = true;
        Self {
            config,
            format,
            seed: 1,
            name: "tiny",
        }
    }

    /// What [`ModelSpec::tiny`] leaves out: an output matrix of its own, as many key/value heads
    /// as heads, heads wider than `d_model / n_heads`, and other rotary and norm constants.
    pub fn untied(format: &'static str) -> Self {
        let mut config = ModelConfig::new(ModelSize {
            d_model: 96,
            d_ff: 160,
            n_layers: 2,
            n_heads: 3,
            vocab_size: BYTES_VOCAB_SIZE,
            context_len: 200,
        });
        config.head_dim = 64;
        config.norm_eps = 1e-6;
        config.rope_theta = 500_000.0;
        Self {
            config,
            format,
            seed: 2,
            name: "untied",
        }
    }

    /// Small enough to be committed: two layers, `w_down` in f16.
    pub fn golden(format: &'static str) -> Self {
        let mut config = ModelConfig::new(ModelSize {
            d_model: 64,
            d_ff: 100,
            n_layers: 2,
            n_heads: 4,
            vocab_size: BYTES_VOCAB_SIZE,
            context_len: 96,
        });
        config.n_kv_heads = 2;
        config.tied_output = true;
        Self {
            config,
            format,
            seed: 7,
            name: "golden",
        }
    }

    /// The shape of a 15 M parameter story model.
    pub fn shape_15m(format: &'static str) -> Self {
        let mut config = ModelConfig::new(ModelSize {
            d_model: 288,
            d_ff: 768,
            n_layers: 6,
            n_heads: 6,
            vocab_size: 32_000,
            context_len: 1024,
        });
        config.tied_output = true;
        Self {
            config,
            format,
            seed: 15,
            name: "shape-15m",
        }
    }

    /// The shape of a 135 M parameter assistant.
    pub fn shape_135m(format: &'static str) -> Self {
        let mut config = ModelConfig::new(ModelSize {
            d_model: 576,
            d_ff: 1536,
            n_layers: 30,
            n_heads: 9,
            vocab_size: 49_152,
            context_len: 1024,
        });
        config.n_kv_heads = 3;
        config.tied_output = true;
        Self {
            config,
            format,
            seed: 135,
            name: "shape-135m",
        }
    }

    /// The shape of a 360 M parameter assistant.
    pub fn shape_360m(format: &'static str) -> Self {
        let mut config = ModelConfig::new(ModelSize {
            d_model: 960,
            d_ff: 2560,
            n_layers: 32,
            n_heads: 15,
            vocab_size: 49_152,
            context_len: 1024,
        });
        config.n_kv_heads = 5;
        config.tied_output = true;
        Self {
            config,
            format,
            seed: 360,
            name: "shape-360m",
        }
    }

    /// The shape of a 600 M parameter assistant: heads wider than `d_model / n_heads`, queries and
    /// keys normalized, a large vocabulary.
    pub fn shape_600m(format: &'static str) -> Self {
        let mut config = ModelConfig::new(ModelSize {
            d_model: 1024,
            d_ff: 3072,
            n_layers: 28,
            n_heads: 16,
            vocab_size: 151_936,
            context_len: 1024,
        });
        config.n_kv_heads = 8;
        config.head_dim = 128;
        config.qk_norm = QkNorm::Head;
        config.rope_theta = 1_000_000.0;
        config.tied_output = true;
        Self {
            config,
            format,
            seed: 600,
            name: "shape-600m",
        }
    }

    /// The whole package.
    ///
    /// # Panics
    /// When the spec is not one that can be written; specs are code, not input.
    pub fn build(&self) -> Vec<u8> {
        let expected: Vec<_> = schema::expected_tensors(&self.config).collect();
        let mut tensors = Vec::new();
        for (idx, tensor) in expected.iter().enumerate() {
            let shape = tensor.shape().to_vec();
            let d_in = shape[shape.len() - 1] as usize;
            let d_out = if tensor.role.is_vector() {
                1
            } else {
                shape[0] as usize
            };
            let format = self.format_of(tensor.role.is_vector(), d_in);
            let weights = Weights {
                seed: self.seed,
                tensor: idx as u64,
            };
            let bytes = weights.draw(format, d_out, d_in, tensor.role);
            let name = String::from(tensor.name.as_str());
            tensors.push((
                TensorPlan {
                    name,
                    format,
                    shape,
                },
                bytes,
            ));
        }
        let tensors = tensors
            .iter()
            .map(|(plan, bytes)| (plan.clone(), bytes.as_slice()));
        write_model(&self.parts(), tensors.collect(), &[]).expect("a valid spec")
    }

    fn format_of(&self, is_vector: bool, d_in: usize) -> &'static Format {
        let format = Format::by_name(self.format).expect("a known format");
        match (is_vector, d_in.is_multiple_of(format.block_len)) {
            (true, _) => Format::by_name("f32").expect("f32 is known"),
            (false, true) => format,
            (false, false) => Format::by_name("f16").expect("f16 is known"),
        }
    }

    fn parts(&self) -> ModelParts {
        let mut metadata = RecordWriter::new();
        metadata.text(metadata_key::NAME, self.name);
        metadata.text(metadata_key::LICENSE, "CC0-1.0");
        metadata.text(metadata_key::SOURCE, "seeded random weights");
        ModelParts {
            config: self.config.clone(),
            tokenizer: bytes_tokenizer(self.config.vocab_size),
            chat_template: None,
            metadata: Metadata::from_records(&metadata),
            unknown: Vec::new(),
        }
    }
}

/// The bytes tokenizer, filled up with made-up words to the size of a vocabulary.
fn bytes_tokenizer(vocab_size: usize) -> TokenizerRecord {
    let mut record = TokenizerRecord::plain_bytes();
    for id in BYTES_VOCAB_SIZE..vocab_size {
        let word = made_up_word(id - BYTES_VOCAB_SIZE);
        assert!(record.pieces.push(word.as_bytes()), "room for pieces");
        record.types.push(PieceType::User as u8);
    }
    record
}

/// The `n`-th word: syllables, half of them behind a space, some with a quotation mark or a comma;
/// every tenth is a Chinese character.
fn made_up_word(n: usize) -> String {
    if n % 10 == 3
        && let Some(c) = char::from_u32(0x4E00 + n as u32 / 10)
    {
        return c.into();
    }
    let mut word = String::from(if n.is_multiple_of(2) { " " } else { "" });
    let mut rest = n;
    loop {
        let (consonant, vowel) = (rest % 20, rest / 20 % 5);
        word.push(char::from(b"bcdfghjklmnpqrstvwxz"[consonant]));
        word.push(char::from(b"aeiou"[vowel]));
        rest /= 100;
        if rest == 0 {
            break;
        }
    }
    match n % 16 {
        7 | 12 => word + "\"",
        9 => word + ",",
        _ => word,
    }
}

/// One tensor's stream of random numbers.
struct Weights {
    seed: u64,
    tensor: u64,
}

impl Weights {
    fn words(&self, i: u64) -> [u32; 4] {
        rng::draw(self.seed, Purpose::TestWeights, self.tensor << 40 | i)
    }

    fn draw(&self, format: &Format, d_out: usize, d_in: usize, role: TensorRole) -> Vec<u8> {
        match format.name {
            "q8_0" | "q4_0" => return self.draw_tiles(format, d_out, d_in),
            "q5_0" | "q4_k" | "q6_k" => return self.draw_blocks(format, d_out, d_in),
            _ => {}
        }
        // Uniform numbers of this half width have the standard deviation 1 / sqrt(d_in).
        let width = (3.0 / d_in as f32).sqrt();
        let values: Vec<f32> = (0..d_out * d_in)
            .map(|i| {
                let unit = rng::unit_f32(self.words(i as u64 / 4)[i % 4]) * 2.0 - 1.0;
                match (role.is_norm(), role.is_vector()) {
                    (true, _) => 1.0 + unit * 0.2,
                    (_, true) => unit * 0.5,
                    _ => unit * width,
                }
            })
            .collect();
        let n_bytes = format
            .stored_bytes(d_out as u64, d_in as u64)
            .expect("a valid shape");
        let mut bytes = vec![0; n_bytes as usize];
        codec::encode_rows(&mut bytes, format, &values, d_out, d_in).expect("a valid shape");
        bytes
    }

    /// Codes of all values but -128, scales around the one that gives rows a norm of 1.
    fn draw_tiles(&self, format: &Format, d_out: usize, d_in: usize) -> Vec<u8> {
        let deviation = if format.name == "q8_0" { 73.0 } else { 4.6 };
        let scale = 1.0 / (deviation * (d_in as f32).sqrt());
        let n_bytes = format
            .stored_bytes(d_out as u64, d_in as u64)
            .expect("a valid shape");
        let mut bytes = vec![0u8; n_bytes as usize];
        for (i, chunk) in bytes.chunks_mut(16).enumerate() {
            let words = self.words(i as u64);
            for (byte, word) in chunk
                .iter_mut()
                .zip(words.iter().flat_map(|w| w.to_le_bytes()))
            {
                *byte = if format.name == "q8_0" && word == 0x80 {
                    0
                } else {
                    word
                };
            }
        }
        let tile_block_bytes = format.block_bytes * format.tile_rows;
        let n_blocks = d_in / format.block_len;
        for (i, block) in bytes.chunks_exact_mut(tile_block_bytes).enumerate() {
            for r in 0..format.tile_rows {
                let is_row = i / n_blocks * format.tile_rows + r < d_out;
                let spread = 0.75 + f32::from(block[2 * r]) / 512.0;
                let stored = if is_row {
                    f32_to_f16(scale * spread)
                } else {
                    0
                };
                block[2 * r..2 * r + 2].copy_from_slice(&stored.to_le_bytes());
                if !is_row {
                    let codes = block[8..].iter_mut().enumerate();
                    codes
                        .filter(|(at, _)| at % 16 / 4 == r)
                        .for_each(|(_, code)| *code = 0);
                }
            }
        }
        bytes
    }

    /// Codes of all values, sub-scales in the upper quarter of what they can be, and scales around
    /// the one that gives rows a norm of 1; the minimum of q4_k is the middle of the codes.
    fn draw_blocks(&self, format: &Format, d_out: usize, d_in: usize) -> Vec<u8> {
        let (code_mask, deviation) = match format.name {
            "q5_0" => (31, 9.2),
            "q4_k" => (15, 4.6 * 55.5),
            _ => (63, 18.5 * 111.5),
        };
        let scale = 1.0 / (deviation * (d_in as f32).sqrt());
        let n_bytes = format
            .stored_bytes(d_out as u64, d_in as u64)
            .expect("a valid shape");
        let mut bytes = vec![0u8; n_bytes as usize];
        let tile_bytes = format.tile_bytes(d_in as u64).expect("a valid shape") as usize;
        let mut at = 0;
        let mut word = move |words: &dyn Fn(u64) -> [u32; 4]| {
            at += 1;
            words(at / 4)[at as usize % 4]
        };
        for row_idx in 0..d_out {
            let tile = &mut bytes[row_idx / 4 * tile_bytes..][..tile_bytes];
            for (start, n) in tile::super_blocks(format, d_in / format.block_len) {
                let mut block = Unpacked::zero(n);
                let mut draw = || word(&|i| self.words(i));
                let spread = 0.75 + (draw() & 255) as f32 / 512.0;
                block.scale = f32_to_f16(scale * spread);
                for j in 0..n {
                    let bits = draw();
                    if format.name == "q4_k" {
                        block.min = f32_to_f16(scale * spread * 7.5);
                        block.sub_scales[j] = 48 + (bits & 15) as u8;
                        block.sub_mins[j] = block.sub_scales[j];
                    } else if format.name == "q6_k" {
                        let sub_scale = |bits: u32| 96 + (bits & 31) as u8;
                        block.sub_scales[2 * j] = sub_scale(bits);
                        block.sub_scales[2 * j + 1] = sub_scale(bits >> 8).wrapping_neg();
                    }
                    for codes in block.codes[j].chunks_mut(4) {
                        let bytes = draw().to_le_bytes();
                        codes
                            .iter_mut()
                            .zip(bytes)
                            .for_each(|(c, b)| *c = b & code_mask);
                    }
                }
                let bytes = &mut tile[start..start + format.parts.bytes(n)];
                tile::put(bytes, format, row_idx % 4, &block);
            }
        }
        bytes
    }
}
