//! Which kernels this build holds: chosen at compile time, because a wasm module either validates
//! with an instruction set or does not. Every build also holds the scalar specification.

/// The implementation that a computation uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The specification.
    Scalar,
    /// The best implementation of this build; equal to [`Backend::Scalar`] bit for bit.
    Fast,
}

#[cfg(not(target_feature = "simd128"))]
pub(super) use super::portable as fast;
#[cfg(all(target_feature = "simd128", target_feature = "relaxed-simd"))]
pub(super) use super::relaxed as fast;
#[cfg(all(target_feature = "simd128", not(target_feature = "relaxed-simd")))]
pub(super) use super::simd128 as fast;

/// The name of what `backend` means in this build: `scalar`, `portable`, `simd128` or `relaxed`.
pub fn backend_name(backend: Backend) -> &'static str {
    match backend {
        Backend::Scalar => "scalar",
        Backend::Fast => fast::NAME,
    }
}
