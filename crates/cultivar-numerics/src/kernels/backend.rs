//! Which kernels this build holds: chosen at compile time, because a wasm module either validates
//! with an instruction set or does not. Builds without vectors also hold the scalar specification;
//! a module with them proves itself by digests of it (`self_test` of the core) and does not carry
//! it.

/// The implementation that a computation uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The specification.
    #[cfg(not(target_feature = "simd128"))]
    Scalar,
    /// The best implementation of this build; equal to the specification bit for bit.
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
        #[cfg(not(target_feature = "simd128"))]
        Backend::Scalar => "scalar",
        Backend::Fast => fast::NAME,
    }
}
