//! GGUF LoRA files: factors under `TENSOR.weight.lora_a` and `.lora_b`, one alpha for all.
//!
//! The scale is `alpha / rank` with each module's own rank, or 1 where alpha is 0. q and k of the
//! llama architecture have interleaved rotary rows, which are put back; an embedding's factors are
//! exchanged. Source: llama.cpp `llama-adapter.cpp`, `convert_lora_to_gguf.py`.

use super::error::{LoraError, LoraRule};
use super::factor::Factor;
use super::{ForeignAdapter, ForeignDelta, modules};
use crate::gguf::{Gguf, GgufTensor, Parsed};
use alloc::string::String;
use alloc::vec::Vec;

/// Reads the whole file.
pub(super) fn read(bytes: &[u8]) -> Result<ForeignAdapter, LoraError> {
    let gguf = match Gguf::parse(bytes, bytes.len() as u64)? {
        Parsed::Whole(gguf) => gguf,
        Parsed::More(_) => return Err(LoraError::new(LoraRule::Truncated, "header")),
    };
    let field = |key| LoraError::new(LoraRule::ConfigField, key);
    if gguf.text("general.type")? != Some("adapter") {
        return Err(field("general.type"));
    }
    match gguf.text("adapter.type")? {
        Some("lora") => {}
        Some(other) => return Err(LoraError::new(LoraRule::OtherKind, other)),
        None => return Err(field("adapter.type")),
    }
    let architecture = gguf.text("general.architecture")?.unwrap_or_default();
    if !modules::GGUF_ARCHITECTURES.contains(&architecture) {
        return Err(LoraError::new(LoraRule::GgufArchitecture, architecture));
    }
    let invocation = "adapter.alora.invocation_tokens";
    if gguf.value(invocation).is_some() {
        return Err(LoraError::new(LoraRule::Variant, "aLoRA"));
    }
    let alpha = gguf.f64("adapter.lora.alpha")?;
    let alpha = alpha.ok_or_else(|| field("adapter.lora.alpha"))?;
    let mut deltas = Vec::new();
    for tensor in gguf.tensors() {
        let unknown = || LoraError::new(LoraRule::UnknownTensor, tensor.name);
        let (name, factor) = tensor.name.rsplit_once('.').ok_or_else(unknown)?;
        let other = match factor {
            "lora_a" => "lora_b",
            "lora_b" => "lora_a",
            _ => return Err(unknown()),
        };
        let partner = alloc::format!("{name}.{other}");
        let partner = gguf.tensor(&partner);
        let partner = partner.ok_or_else(|| LoraError::new(LoraRule::FactorMissing, name))?;
        if factor == "lora_b" {
            continue;
        }
        let module = name.strip_suffix(".weight").ok_or_else(unknown)?;
        let (layer, split) = modules::gguf(module, architecture).ok_or_else(unknown)?;
        let (a, b) = (read_factor(tensor, bytes)?, read_factor(partner, bytes)?);
        let misfit = || LoraError::new(LoraRule::FactorShape, name);
        let (a, b) = match module {
            "token_embd" => (b.transposed().ok_or_else(misfit)?, a),
            _ => (a, b),
        };
        let scale = match alpha == 0.0 {
            true => 1.0,
            false => (alpha / a.n_rows as f64) as f32,
        };
        if !scale.is_finite() {
            return Err(field("adapter.lora.alpha"));
        }
        deltas.push(ForeignDelta {
            module: String::from(module),
            layer,
            split,
            a,
            b,
            scale,
        });
    }
    if deltas.is_empty() {
        return Err(LoraError::new(LoraRule::NoFile, ""));
    }
    let base_name = gguf.text("general.base_model.0.name")?.unwrap_or_default();
    let license = gguf.text("general.license")?.unwrap_or_default();
    Ok(ForeignAdapter {
        kind: "gguf_lora",
        base_name: String::from(base_name),
        license: String::from(license),
        deltas,
    })
}

/// The bytes of a tensor with its format.
fn read_factor(tensor: &GgufTensor<'_>, bytes: &[u8]) -> Result<Factor, LoraError> {
    let (format, place) = (tensor.ggml_type.name, (tensor.offset, tensor.bytes));
    Factor::read(tensor.name, format, &tensor.shape, place, bytes)
}
