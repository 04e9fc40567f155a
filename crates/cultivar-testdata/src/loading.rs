//! Opening a package that is in memory, the way hosts do it: tensor by tensor.

use cultivar_core::model::{Engine, EngineOptions, Model, ModelBuilder};
use cultivar_core::package::Package;

/// The model of a whole package.
///
/// # Panics
/// When the package is not valid; packages come from this crate.
pub fn load_model(bytes: &[u8]) -> Model {
    let package = Package::parse(bytes).expect("a valid package");
    let mut builder = ModelBuilder::new(package.head.clone()).expect("a supported model");
    for idx in 0..builder.n_tensors() {
        let (offset, len) = builder.file_range(idx).expect("a tensor");
        let offset = offset as usize;
        let buffer = builder.buffer(idx).expect("room for a tensor");
        buffer.copy_from_slice(&bytes[offset..offset + len]);
        while builder.verify_step(idx, 1 << 16).expect("a valid tensor") > 0 {}
    }
    while builder.check_step(1 << 16).expect("valid tensors") > 0 {}
    builder.finish().expect("a whole model")
}

/// An engine for it.
///
/// # Panics
/// When the package is not valid.
pub fn load_engine(bytes: &[u8], options: EngineOptions) -> Engine {
    Engine::new(load_model(bytes), options).expect("room for an engine")
}
