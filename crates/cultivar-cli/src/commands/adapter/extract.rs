//! `cultivar adapter extract`: the adapter that leads from a base to another model of its form.

use super::merge::{report, write};
use super::{base, only_file};
use crate::adapter_files::{name_of, output_path};
use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::Report;
use crate::package_file::PackageFile;
use cultivar_breed::{BreedStep, Extraction, Extractor};

pub fn run(given: &Arguments) -> Result<Report, Failure> {
    let (child, base) = (only_file(given)?, base(given)?);
    let seed = given.number("--seed")?.unwrap_or(0);
    let how = match (given.number("--rank")?, given.number("--density")?) {
        (Some(rank), None) => Extraction::Rank { rank, seed },
        (None, Some(density)) => Extraction::Density { density },
        _ => return Err(Failure::usage("give either --rank or --density")),
    };
    let out = output_path(given, "OUT.sla", &[base, child])?;
    let mut files = [PackageFile::open(base)?, PackageFile::open(child)?];
    let [of_base, of_child] = &mut files;
    let (of_base, of_child) = (of_base.head()?, of_child.head()?);
    let name = given.text("--name")?.map_or(name_of(out), String::from);
    let license = given.text("--license")?.unwrap_or("");
    let extractor = Extractor::new(of_base, of_child, how, [&name, license])?;
    let mut extractor = extractor.exact_base(given.has("--exact-base"));
    while let BreedStep::Read {
        source,
        offset,
        len,
    } = extractor.step()
    {
        let file = files.get_mut(source);
        let file = file.ok_or_else(|| Failure::usage("a source is gone"))?;
        let bytes = file.bytes(offset, len)?;
        extractor
            .supply(&bytes)
            .map_err(|error| file.about(error))?;
    }
    let extracted = extractor.finish()?;
    write(out, &extracted.bytes)?;
    report(out, "extract", &extracted)
}
