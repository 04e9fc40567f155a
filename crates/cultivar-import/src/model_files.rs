//! From the files of an import, their headers and texts read, to the plan of one model.
//!
//! What is missing, doubled or contradictory is refused with the file's name. No weight is read.

use crate::architecture::{
    SourceTensor, config_of_gguf, config_of_json, locate, names_of_gguf, names_of_hf,
};
use crate::error::{ImportError, ImportErrorKind};
use crate::ggml::GgmlType;
use crate::gguf::{Gguf, Parsed};
use crate::llama2c;
use crate::plan::ImportPlan;
use crate::safetensors::{Safetensors, ShardIndex};
use crate::source::SourceKind;
use crate::tokenizers::{self, ForeignTokenizer, SideFiles, chat_section};
use alloc::string::String;
use alloc::vec::Vec;
use cultivar_core::json::{self, JsonValue};
use cultivar_core::package::{ModelConfig, metadata_key};
use cultivar_core::tokenizer::{Tokenizer, TokenizerRecord};

/// A file of a known kind.
#[derive(Clone, Copy)]
pub(crate) struct SourceFile<'a> {
    /// Its place among the sources.
    pub idx: usize,
    pub kind: SourceKind,
    pub name: &'a str,
    /// Its length.
    pub bytes: u64,
    /// Its header, or all of it if it holds no tensors.
    pub kept: &'a [u8],
}

/// Bytes of a tensor that the plan depends on: which source, where, how many.
pub(crate) type ExtraRead = (usize, u64, u64);

/// The tensor of rotary divisors, if a GGUF file has one of a plausible size.
pub(crate) fn extra_read(files: &[SourceFile<'_>]) -> Result<Option<ExtraRead>, ImportError> {
    for file in files.iter().filter(|file| file.kind == SourceKind::Gguf) {
        let gguf = whole_gguf(file)?;
        if let Some(tensor) = gguf.tensor("rope_freqs.weight") {
            if tensor.ggml_type.name != "f32" || tensor.bytes > 4096 {
                let error = ImportError::new(ImportErrorKind::OptionUnsupported);
                return Err(error.field(tensor.name).file(file.name));
            }
            return Ok(Some((file.idx, tensor.offset, tensor.bytes)));
        }
    }
    Ok(None)
}

/// The plan of the model that the files hold; `extra` is what [`extra_read`] asked for.
pub(crate) fn plan(files: &[SourceFile<'_>], extra: &[u8]) -> Result<ImportPlan, ImportError> {
    let of_kind = |kind: SourceKind| files.iter().find(move |file| file.kind == kind);
    let has_gguf = of_kind(SourceKind::Gguf).is_some();
    let has_safetensors = of_kind(SourceKind::Safetensors).is_some();
    let checkpoint = of_kind(SourceKind::Llama2cCheckpoint);
    let n_kinds = [has_gguf, has_safetensors, checkpoint.is_some()];
    if n_kinds.iter().filter(|is_there| **is_there).count() > 1 {
        return Err(ImportError::new(ImportErrorKind::WeightsTwice));
    }
    if has_gguf {
        return of_gguf(files, extra);
    }
    if has_safetensors {
        return of_safetensors(files);
    }
    let tokenizer = of_kind(SourceKind::Llama2cTokenizer);
    match (checkpoint, tokenizer) {
        (Some(checkpoint), Some(tokenizer)) => llama2c::plan(checkpoint, tokenizer),
        (Some(file), None) => {
            Err(ImportError::new(ImportErrorKind::TokenizerMissing).file(file.name))
        }
        (None, Some(file)) => {
            Err(ImportError::new(ImportErrorKind::CheckpointMissing).file(file.name))
        }
        (None, None) if files.is_empty() => Err(ImportError::new(ImportErrorKind::NoSource)),
        (None, None) => Err(part_missing("a file of weights (GGUF or safetensors)")),
    }
}

fn part_missing(what: &str) -> ImportError {
    ImportError::new(ImportErrorKind::PartMissing).field(what)
}

/// The header of a GGUF file whose header has been read.
fn whole_gguf<'a>(file: &SourceFile<'a>) -> Result<Gguf<'a>, ImportError> {
    match Gguf::parse(file.kept, file.bytes).map_err(|error| error.file(file.name))? {
        Parsed::Whole(gguf) => Ok(gguf),
        Parsed::More(_) => Err(ImportError::new(ImportErrorKind::OutOfOrder)),
    }
}

/// The parts of a GGUF model in their order; a model in one file is one part.
fn gguf_parts<'a>(
    files: &[SourceFile<'a>],
) -> Result<Vec<(SourceFile<'a>, Gguf<'a>)>, ImportError> {
    let mut parts = Vec::new();
    for file in files.iter().filter(|file| file.kind == SourceKind::Gguf) {
        let gguf = whole_gguf(file)?;
        let name = |error: ImportError| error.file(file.name);
        let n_parts = gguf.u64("split.count").map_err(name)?.unwrap_or(1);
        let part = gguf.u64("split.no").map_err(name)?.unwrap_or(0);
        parts.push((part, n_parts, *file, gguf));
    }
    cultivar_core::sorting::sort_by_key(&mut parts, |(part, _, _, _)| *part);
    let n_parts = parts.first().map_or(1, |(_, n_parts, _, _)| *n_parts);
    if n_parts <= 1 && parts.len() > 1 {
        return Err(ImportError::new(ImportErrorKind::WeightsTwice));
    }
    for (expected, (part, n, file, _)) in parts.iter().enumerate() {
        let expected = expected as u64;
        if *n != n_parts || *part >= n_parts.max(1) || *part < expected {
            let error = ImportError::new(ImportErrorKind::ShardsDisagree).field("split.count");
            return Err(error.file(file.name));
        }
        if *part > expected {
            return Err(shard_missing(expected + 1, n_parts, "GGUF"));
        }
    }
    if (parts.len() as u64) < n_parts {
        return Err(shard_missing(parts.len() as u64 + 1, n_parts, "GGUF"));
    }
    Ok(parts
        .into_iter()
        .map(|(_, _, file, gguf)| (file, gguf))
        .collect())
}

fn shard_missing(part: u64, n_parts: u64, name: &str) -> ImportError {
    let error = ImportError::new(ImportErrorKind::ShardMissing).field(name);
    error.numbers(part, n_parts)
}

fn of_gguf(files: &[SourceFile<'_>], extra: &[u8]) -> Result<ImportPlan, ImportError> {
    let parts = gguf_parts(files)?;
    let Some((file, first)) = parts.first() else {
        return Err(ImportError::new(ImportErrorKind::NoSource));
    };
    gguf_plan(file, first, &parts, extra).map_err(|error| match error.file.is_empty() {
        true => error.file(file.name),
        false => error,
    })
}

fn gguf_plan(
    file: &SourceFile<'_>,
    first: &Gguf<'_>,
    parts: &[(SourceFile<'_>, Gguf<'_>)],
    extra: &[u8],
) -> Result<ImportPlan, ImportError> {
    if first.text("general.type")? == Some("adapter") {
        let error = ImportError::new(ImportErrorKind::KindLater);
        return Err(error.field("GGUF adapter"));
    }
    let mut tensors = Vec::new();
    for (file, gguf) in parts {
        tensors.extend(gguf.tensors().iter().map(|tensor| SourceTensor {
            name: String::from(tensor.name),
            source: file.idx,
            ggml_type: Ok(tensor.ggml_type),
            shape: tensor.shape.clone(),
            offset: tensor.offset,
        }));
    }
    if tensors.is_empty() {
        return Err(ImportError::new(ImportErrorKind::VocabularyOnly));
    }
    let stated = first.u64("split.tensors.count")?;
    if stated.is_some_and(|stated| stated != tensors.len() as u64) {
        let error = ImportError::new(ImportErrorKind::ShardsDisagree);
        return Err(error.field("split.tensors.count"));
    }
    let words = extra.as_chunks::<4>().0.iter();
    let rope_freqs: Vec<f32> = words.map(|word| f32::from_le_bytes(*word)).collect();
    let rows_of = |name: &str| {
        let tensor = tensors.iter().find(|tensor| tensor.name == name);
        tensor.and_then(|tensor| tensor.shape.first().copied())
    };
    let (family, config) = config_of_gguf(first, &rows_of, &rope_freqs)?;
    check_config(&config)?;
    let tensors = locate(&config, &names_of_gguf(family), tensors)?;
    let foreign = tokenizers::from_gguf(first)?;
    let tokenizer = checked_tokenizer(foreign.record, &config)?;
    let mut metadata = Vec::new();
    for (key, ours) in [
        ("general.name", metadata_key::NAME),
        ("general.author", metadata_key::AUTHOR),
        ("general.license", metadata_key::LICENSE),
        ("general.source.url", metadata_key::SOURCE),
        ("general.source.repo_url", metadata_key::SOURCE),
        ("general.url", metadata_key::SOURCE),
        ("general.repo_url", metadata_key::SOURCE),
        ("general.description", metadata_key::NOTES),
    ] {
        let is_set = metadata.iter().any(|(set, _)| *set == ours);
        if let Some(text) = first.value(key).and_then(|value| value.as_text())
            && !text.is_empty()
            && !is_set
        {
            metadata.push((ours, String::from(text)));
        }
    }
    if !metadata.iter().any(|(key, _)| *key == metadata_key::NAME) {
        metadata.push((metadata_key::NAME, String::from(stem(file.name))));
    }
    let (chat_template, original) = chat_of(&foreign.chat_template, &tokenizer);
    metadata.extend(original);
    Ok(ImportPlan {
        config,
        chat_template,
        tokenizer,
        metadata,
        tensors,
    })
}

/// A file's name without its ending.
pub(crate) fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn check_config(config: &ModelConfig) -> Result<(), ImportError> {
    config.validate()?;
    Ok(config.check_supported()?)
}

/// The record as a working tokenizer of as many ids as the embedding has rows.
fn checked_tokenizer(
    mut record: TokenizerRecord,
    config: &ModelConfig,
) -> Result<TokenizerRecord, ImportError> {
    tokenizers::pad_to_rows(&mut record, config.vocab_size)?;
    Ok(Tokenizer::new(record)?.into_record())
}

/// The chat template's section, and the template's own text where the section is a format instead.
fn chat_of(
    template: &Option<String>,
    tokenizer: &TokenizerRecord,
) -> (String, Option<(&'static str, String)>) {
    let template = template.as_deref().unwrap_or_default();
    let section = chat_section(Some(template), tokenizer);
    let original = (section != template).then(|| String::from(template));
    (
        section,
        original.map(|text| (metadata_key::CHAT_TEMPLATE, text)),
    )
}

fn parsed(file: &SourceFile<'_>) -> Result<JsonValue, ImportError> {
    json::parse(file.kept).map_err(|error| ImportError::from(error).file(file.name))
}

fn of_safetensors(files: &[SourceFile<'_>]) -> Result<ImportPlan, ImportError> {
    let of_kind = |kind: SourceKind| files.iter().find(move |file| file.kind == kind);
    let config_file = of_kind(SourceKind::Config).ok_or_else(|| part_missing("config.json"))?;
    let value = parsed(config_file)?;
    let in_config = |error: ImportError| match error.file.is_empty() {
        true => error.file(config_file.name),
        false => error,
    };
    let (family, config) = config_of_json(&value).map_err(in_config)?;
    check_config(&config).map_err(in_config)?;
    let mut tensors = Vec::new();
    let mut shards = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.kind == SourceKind::Safetensors)
    {
        let header = Safetensors::parse(file.kept, file.bytes);
        let header = header.map_err(|error| error.file(file.name))?;
        shards.push((file, header));
    }
    check_shards(of_kind(SourceKind::ShardIndex), &shards)?;
    let n_shards = shards.len();
    let weights = shards.first().map_or("", |(file, _)| file.name);
    for (file, header) in shards {
        tensors.extend(header.tensors.into_iter().map(|tensor| SourceTensor {
            ggml_type: match tensor.dtype.name {
                "F32" => GgmlType::by_name("f32").ok_or("F32"),
                "F16" => GgmlType::by_name("f16").ok_or("F16"),
                "BF16" => GgmlType::by_name("bf16").ok_or("BF16"),
                name => Err(name),
            },
            name: tensor.name,
            source: file.idx,
            shape: tensor.shape,
            offset: tensor.offset,
        }));
    }
    let in_weights = |error: ImportError| match n_shards {
        1 => error.file(weights),
        _ => error,
    };
    let tensors = locate(&config, &names_of_hf(family), tensors).map_err(in_weights)?;
    let (foreign, tokenizer_name) = tokenizer_of(files, &value)?;
    let tokenizer = checked_tokenizer(foreign.record, &config);
    let tokenizer = tokenizer.map_err(|error| error.file(tokenizer_name))?;
    let path = value.get("_name_or_path").and_then(JsonValue::as_str);
    let name = path.and_then(|path| path.trim_end_matches('/').rsplit('/').next());
    let name = name
        .filter(|name| !name.is_empty())
        .unwrap_or(stem(weights));
    let (chat_template, original) = chat_of(&foreign.chat_template, &tokenizer);
    let mut metadata = alloc::vec![(metadata_key::NAME, String::from(name))];
    if let Some(path) = path.filter(|path| is_repository(path)) {
        metadata.push((metadata_key::SOURCE, String::from(path)));
    }
    if let Some(license) = of_kind(SourceKind::ModelCard).and_then(|file| license_of(file.kept)) {
        metadata.push((metadata_key::LICENSE, license));
    }
    metadata.extend(original);
    Ok(ImportPlan {
        config,
        chat_template,
        tokenizer,
        metadata,
        tensors,
    })
}

/// Whether this is `owner/name` rather than a folder of somebody's machine.
fn is_repository(path: &str) -> bool {
    let is_name = |name: &str| !name.is_empty() && !name.starts_with(['.', '~']);
    path.split('/').count() == 2 && path.split('/').all(is_name)
}

/// The licence that the header of a model's README.md states: lines between two of `---`.
pub(crate) fn license_of(readme: &[u8]) -> Option<String> {
    let text = core::str::from_utf8(readme).ok()?;
    let mut lines = text.lines().map(str::trim_end);
    lines.next().filter(|line| *line == "---")?;
    let header: Vec<&str> = lines.take_while(|line| *line != "---").collect();
    let stated = |key: &str| {
        let mut values = header.iter().filter_map(|line| line.strip_prefix(key));
        let value = values.next()?.trim().trim_matches(['"', '\'']);
        (!value.is_empty()).then_some(value)
    };
    // A licence of its own is "other", and its name stands beside it.
    let license = match stated("license:")? {
        "other" => stated("license_name:").unwrap_or("other"),
        license => license,
    };
    Some(String::from(license))
}

/// The tokenizer of a Hugging Face folder: `tokenizer.json`, else `tokenizer.model`, else
/// `vocab.json` with `merges.txt`, and what stands beside it; and that file's name.
fn tokenizer_of<'a>(
    files: &[SourceFile<'a>],
    config: &JsonValue,
) -> Result<(ForeignTokenizer, &'a str), ImportError> {
    let of_kind = |kind: SourceKind| files.iter().find(move |file| file.kind == kind);
    let json_of = |kind: SourceKind| of_kind(kind).map(parsed).transpose();
    let tokenizer_config = json_of(SourceKind::TokenizerConfig)?;
    let generation_config = json_of(SourceKind::GenerationConfig)?;
    let beside = SideFiles {
        tokenizer_config: tokenizer_config.as_ref(),
        generation_config: generation_config.as_ref(),
        model_config: Some(config),
    };
    let named = |file: &SourceFile<'a>, read: Result<ForeignTokenizer, ImportError>| {
        read.map(|foreign| (foreign, file.name))
            .map_err(|error| error.file(file.name))
    };
    let (mut foreign, name) = if let Some(file) = of_kind(SourceKind::TokenizerJson) {
        named(file, tokenizers::from_json(&parsed(file)?, &beside))?
    } else if let Some(file) = of_kind(SourceKind::SentencePieceModel) {
        named(file, tokenizers::from_sentencepiece(file.kept, &beside))?
    } else if let Some(file) = of_kind(SourceKind::Vocabulary) {
        let merges = of_kind(SourceKind::Merges).ok_or_else(|| part_missing("merges.txt"))?;
        let text = core::str::from_utf8(merges.kept);
        let bad = |_| {
            ImportError::new(ImportErrorKind::FieldValue)
                .field("merges")
                .file(merges.name)
        };
        let vocabulary = parsed(file)?;
        let read = tokenizers::from_vocab_and_merges(&vocabulary, text.map_err(bad)?, &beside);
        named(file, read)?
    } else {
        return Err(part_missing("tokenizer.json or tokenizer.model"));
    };
    if let Some(file) = of_kind(SourceKind::ChatTemplate)
        && let Ok(text) = core::str::from_utf8(file.kept)
    {
        foreign.chat_template = Some(String::from(text));
    }
    Ok((foreign, name))
}

/// Several files need an index, and hold just what it says.
fn check_shards(
    index: Option<&SourceFile<'_>>,
    shards: &[(&SourceFile<'_>, Safetensors)],
) -> Result<(), ImportError> {
    let Some(file) = index else {
        return match shards.len() {
            0 | 1 => Ok(()),
            _ => Err(part_missing("model.safetensors.index.json")),
        };
    };
    let index = ShardIndex::parse(file.kept).map_err(|error| error.file(file.name))?;
    let names = index.file_names();
    for (idx, name) in names.iter().enumerate() {
        if !shards.iter().any(|(shard, _)| shard.name == *name) {
            return Err(shard_missing(idx as u64 + 1, names.len() as u64, name));
        }
    }
    for (shard, header) in shards {
        let n_stated = index
            .files
            .iter()
            .filter(|(_, file)| *file == shard.name)
            .count();
        if n_stated != header.tensors.len() {
            let error = ImportError::new(ImportErrorKind::ShardsDisagree).field(shard.name);
            return Err(error.file(file.name));
        }
    }
    for (tensor, stated) in &index.files {
        let shard = shards.iter().find(|(shard, _)| shard.name == *stated);
        if shard.is_none_or(|(_, header)| header.tensor(tensor).is_none()) {
            let error = ImportError::new(ImportErrorKind::ShardsDisagree).field(tensor);
            return Err(error.file(file.name));
        }
    }
    Ok(())
}
