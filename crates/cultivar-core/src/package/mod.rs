//! Packages: the container of models (`.slm`) and adapters (`.sla`), read and written.
//!
//! Self-contained, canonical (one content, one sequence of bytes), checked before it is believed:
//! every count against a limit and the bytes that are there, every offset computed without
//! overflow. `docs/package-format.md` is the specification. Reading order for newcomers: `header`,
//! `section_table`, `records`, `config`, `directory`, `head`, `writer`. Nothing here does IO.

pub mod config;
mod config_check;
mod config_error;
mod config_keys;
mod config_options;
mod container;
pub mod directory;
mod error;
mod head;
mod header;
pub mod identity;
pub mod limits;
mod metadata;
mod record_writer;
mod records;
pub mod schema;
mod section_table;
mod tail;
mod tensor_role;
mod tokenizer_section;
mod value;
mod whole;
mod writer;

pub use config::{
    Activation, FfnKind, ModelConfig, ModelSize, NormKind, NormPlace, PositionKind, QkNorm,
    RopeScalingKind,
};
pub use config_error::{ConfigError, ConfigErrorKind};
pub(crate) use container::slice;
pub use container::{Container, KeptSection};
pub use directory::{Directory, Entry, TensorPlan};
pub use error::{PackageError, PackageErrorDetail, PackageErrorKind};
pub use head::Head;
pub(crate) use head::read_directory;
pub use header::{HEADER_BYTES, Header, MAGIC, PackageKind, VERSION};
pub use identity::{AdapterMode, AssemblyPart, Identities};
pub use metadata::{Metadata, key as metadata_key};
pub use record_writer::RecordWriter;
pub use records::{Record, Records};
pub use section_table::{FLAG_REQUIRED, SECTION_BYTES, Section, SectionId, SectionTable};
pub use tail::Tail;
pub use tokenizer_section::{read_tokenizer, tokenizer_records};
pub use value::{Strings, Value, kind as value_kind};
pub use whole::{Package, check_data_padding, fill, verify_tensor, write_model};
pub use writer::{FinishedPackage, ModelParts, PackageWriter};
