//! What a row of a table of names says, and how it becomes a full name and an order of rows.

use crate::plan::RowOrder;
use alloc::format;
use alloc::string::String;
use cultivar_core::package::ModelConfig;

/// How a tensor of ours stands in the source's tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fused {
    /// Alone, row for row.
    No,
    /// Alone, with rotary pairs as neighbours.
    Rotary,
    /// Query rows, then key rows, then value rows.
    Qkv,
    /// Per head query rows, key rows, value rows.
    HeadQkv,
    /// Gate rows, then up rows.
    GateUp,
    /// Alone, `[d_in, d_out]`.
    Columns,
    /// As `Qkv`, but columns.
    QkvColumns,
}

/// A role (by its name in packages), the source's name (after the layer's prefix), and how.
pub(crate) type NameRow = (&'static str, &'static str, Fused);

/// The names of a family in a file format.
#[derive(Clone, Copy)]
pub(crate) struct Names {
    /// Before and after a layer's number: `model.layers.` and `.`.
    pub layer_prefix: &'static str,
    /// Looked at first.
    pub own: &'static [NameRow],
    /// Looked at then.
    pub shared: &'static [NameRow],
    /// Ends of names that no model needs.
    pub ignored: &'static [&'static str],
    /// A beginning that names may lack.
    pub optional_prefix: &'static str,
    /// Whether 1 is added to norms.
    pub adds_one: bool,
}

/// Where a tensor of ours stands: in which tensor, beginning at which of its rows, in which order,
/// and how many rows (or columns) that tensor has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Located {
    pub name: String,
    pub first_row: u64,
    pub n_rows: u64,
    pub order: RowOrder,
}

impl Names {
    /// Where the tensor of this role (and layer) with `d_out` rows stands; `None` if the family
    /// has no name for it.
    pub(crate) fn locate(
        &self,
        config: &ModelConfig,
        role: &str,
        layer: Option<usize>,
        d_out: u64,
    ) -> Option<Located> {
        let mut rows = self.own.iter().chain(self.shared);
        let (_, name, fused) = rows.find(|(known, _, _)| *known == role)?;
        let name = match layer {
            Some(layer_idx) => format!("{}{layer_idx}.{name}", self.layer_prefix),
            None => String::from(*name),
        };
        let (q, kv, d_ff) = (
            config.q_dim() as u64,
            config.kv_dim() as u64,
            config.d_ff as u64,
        );
        let head_dim = config.head_dim;
        let part = match role {
            "w_q" | "b_q" => 0,
            "w_k" | "b_k" => 1,
            _ => 2,
        };
        let of_qkv = [0, q, q + kv].get(part).copied().unwrap_or_default();
        let is_up = matches!(role, "w_up" | "b_up");
        let columns = |first: u64, n: u64| RowOrder::Transposed {
            first: first as usize,
            n_columns: n as usize,
        };
        let (first_row, n_rows, order) = match fused {
            Fused::No => (0, d_out, RowOrder::Same),
            Fused::Rotary => (0, d_out, RowOrder::Interleaved { head_dim }),
            Fused::Qkv => (of_qkv, q + 2 * kv, RowOrder::Same),
            Fused::HeadQkv => {
                let order = RowOrder::OfHeads {
                    head_dim,
                    part,
                    n_parts: 3,
                };
                (0, q + 2 * kv, order)
            }
            Fused::GateUp => (u64::from(is_up) * d_ff, 2 * d_ff, RowOrder::Same),
            Fused::Columns => (0, d_out, columns(0, d_out)),
            Fused::QkvColumns => (0, q + 2 * kv, columns(of_qkv, q + 2 * kv)),
        };
        Some(Located {
            name,
            first_row,
            n_rows,
            order,
        })
    }

    /// Whether a tensor that no role asks for may be there.
    pub(crate) fn is_ignored(&self, name: &str) -> bool {
        self.ignored.iter().any(|end| name.ends_with(end))
    }
}
