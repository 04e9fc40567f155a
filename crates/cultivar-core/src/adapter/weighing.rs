//! What weighs an adapter on a stack: a weight, and factors by layer and by module. As stacks hold
//! it, and as records, snapshots and stacks in JSON spell it. Whether the numbers can be used is
//! for the stack to say.

use crate::bytes::{Reader, UnexpectedEnd, put_f32, put_u32};
use crate::json::{JsonValue, JsonWriter};
use crate::package::schema::TensorRole;
use alloc::vec::Vec;

/// A weight, refined where lists are given: `(weight * layer's factor) * module's factor`.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighing {
    /// The weight of the whole adapter.
    pub weight: f32,
    /// Factor per layer; empty means 1 for all.
    pub layer_weights: Vec<f32>,
    /// Factor per module; 1 for those that are not listed.
    pub module_weights: Vec<(TensorRole, f32)>,
}

impl From<f32> for Weighing {
    fn from(weight: f32) -> Self {
        Self {
            weight,
            layer_weights: Vec::new(),
            module_weights: Vec::new(),
        }
    }
}

impl Weighing {
    /// Reads `weight`, and `layer_weights` and `module_weights` where they are there; what cannot
    /// be read is named. A number that no f32 can hold becomes infinite, which stacks refuse.
    pub fn from_json(row: &JsonValue) -> Result<Self, &str> {
        let number = |value: &JsonValue| value.as_f64().map(|number| number as f32);
        let weight = row.get("weight").and_then(number).ok_or("weight")?;
        let mut made = Self::from(weight);
        if let Some(factors) = row.get("layer_weights") {
            let factors = factors.as_array().ok_or("layer_weights")?.iter();
            let factors: Option<Vec<f32>> = factors.map(number).collect();
            made.layer_weights = factors.ok_or("layer_weights")?;
        }
        if let Some(factors) = row.get("module_weights") {
            for (name, factor) in factors.as_object().ok_or("module_weights")? {
                let factor = role_of(name.as_bytes()).zip(number(factor));
                made.module_weights.push(factor.ok_or(name.as_str())?);
            }
        }
        Ok(made)
    }

    /// Puts the fields that `from_json` reads into an object; lists only where they are given.
    pub fn write_json(&self, json: &mut JsonWriter) {
        json.field_f32("weight", self.weight);
        if !self.layer_weights.is_empty() {
            json.key("layer_weights").begin_array();
            for factor in &self.layer_weights {
                json.f32(*factor);
            }
            json.end_array();
        }
        if !self.module_weights.is_empty() {
            json.key("module_weights").begin_object();
            for (role, factor) in &self.module_weights {
                json.field_f32(role.name(), *factor);
            }
            json.end_object();
        }
    }

    /// Appends the weight, and both lists behind their lengths.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_f32(out, self.weight);
        put_u32(out, self.layer_weights.len() as u32);
        for factor in &self.layer_weights {
            put_f32(out, *factor);
        }
        put_u32(out, self.module_weights.len() as u32);
        for (role, factor) in &self.module_weights {
            put_u32(out, role.name().len() as u32);
            out.extend_from_slice(role.name().as_bytes());
            put_f32(out, *factor);
        }
    }

    /// Reads what `put` wrote. A module of no name that is known ends it, as the file's end does.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, UnexpectedEnd> {
        let factor = |reader: &mut Reader<'_>| reader.u32().map(f32::from_bits);
        let mut made = Self::from(factor(reader)?);
        for _ in 0..reader.u32()? {
            made.layer_weights.push(factor(reader)?);
        }
        for _ in 0..reader.u32()? {
            let offset = reader.offset();
            let n_bytes = reader.u32()?;
            let role = role_of(reader.take_u64(u64::from(n_bytes))?);
            let role = role.ok_or(UnexpectedEnd { offset })?;
            made.module_weights.push((role, factor(reader)?));
        }
        Ok(made)
    }
}

fn role_of(name: &[u8]) -> Option<TensorRole> {
    let mut roles = TensorRole::ALL.iter();
    roles.find(|role| role.name().as_bytes() == name).copied()
}
