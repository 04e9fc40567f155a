//! The head of a model: everything before the tensor data, decoded and checked.
//!
//! Owned, so that the bytes it came from can be dropped while gigabytes of weights arrive. What
//! it holds has its digest verified; the tensors themselves have not been seen. Allocation stays
//! proportional to the bytes given.

use super::config::ModelConfig;
use super::container::{Container, KeptSection};
use super::directory::Directory;
use super::error::{PackageError, PackageErrorKind};
use super::header::{Header, PackageKind};
use super::identity::{self, Identities};
use super::metadata::Metadata;
use super::records::Records;
use super::schema::check_tensors;
use super::section_table::{SectionId, SectionTable};
use super::tail::Tail;
use super::tokenizer_section::read_tokenizer;
use crate::tokenizer::TokenizerRecord;
use alloc::string::String;
use alloc::vec::Vec;

/// A model's package without its weights.
#[derive(Clone, Debug)]
pub struct Head {
    /// The file's header.
    pub header: Header,
    /// Where everything is.
    pub sections: SectionTable,
    /// The model's options; valid, not necessarily supported.
    pub config: ModelConfig,
    /// The tokenizer as stored.
    pub tokenizer: TokenizerRecord,
    /// The chat template, if there is one.
    pub chat_template: Option<String>,
    /// Name, licence, source, notes.
    pub metadata: Metadata,
    /// The tensors.
    pub directory: Directory,
    /// Optional sections with unknown ids, kept as they are.
    pub unknown: Vec<KeptSection>,
    /// All identities but `content`.
    pub identities: Identities,
}

impl Head {
    /// Reads `bytes`, exactly the bytes `[0, head_bytes)` of a file of `file_bytes` bytes.
    ///
    /// If the engine supports the configuration, the directory holds exactly its tensors.
    pub fn parse(bytes: &[u8], file_bytes: u64) -> Result<Head, PackageError> {
        let container = Container::parse(bytes, file_bytes, PackageKind::Model)?;
        let (section, offset) = container.required(SectionId::CONFIG)?;
        let records = Records::parse(SectionId::CONFIG, section, offset)?;
        let config = ModelConfig::from_records(&records)?;
        let (section, offset) = container.required(SectionId::TOKENIZER)?;
        let tokenizer = read_tokenizer(section, offset, config.vocab_size)?;
        let chat_template = match container.section(SectionId::CHAT_TEMPLATE) {
            Some((section, offset)) => Some(read_text(section, offset, SectionId::CHAT_TEMPLATE)?),
            None => None,
        };
        let metadata = match container.section(SectionId::METADATA) {
            Some((section, offset)) => Metadata::parse(section, offset)?,
            None => Metadata::default(),
        };
        let directory = read_directory(&container)?;
        if config.check_supported().is_ok() {
            check_tensors(&config, &directory)?;
        }
        let identities = Identities {
            tensor_schema: identity::tensor_schema(&directory),
            architecture: identity::architecture(&config),
            tokenizer: identity::tokenizer(&tokenizer),
            weights: identity::weights(PackageKind::Model, &container.sections),
        };
        let unknown = container.unknown_sections();
        let Container {
            header, sections, ..
        } = container;
        Ok(Head {
            header,
            sections,
            config,
            tokenizer,
            chat_template,
            metadata,
            directory,
            unknown,
            identities,
        })
    }

    /// Reads `tail`, exactly the bytes behind the tensor data.
    pub fn parse_tail(&self, tail: &[u8]) -> Result<Tail, PackageError> {
        Tail::parse(&self.header, &self.sections, tail)
    }

    /// Where the tensor data ends and the tail begins.
    pub fn tail_offset(&self) -> u64 {
        self.sections.data_end()
    }
}

/// The directory of a package of either kind.
pub(crate) fn read_directory(container: &Container<'_>) -> Result<Directory, PackageError> {
    let (section, offset) = container.required(SectionId::TENSOR_DIRECTORY)?;
    let data = container.sections.get(SectionId::TENSOR_DATA);
    let (data_offset, data_bytes) = data.map_or((0, 0), |data| (data.offset, data.len));
    Directory::parse(section, offset, data_offset, data_bytes)
}

/// A section that is one text.
pub(super) fn read_text(
    bytes: &[u8],
    offset: u64,
    section: SectionId,
) -> Result<String, PackageError> {
    match core::str::from_utf8(bytes) {
        Ok(text) => Ok(String::from(text)),
        Err(error) => {
            let place = offset + error.valid_up_to() as u64;
            Err(PackageError::within(
                PackageErrorKind::NotUtf8,
                section,
                place,
            ))
        }
    }
}
