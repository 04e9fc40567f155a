//! The products of low-rank deltas, `y += sum over j of (s_j (a_j . x)) b_j`, for one row `x`.
//!
//! Components of all adapters of a matrix are one list: first every `t_j = s_j * dot16(a_j, x)`,
//! then each element of `y` takes one sum over all `j` in list order (Hu et al., 2021, with one
//! scale each). So a list that is split over several adapters gives the bits of the whole list.

#[cfg(not(target_feature = "simd128"))]
use super::scalar;
use super::{Backend, dot, dot_raised};
use crate::tensor::half::raised_to_f32;

/// Output rows that stand together in the panels of a `lora_b`: one cache line of f32.
pub const PANEL_ROWS: usize = 16;

/// Values of a dense delta as they are held: widened exactly where they are used.
#[derive(Clone, Copy, Debug)]
pub enum Factors<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// 16-bit floats raised by `half::raise`, and its unit.
    F16(&'a [u16], f32),
}

impl<'a> Factors<'a> {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Factors::F32(values) => values.len(),
            Factors::F16(bits, _) => bits.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `len` values from `start` on.
    ///
    /// # Panics
    /// When they are not there.
    #[inline]
    pub fn part(self, start: usize, len: usize) -> Factors<'a> {
        match self {
            Factors::F32(values) => Factors::F32(&values[start..start + len]),
            Factors::F16(bits, unit) => Factors::F16(&bits[start..start + len], unit),
        }
    }

    /// Value `idx`, widened.
    ///
    /// # Panics
    /// When there is none.
    #[inline]
    pub fn get(&self, idx: usize) -> f32 {
        match self {
            Factors::F32(values) => values[idx],
            Factors::F16(bits, unit) => raised_to_f32(bits[idx], *unit),
        }
    }

    /// `dot16` of these values with `x`; of 16-bit floats whole groups of 16.
    ///
    /// # Panics
    /// When the lengths differ, or are others than those.
    #[inline]
    pub fn dot(self, backend: Backend, x: &[f32]) -> f32 {
        match self {
            Factors::F32(values) => dot(backend, x, values),
            Factors::F16(bits, unit) => dot_raised(backend, x, bits, unit),
        }
    }

    /// `out[i] = out[i] + factor * v[i]`, as far as both go.
    #[inline]
    pub fn add_to(self, out: &mut [f32], factor: f32) {
        match self {
            Factors::F32(values) => {
                for (out, v) in out.iter_mut().zip(values) {
                    *out += factor * v;
                }
            }
            Factors::F16(bits, unit) => {
                for (out, bits) in out.iter_mut().zip(bits) {
                    *out += factor * raised_to_f32(*bits, unit);
                }
            }
        }
    }
}

/// `t[j] = scales[j] * dot16(a[j], x)`; `t, scales: [rank]`, `a: [rank, d_in]`, `x: [d_in]`.
///
/// # Panics
/// When the lengths do not fit each other.
pub fn component_products(
    backend: Backend,
    t: &mut [f32],
    a: Factors<'_>,
    scales: &[f32],
    x: &[f32],
) {
    assert_eq!(t.len(), scales.len(), "component_products: scales");
    assert_eq!(a.len(), t.len() * x.len(), "component_products: lora_a");
    for (j, (t, scale)) in t.iter_mut().zip(scales).enumerate() {
        *t = scale * a.part(j * x.len(), x.len()).dot(backend, x);
    }
}

/// Values of a `lora_b` of this shape in panels, the last one filled with zeros.
pub const fn panel_len(d_out: usize, rank: usize) -> usize {
    d_out.div_ceil(PANEL_ROWS) * PANEL_ROWS * rank
}

/// Where element (`row`, `component`) of `lora_b: [d_out, rank]` stands in its panels,
/// `[d_out / 16][rank][16]`.
pub const fn panel_at(row: usize, component: usize, rank: usize) -> usize {
    (row / PANEL_ROWS * rank + component) * PANEL_ROWS + row % PANEL_ROWS
}

/// Panels whose sums are held at a time.
const BLOCK_PANELS: usize = 16;

/// `y[r] = y[r] + sum over all components of b[r][j] * t[j]`, the sum from +0.0 in list order.
///
/// `y: [d_out]`; each part is `lora_b` of `t.len()` components in panels, and their `t`.
///
/// # Panics
/// When a part has another length than its shape.
pub fn add_components<'a>(
    backend: Backend,
    y: &mut [f32],
    parts: impl Iterator<Item = (Factors<'a>, &'a [f32])> + Clone,
) {
    for (block, y) in y.chunks_mut(BLOCK_PANELS * PANEL_ROWS).enumerate() {
        let mut sums = [[0.0; PANEL_ROWS]; BLOCK_PANELS];
        let n_panels = y.len().div_ceil(PANEL_ROWS);
        for (b, t) in parts.clone() {
            let len = t.len() * PANEL_ROWS;
            let start = block * BLOCK_PANELS * len;
            let b = b.part(start, n_panels * len);
            match backend {
                #[cfg(not(target_feature = "simd128"))]
                Backend::Scalar => {
                    for (i, sums) in sums.iter_mut().take(n_panels).enumerate() {
                        scalar::add_panel(sums, b.part(i * len, len), t);
                    }
                }
                Backend::Fast => add_panels(&mut sums, b, t),
            }
        }
        for (y, sum) in y.iter_mut().zip(sums.as_flattened()) {
            *y += sum;
        }
    }
}

/// Panel after panel: sixteen sums side by side, which the compiler keeps in vectors.
///
/// Not generic and not inlined, so that it is compiled here, for speed, and not where the parts
/// are listed, which modules compile for size.
#[inline(never)]
fn add_panels(sums: &mut [[f32; PANEL_ROWS]; BLOCK_PANELS], b: Factors<'_>, t: &[f32]) {
    match b {
        Factors::F32(values) => add_panels_of(sums, values, t, |v| *v),
        Factors::F16(bits, unit) => add_panels_of(sums, bits, t, |v| raised_to_f32(*v, unit)),
    }
}

#[inline(always)]
fn add_panels_of<T>(
    sums: &mut [[f32; PANEL_ROWS]; BLOCK_PANELS],
    b: &[T],
    t: &[f32],
    wide: impl Fn(&T) -> f32,
) {
    let (components, _) = b.as_chunks::<PANEL_ROWS>();
    let panels = components.chunks_exact(t.len().max(1));
    for (sums, panel) in sums.iter_mut().zip(panels) {
        let mut own = *sums;
        for (component, t) in panel.iter().zip(t) {
            for i in 0..PANEL_ROWS {
                own[i] += wide(&component[i]) * t;
            }
        }
        *sums = own;
    }
}
