//! The options of an adapter's job, read from its order; which job takes which is checked here.

use super::{bad, options};
use crate::status::{Failure, Status};
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_breed::{BreedError, BreedRule, Extraction, Merge};
use cultivar_core::adapter::{LoadedAdapter, Stack};
use cultivar_core::json::JsonValue;
use cultivar_core::package::schema::TensorRole;
use cultivar_core::tensor::Format;

/// Options by name, all optional.
#[derive(Default)]
pub struct Order {
    /// Name in the metadata of what is made.
    pub name: String,
    /// Licence in the metadata of what is made; empty for what follows from its parents.
    pub license: String,
    /// Where an import comes from.
    pub source: String,
    /// Anything else to keep of an import.
    pub notes: String,
    /// Whether only the very weights of the base will do.
    pub exact_base: bool,
    method: Option<String>,
    rank: Option<usize>,
    density: Option<f64>,
    alpha: Option<f32>,
    noise: f32,
    seed: u64,
    /// How low-rank factors are stored.
    pub factors: Option<&'static str>,
    format: Option<String>,
    /// Per adapter: a number, or an object with `weight`, `layers` and `modules`.
    weights: Vec<JsonValue>,
}

impl Order {
    /// Reads the options; one that is not among `allowed` is refused by name.
    pub fn read(order: &JsonValue, allowed: &[&str]) -> Result<Order, Failure> {
        let mut made = Order::default();
        for (field, value) in options(order)? {
            if !allowed.contains(&field.as_str()) {
                return Err(Failure::of(Status::UnknownOption).named(field));
            }
            let wrong = || bad(field);
            let text = || value.as_str().map(String::from).ok_or_else(wrong);
            let number = || value.as_f64().ok_or_else(wrong);
            match field.as_str() {
                "name" => made.name = text()?,
                "license" => made.license = text()?,
                "source" => made.source = text()?,
                "notes" => made.notes = text()?,
                "exact_base" => made.exact_base = value.as_bool().ok_or_else(wrong)?,
                "method" => made.method = Some(text()?),
                "rank" => made.rank = Some(value.as_u32().ok_or_else(wrong)? as usize),
                "density" => made.density = Some(number()?),
                "alpha" => made.alpha = Some(number()? as f32),
                "noise" => made.noise = number()? as f32,
                // A number beyond 2^53 comes as text.
                "seed" => {
                    let seed = value.as_u64();
                    let seed = seed.or_else(|| value.as_str()?.parse().ok());
                    made.seed = seed.ok_or_else(wrong)?;
                }
                "factors" => made.factors = Some(format_of(&text()?)?.name),
                "format" => made.format = Some(text()?),
                _ => made.weights = value.as_array().ok_or_else(wrong)?.to_vec(),
            }
        }
        Ok(made)
    }

    /// How to merge.
    pub fn merge(&self) -> Result<Merge, Failure> {
        let seed = self.seed;
        match self.method.as_deref().unwrap_or("cat") {
            "cat" => Ok(Merge::Concatenate),
            "sum" => Ok(Merge::Sum),
            "svd" => Ok(Merge::Truncate {
                rank: self.rank.unwrap_or(0),
                seed,
            }),
            "blend" => Ok(Merge::Blend {
                alpha: self.alpha.unwrap_or(0.5),
                noise: self.noise,
                seed,
            }),
            other => Err(Failure::of(Status::UnknownOption).named(other)),
        }
    }

    /// How to extract: to a rank, or to a density.
    pub fn extraction(&self) -> Result<Extraction, Failure> {
        let seed = self.seed;
        match (self.rank, self.density) {
            (Some(rank), None) => Ok(Extraction::Rank { rank, seed }),
            (None, Some(density)) => Ok(Extraction::Density { density }),
            _ => Err(bad("give either rank or density")),
        }
    }

    /// The format to bake in; `None` keeps each tensor's own.
    pub fn format(&self) -> Result<Option<&'static Format>, Failure> {
        match self.format.as_deref() {
            None | Some("keep") => Ok(None),
            Some(name) => format_of(name).map(Some),
        }
    }

    /// Puts adapter number `idx` of the order on the stack, with its weights.
    pub fn push(
        &self,
        stack: &mut Stack,
        idx: usize,
        adapter: LoadedAdapter,
    ) -> Result<(), Failure> {
        let given = match self.weights.get(idx) {
            None => Some(Weights::default()),
            Some(value) => Weights::read(value),
        };
        let given = given.ok_or_else(|| bad("weights"))?;
        let place = stack.push(adapter.into(), given.weight);
        let lists = |place: usize, stack: &mut Stack| {
            if !given.layers.is_empty() {
                stack.set_layer_weights(place, &given.layers)?;
            }
            match given.modules.is_empty() {
                true => Ok(()),
                false => stack.set_module_weights(place, &given.modules),
            }
        };
        let pushed = place.and_then(|place| lists(place, stack));
        pushed.map_err(|error| BreedError::from(error).into())
    }
}

/// The weight of an adapter and its factors by layer and by module.
struct Weights {
    weight: f32,
    layers: Vec<f32>,
    modules: Vec<(TensorRole, f32)>,
}

impl Default for Weights {
    fn default() -> Weights {
        Weights {
            weight: 1.0,
            layers: Vec::new(),
            modules: Vec::new(),
        }
    }
}

impl Weights {
    /// A number, or `{"weight", "layer_weights": […], "module_weights": {NAME: factor}}`; each part
    /// may be absent.
    fn read(value: &JsonValue) -> Option<Weights> {
        let number = |value: &JsonValue| value.as_f64().map(|weight| weight as f32);
        let mut made = Weights::default();
        let Some(fields) = value.as_object() else {
            made.weight = number(value)?;
            return Some(made);
        };
        for (field, value) in fields {
            match field.as_str() {
                "weight" => made.weight = number(value)?,
                "layer_weights" => {
                    made.layers = value
                        .as_array()?
                        .iter()
                        .map(number)
                        .collect::<Option<_>>()?
                }
                "module_weights" => {
                    for (name, factor) in value.as_object()? {
                        let role = TensorRole::ALL.iter().find(|role| role.name() == name)?;
                        made.modules.push((*role, number(factor)?));
                    }
                }
                _ => return None,
            }
        }
        Some(made)
    }
}

/// The format of this name.
fn format_of(name: &str) -> Result<&'static Format, Failure> {
    Format::by_name(name).ok_or_else(|| BreedError::new(BreedRule::Format, name).into())
}
