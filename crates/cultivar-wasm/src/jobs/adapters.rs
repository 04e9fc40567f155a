//! The jobs of adapters: import, validate, merge, extract, bake.
//!
//! Source 0 is the base, of which only the head is read before the work begins; adapters and
//! foreign files are read whole, because they are small; of a second model the head. Then the work
//! goes tensor by tensor. Nothing is written before all inputs were validated.

use super::intake::Intake;
use super::order::Order;
use super::{Job, JobStep, bad};
use crate::buffer::out_of_order;
use crate::status::Failure;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use cultivar_breed::{
    BakeOptions, Baker, BreedError, BreedStep, Extractor, MergeOptions, Merged, Merger, StackCheck,
};
use cultivar_core::adapter::{
    Adapter, Compatibility, FieldStatus, LoadedAdapter, Stack, StackLimits,
};
use cultivar_core::json::JsonValue;
use cultivar_core::package::Head;
use cultivar_import::{LoraFile, LoraOptions, SourceInfo, adapter_report, import_adapter};

/// Whole packages are handed out in pieces of this size.
const WRITE_BYTES: usize = 1 << 20;

/// What is done once the sources' parts are there.
type Start = fn(&[SourceInfo], Vec<Vec<u8>>, &Order, &mut String) -> Result<Work, Failure>;

/// A job of adapters.
struct AdapterJob {
    intake: Intake,
    order: Order,
    start: Start,
    work: Work,
    /// Whether progress is said before the work goes on.
    is_news: bool,
    report: String,
}

/// How far it is.
enum Work {
    /// Sources are coming in.
    Intake,
    Merge(Box<Merger>, &'static str),
    Extract(Box<Extractor>),
    Check(Box<StackCheck>, Compatibility),
    Bake(Box<Baker>),
    /// A whole package, and which of its bytes are handed out.
    Package(Vec<u8>, Range<usize>),
    /// Only the report is left.
    Report(String),
    Done,
    /// It was refused, and does not go on.
    Refused,
}

/// Foreign adapter files, bound to a base.
pub fn import(sources: Vec<SourceInfo>, order: &JsonValue) -> Result<Box<dyn Job>, Failure> {
    const OPTIONS: &[&str] = &["name", "license", "source", "notes", "exact_base"];
    begin(sources, 1, order, OPTIONS, start_import)
}

/// An adapter, its base, and the adapters that are on the stack already.
pub fn validate(sources: Vec<SourceInfo>, order: &JsonValue) -> Result<Box<dyn Job>, Failure> {
    begin(sources, 1, order, &["weights"], start_validate)
}

/// Adapters of one base into one.
pub fn merge(sources: Vec<SourceInfo>, order: &JsonValue) -> Result<Box<dyn Job>, Failure> {
    const OPTIONS: &[&str] = &[
        "name",
        "license",
        "exact_base",
        "method",
        "rank",
        "alpha",
        "noise",
        "seed",
        "factors",
        "weights",
    ];
    begin(sources, 1, order, OPTIONS, start_merge)
}

/// The adapter that leads from a base to another model of its form.
pub fn extract(sources: Vec<SourceInfo>, order: &JsonValue) -> Result<Box<dyn Job>, Failure> {
    const OPTIONS: &[&str] = &["name", "license", "exact_base", "rank", "density", "seed"];
    begin(sources, 2, order, OPTIONS, start_extract)
}

/// Adapters added to a copy of their base.
pub fn bake(sources: Vec<SourceInfo>, order: &JsonValue) -> Result<Box<dyn Job>, Failure> {
    const OPTIONS: &[&str] = &["name", "license", "format", "weights"];
    begin(sources, 1, order, OPTIONS, start_bake)
}

fn begin(
    sources: Vec<SourceInfo>,
    n_heads: usize,
    order: &JsonValue,
    options: &[&str],
    start: Start,
) -> Result<Box<dyn Job>, Failure> {
    if sources.len() < 2 || n_heads == 2 && sources.len() > 2 {
        return Err(bad("sources must be the base, then what is done with it"));
    }
    Ok(Box::new(AdapterJob {
        intake: Intake::new(sources, n_heads),
        order: Order::read(order, options)?,
        start,
        work: Work::Intake,
        is_news: false,
        report: String::new(),
    }))
}

impl Job for AdapterJob {
    fn step(&mut self, budget_bytes: u64) -> Result<JobStep, Failure> {
        if matches!(self.work, Work::Intake) {
            if let Some(read) = self.intake.step(budget_bytes)? {
                return Ok(read);
            }
            let parts = self.intake.take();
            let (sources, order) = (&self.intake.sources, &self.order);
            self.work = Work::Refused;
            self.work = (self.start)(sources, parts, order, &mut self.report)?;
        }
        if core::mem::take(&mut self.is_news)
            && let Some(progress) = self.work.progress()
        {
            return Ok(progress);
        }
        // What is refused does not come back.
        let work = core::mem::replace(&mut self.work, Work::Refused);
        let (step, next) = work.step(&mut self.report)?;
        self.work = next;
        self.is_news = !matches!(step, JobStep::Progress { .. });
        Ok(step)
    }

    fn supply(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut found = None;
        let done = match &mut self.work {
            Work::Extract(extractor) => extractor.supply(bytes),
            Work::Bake(baker) => baker.supply(bytes),
            Work::Check(check, report) => match check.supply(bytes) {
                Err(BreedError::Stack(error)) => {
                    report.note_fused(Err(error));
                    found = Some(report.to_json());
                    Ok(())
                }
                other => other,
            },
            _ => self.intake.supply(bytes),
        };
        if done.is_err() {
            self.work = Work::Refused;
        } else if let Some(found) = found {
            self.work = Work::Report(found);
        }
        Ok(done?)
    }

    fn output(&self) -> &[u8] {
        match &self.work {
            Work::Bake(baker) => baker.output(),
            Work::Package(bytes, part) => bytes.get(part.clone()).unwrap_or(&[]),
            _ => &[],
        }
    }

    fn report(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.report)
    }
}

impl Work {
    fn progress(&self) -> Option<JobStep> {
        let (done, total) = match self {
            Work::Extract(extractor) => extractor.progress(),
            Work::Check(check, _) => check.progress(),
            Work::Bake(baker) => (baker.baked().len(), baker.n_tensors()),
            _ => return None,
        };
        let (done, total) = (done as u64, total as u64);
        Some(JobStep::Progress { done, total })
    }

    /// The next step, and the work that is left.
    fn step(self, report: &mut String) -> Result<(JobStep, Work), Failure> {
        match self {
            Work::Merge(mut merger, method) => {
                if !merger.step()? {
                    return whole(merger.finish()?, method, report)?.step(report);
                }
                let (done, total) = merger.progress();
                let (done, total) = (done as u64, total as u64);
                Ok((
                    JobStep::Progress { done, total },
                    Work::Merge(merger, method),
                ))
            }
            Work::Extract(mut extractor) => match extractor.step() {
                BreedStep::Done => whole(extractor.finish()?, "extract", report)?.step(report),
                step => Ok((of_breed(step), Work::Extract(extractor))),
            },
            Work::Check(mut check, mut found) => match check.step() {
                BreedStep::Done => {
                    found.note_fused(Ok(()));
                    Work::Report(found.to_json()).step(report)
                }
                step => Ok((of_breed(step), Work::Check(check, found))),
            },
            Work::Bake(mut baker) => match baker.step()? {
                BreedStep::Done => Work::Report(baker.report(None)).step(report),
                step => Ok((of_breed(step), Work::Bake(baker))),
            },
            Work::Package(bytes, part) if part.end < bytes.len() => {
                let part = part.end..bytes.len().min(part.end + WRITE_BYTES);
                let offset = part.start as u64;
                Ok((JobStep::Write { offset }, Work::Package(bytes, part)))
            }
            Work::Report(text) => {
                *report = text;
                Ok((JobStep::Done, Work::Done))
            }
            Work::Package(..) | Work::Done => Ok((JobStep::Done, Work::Done)),
            Work::Intake | Work::Refused => Err(out_of_order("the job was refused: begin another")),
        }
    }
}

fn of_breed(step: BreedStep) -> JobStep {
    match step {
        BreedStep::Read {
            source,
            offset,
            len,
        } => JobStep::Read {
            source,
            offset,
            len,
        },
        BreedStep::Write { offset } => JobStep::Write { offset },
        BreedStep::Done => JobStep::Done,
    }
}

/// A new adapter, ready to be handed out.
fn whole(made: Merged, operator: &str, report: &mut String) -> Result<Work, BreedError> {
    *report = made.report(operator, None)?;
    Ok(Work::Package(made.bytes, 0..0))
}

fn start_import(
    sources: &[SourceInfo],
    parts: Vec<Vec<u8>>,
    order: &Order,
    report: &mut String,
) -> Result<Work, Failure> {
    let base = head(sources, &parts, 0)?;
    let files = sources.iter().zip(&parts).skip(1);
    let files: Vec<LoraFile<'_>> = files
        .map(|(info, bytes)| LoraFile {
            name: &info.name,
            bytes,
        })
        .collect();
    let options = LoraOptions {
        name: order.name.clone(),
        license: order.license.clone(),
        source: order.source.clone(),
        notes: order.notes.clone(),
        exact_base: order.exact_base,
    };
    let bytes = import_adapter(&files, &base, &options)?;
    let adapter = Adapter::parse(&bytes).map_err(BreedError::from)?;
    *report = adapter_report(&adapter, bytes.len() as u64, &base, None);
    Ok(Work::Package(bytes, 0..0))
}

fn start_validate(
    sources: &[SourceInfo],
    parts: Vec<Vec<u8>>,
    order: &Order,
    _: &mut String,
) -> Result<Work, Failure> {
    let base = head(sources, &parts, 0)?;
    let found = {
        let (info, bytes) = (sources.get(1), parts.get(1));
        let (name, bytes) = info.zip(bytes).map_or(("", &[][..]), |(i, b)| (&i.name, b));
        let adapter = Adapter::parse(bytes);
        let adapter = adapter.map_err(|error| Failure::of_source(name, error.into()))?;
        Compatibility::new(&adapter, &base)
    };
    if found.verdict() == FieldStatus::Refused {
        return Ok(Work::Report(found.to_json()));
    }
    // Those that are on the stack already come first.
    let n = sources.len();
    let places = (2..n).chain(1..2);
    let stack = stack(sources, parts, order, &base, places)?;
    Ok(Work::Check(Box::new(StackCheck::new(base, stack)), found))
}

fn start_merge(
    sources: &[SourceInfo],
    parts: Vec<Vec<u8>>,
    order: &Order,
    _: &mut String,
) -> Result<Work, Failure> {
    let base = head(sources, &parts, 0)?;
    let stack = stack(sources, parts, order, &base, 1..sources.len())?;
    let options = MergeOptions {
        name: &order.name,
        license: &order.license,
        factors: order.factors,
        exact_base: order.exact_base,
    };
    let method = order.merge()?;
    let merger = Merger::new(base, stack, method, options)?;
    Ok(Work::Merge(Box::new(merger), method.name()))
}

fn start_extract(
    sources: &[SourceInfo],
    parts: Vec<Vec<u8>>,
    order: &Order,
    _: &mut String,
) -> Result<Work, Failure> {
    let (base, child) = (head(sources, &parts, 0)?, head(sources, &parts, 1)?);
    let how = order.extraction()?;
    let extractor = Extractor::new(base, child, how, [&order.name, &order.license])?;
    let extractor = extractor.exact_base(order.exact_base);
    Ok(Work::Extract(Box::new(extractor)))
}

fn start_bake(
    sources: &[SourceInfo],
    parts: Vec<Vec<u8>>,
    order: &Order,
    _: &mut String,
) -> Result<Work, Failure> {
    let base = head(sources, &parts, 0)?;
    let stack = stack(sources, parts, order, &base, 1..sources.len())?;
    let options = BakeOptions {
        format: order.format()?,
        name: order.name.clone(),
        license: order.license.clone(),
    };
    let baker = Baker::new(base, stack, options)?;
    Ok(Work::Bake(Box::new(baker)))
}

/// The head of this source, a model.
fn head(sources: &[SourceInfo], parts: &[Vec<u8>], idx: usize) -> Result<Head, Failure> {
    let found = sources.get(idx).zip(parts.get(idx));
    let (info, bytes) = found.ok_or_else(|| bad("sources"))?;
    let head = Head::parse(bytes, info.bytes);
    head.map_err(|error| Failure::of_source(&info.name, error.into()))
}

/// A stack of the adapters at these places of the sources. Their files are dropped once decoded.
fn stack(
    sources: &[SourceInfo],
    mut parts: Vec<Vec<u8>>,
    order: &Order,
    base: &Head,
    places: impl Iterator<Item = usize>,
) -> Result<Stack, Failure> {
    let limits = StackLimits::default();
    let mut stack = Stack::new(base.config.n_layers, limits);
    for place in places {
        let found = sources.get(place).zip(parts.get_mut(place));
        let (info, bytes) = found.ok_or_else(|| bad("sources"))?;
        let named = |error: BreedError| Failure::of_source(&info.name, error);
        let bytes = core::mem::take(bytes);
        let adapter = Adapter::parse(&bytes).map_err(|error| named(error.into()))?;
        let loaded = LoadedAdapter::new(&adapter, base, limits.max_bytes);
        let loaded = loaded.map_err(|error| named(error.into()))?;
        order.push(&mut stack, place - 1, loaded)?;
    }
    Ok(stack)
}
