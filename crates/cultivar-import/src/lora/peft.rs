//! PEFT's `adapter_model.safetensors`: factors under `base_model.model.MODULE.lora_A.weight`.
//!
//! `lora_A` is `[rank, d_in]`, `lora_B` `[d_out, rank]`, also for modules that store their weight
//! transposed (`fan_in_fan_out`). An embedding's factors are `lora_embedding_A` `[rank, vocab]` and
//! `lora_embedding_B` `[d_model, rank]`: their delta is transposed, so they change places.
//! Source: peft `tuners/lora/layer.py`, `utils/save_and_load.py`.

use super::config::LoraConfig;
use super::error::{LoraError, LoraRule};
use super::factor::Factor;
use super::{ForeignAdapter, ForeignDelta, modules};
use crate::safetensors::{SafeTensor, Safetensors};
use alloc::string::String;
use alloc::vec::Vec;

/// One of the two factors of a module.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    A,
    B,
}

/// Endings of names: the factor, and whether it is an embedding's.
const ENDINGS: &[(&str, Side, bool)] = &[
    (".lora_A.weight", Side::A, false),
    (".lora_B.weight", Side::B, false),
    (".lora_A.default.weight", Side::A, false),
    (".lora_B.default.weight", Side::B, false),
    (".lora_embedding_A", Side::A, true),
    (".lora_embedding_B", Side::B, true),
    (".lora_embedding_A.default", Side::A, true),
    (".lora_embedding_B.default", Side::B, true),
];

/// A module with the factors met so far.
struct Pending {
    module: String,
    is_embedding: bool,
    a: Option<Factor>,
    b: Option<Factor>,
}

/// Reads the whole file.
pub(super) fn read(config: &LoraConfig, bytes: &[u8]) -> Result<ForeignAdapter, LoraError> {
    let header = Safetensors::parse(bytes, bytes.len() as u64)?;
    let mut pending: Vec<Pending> = Vec::new();
    for tensor in &header.tensors {
        let unknown = || LoraError::new(LoraRule::UnknownTensor, &tensor.name);
        if tensor.name.contains("lora_magnitude_vector") {
            return Err(LoraError::new(LoraRule::Variant, "DoRA"));
        }
        let ending = ENDINGS
            .iter()
            .find(|(ending, ..)| tensor.name.ends_with(ending));
        let (ending, side, is_embedding) = ending.ok_or_else(unknown)?;
        let module = tensor.name.strip_suffix(ending).unwrap_or_default();
        let module = module
            .strip_prefix("base_model.model.")
            .ok_or_else(unknown)?;
        let place = pending.iter().position(|p| p.module == module);
        let place = place.unwrap_or_else(|| {
            pending.push(Pending {
                module: String::from(module),
                is_embedding: *is_embedding,
                a: None,
                b: None,
            });
            pending.len() - 1
        });
        let Some(slot) = pending.get_mut(place) else {
            continue;
        };
        if slot.is_embedding != *is_embedding {
            return Err(unknown());
        }
        let slot = match side {
            Side::A => &mut slot.a,
            Side::B => &mut slot.b,
        };
        if slot.replace(factor(tensor, bytes)?).is_some() {
            return Err(unknown());
        }
    }
    let deltas: Result<Vec<ForeignDelta>, LoraError> = pending
        .into_iter()
        .map(|module| delta(config, module))
        .collect();
    let deltas = deltas?;
    if deltas.is_empty() {
        return Err(LoraError::new(LoraRule::NoFile, ""));
    }
    Ok(ForeignAdapter {
        kind: "peft",
        base_name: config.base_name.clone(),
        license: String::new(),
        deltas,
    })
}

fn delta(config: &LoraConfig, pending: Pending) -> Result<ForeignDelta, LoraError> {
    let Pending {
        module,
        is_embedding,
        a,
        b,
    } = pending;
    let found = modules::peft(&module);
    let (layer, split) = found.ok_or_else(|| LoraError::new(LoraRule::UnknownTensor, &module))?;
    let (Some(a), Some(b)) = (a, b) else {
        return Err(LoraError::new(LoraRule::FactorMissing, &module));
    };
    let misfit = || LoraError::new(LoraRule::FactorShape, &module);
    let scale = config.scale(&module, a.n_rows as usize);
    if !scale.is_finite() {
        return Err(LoraError::new(LoraRule::ConfigField, "lora_alpha"));
    }
    let (a, b) = match is_embedding {
        true => (
            b.transposed().ok_or_else(misfit)?,
            a.transposed().ok_or_else(misfit)?,
        ),
        false => (a, b),
    };
    Ok(ForeignDelta {
        module,
        layer,
        split,
        a,
        b,
        scale,
    })
}

/// The bytes of a tensor with its format.
fn factor(tensor: &SafeTensor, bytes: &[u8]) -> Result<Factor, LoraError> {
    let format = match tensor.dtype.name {
        "F32" => "f32",
        "F16" => "f16",
        "BF16" => "bf16",
        other => other,
    };
    let place = (tensor.offset, tensor.bytes);
    Factor::read(&tensor.name, format, &tensor.shape, place, bytes)
}
