//! What the caller of an import chooses.
//!
//! Formats are a table: one that comes later is refused by its name, not by being unknown.

use crate::error::{ImportError, ImportErrorKind};
use crate::ggml::GgmlType;
use crate::plan::TensorSource;
use alloc::string::String;
use cultivar_core::package::schema::TensorRole;
use cultivar_core::tensor::Format;

/// How matrices are stored. Norms and biases stay f32; rows that are no multiple of 32 become f16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetFormat {
    /// As the source stores them.
    #[default]
    Keep,
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// The upper halves of 32-bit floats.
    Bf16,
    /// 8 bits per weight and one scale per 32.
    Q8_0,
    /// 6 bits per weight and quantized sub-scales.
    Q6K,
    /// 5 bits per weight and one scale per 32.
    Q5_0,
    /// 4 bits per weight and quantized sub-scales.
    Q4K,
    /// 4 bits per weight and one scale per 32.
    Q4_0,
    /// q4_k, with q6_k for the output matrix and for the more sensitive half of the value and down
    /// matrices, as llama.cpp's Q4_K_M.
    Q4KM,
    /// The same, with q8_0 for the embedding and the output matrix.
    Q4KL,
}

impl TargetFormat {
    /// Every format, in the order in which help lists them.
    pub const ALL: [TargetFormat; 11] = [
        TargetFormat::Keep,
        TargetFormat::F32,
        TargetFormat::F16,
        TargetFormat::Bf16,
        TargetFormat::Q8_0,
        TargetFormat::Q6K,
        TargetFormat::Q5_0,
        TargetFormat::Q4K,
        TargetFormat::Q4_0,
        TargetFormat::Q4KM,
        TargetFormat::Q4KL,
    ];

    /// The name that commands and records use.
    pub const fn name(self) -> &'static str {
        match self {
            TargetFormat::Keep => "keep",
            TargetFormat::F32 => "f32",
            TargetFormat::F16 => "f16",
            TargetFormat::Bf16 => "bf16",
            TargetFormat::Q8_0 => "q8_0",
            TargetFormat::Q6K => "q6_k",
            TargetFormat::Q5_0 => "q5_0",
            TargetFormat::Q4K => "q4_k",
            TargetFormat::Q4_0 => "q4_0",
            TargetFormat::Q4KM => "q4_k_m",
            TargetFormat::Q4KL => "q4_k_l",
        }
    }

    /// The format of a name; unknown ones are refused.
    pub fn from_name(name: &str) -> Result<TargetFormat, ImportError> {
        let known = Self::ALL.into_iter().find(|format| format.name() == name);
        known.ok_or_else(|| ImportError::new(ImportErrorKind::FormatUnknown).field(name))
    }

    /// The name of the stored format of a matrix of a model of `n_layers`, some tied.
    fn of_matrix(self, tensor: &TensorSource, n_layers: usize, is_tied: bool) -> &'static str {
        let is_wide_part = matches!(tensor.role, TensorRole::WGate | TensorRole::WUp);
        let q4_k = match is_wide_part && tensor.d_in() < SHORT_ROW_LEN {
            true => "q4_0",
            false => "q4_k",
        };
        match self {
            TargetFormat::Q4K => return q4_k,
            TargetFormat::Q4KM | TargetFormat::Q4KL => {}
            _ => return self.name(),
        }
        let is_output = match tensor.role {
            TensorRole::Output => true,
            TensorRole::TokenEmbedding => is_tied,
            _ => false,
        };
        let is_end = is_output || tensor.role == TensorRole::TokenEmbedding;
        let is_sensitive = matches!(tensor.role, TensorRole::Wv | TensorRole::WDown)
            && tensor
                .layer
                .is_some_and(|layer| has_more_bits(layer, n_layers));
        match self {
            _ if tensor.role.name() == "position_embedding" => "f16",
            TargetFormat::Q4KL if is_end => "q8_0",
            _ if is_output || is_sensitive => "q6_k",
            _ => q4_k,
        }
    }

    /// The stored format of a matrix; `None` if a format of that name does not exist.
    pub(crate) fn stored(
        self,
        tensor: &TensorSource,
        requantize: Requantize,
        n_layers: usize,
        is_tied: bool,
    ) -> Option<&'static Format> {
        let source = tensor.ggml_type;
        let name = match self {
            TargetFormat::Keep if KEPT.contains(&source.name) => source.name,
            TargetFormat::Keep => requantize.stored(source),
            _ => self.of_matrix(tensor, n_layers, is_tied),
        };
        let format = Format::by_name(name)?;
        if tensor.d_in().is_multiple_of(format.block_len) {
            return Some(format);
        }
        Format::by_name("f16")
    }
}

/// Rows shorter than this have super-blocks so short that q4_k takes more than 3 % more bytes than
/// q4_0; there a layer's two widest matrices stay q4_0, so that a model takes no more than that.
const SHORT_ROW_LEN: usize = 128;

/// Which layers get more bits in a mix. Source: llama.cpp `llama-quant.cpp`, `use_more_bits`.
fn has_more_bits(layer: usize, n_layers: usize) -> bool {
    let eighth = n_layers / 8;
    layer < eighth || layer >= 7 * n_layers / 8 || (layer - eighth) % 3 == 2
}

/// Source formats that a package stores as they are.
const KEPT: &[&str] = &["f32", "f16", "bf16", "q8_0", "q4_0", "q5_0", "q4_k", "q6_k"];

/// What blocks of a format that no package stores become, where formats are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requantize {
    /// q8_0, whatever they were: almost nothing is lost.
    #[default]
    Q8_0,
    /// The smallest format that is no smaller than the source.
    Nearest,
}

impl Requantize {
    /// The name that commands and records use.
    pub const fn name(self) -> &'static str {
        match self {
            Requantize::Q8_0 => "q8_0",
            Requantize::Nearest => "nearest",
        }
    }

    /// The choice of a name.
    pub fn from_name(name: &str) -> Result<Requantize, ImportError> {
        match name {
            "q8_0" => Ok(Requantize::Q8_0),
            "nearest" => Ok(Requantize::Nearest),
            _ => Err(ImportError::new(ImportErrorKind::RequantizeUnknown).field(name)),
        }
    }

    /// The name of the stored format.
    fn stored(self, source: &GgmlType) -> &'static str {
        // q4_k, q5_0 and q6_k have 144, 176 and 210 bytes for 256 weights.
        let bytes_per_256 = source.block_bytes * 256 / source.block_len;
        match (self, bytes_per_256) {
            (Requantize::Q8_0, _) => "q8_0",
            (_, 0..=144) => "q4_k",
            (_, 145..=176) => "q5_0",
            (_, 177..=210) => "q6_k",
            _ => "q8_0",
        }
    }
}

/// What the caller chooses and knows about a model. Texts go into the package's metadata; an
/// empty text is left out, or taken from the files where they have one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// How matrices are stored.
    pub format: TargetFormat,
    /// What blocks of other formats become where formats are kept.
    pub requantize: Requantize,
    /// The model's name; if empty, what the files call it or are called.
    pub name: String,
    /// Under which licence the model may be used.
    pub license: String,
    /// Where the model comes from.
    pub source: String,
    /// Anything else worth keeping.
    pub notes: String,
    /// Whether files of no known kind are passed over (a folder may hold a readme) or refused.
    pub skip_unrecognised: bool,
}
