//! `cultivar adapter inspect`: every delta of an adapter, what it is bound to, how it was made.

use super::only_file;
use crate::adapter_files::read;
use crate::arguments::Arguments;
use crate::commands::human_bytes;
use crate::failure::Failure;
use crate::output::Report;
use cultivar_core::adapter::{Adapter, DeltaFigures};
use cultivar_core::package::metadata_key;
use std::fmt::Write;

pub fn run(given: &Arguments) -> Result<Report, Failure> {
    let path = only_file(given)?;
    let bytes = read(path)?;
    let adapter = Adapter::parse(&bytes).map_err(|error| Failure::from(error).about(path))?;
    let json = adapter.card_json(bytes.len() as u64);
    Ok(Report::new(json, to_text(&adapter)))
}

fn to_text(adapter: &Adapter<'_>) -> String {
    let mut text = String::new();
    for key in [
        metadata_key::NAME,
        metadata_key::LICENSE,
        metadata_key::MASK,
    ] {
        if let Some(said) = adapter.head.metadata.text(key) {
            // Control characters of a stranger's text must not reach a terminal.
            let plain: String = said.chars().filter(|c| !c.is_control()).collect();
            let _ = writeln!(text, "{key:<14} {plain}");
        }
    }
    let _ = writeln!(text, "{:<14} {}", "weights", adapter.head.weights);
    for (idx, delta) in adapter.head.deltas.iter().enumerate() {
        let density = adapter.head.density(idx);
        let density = density.map_or(String::new(), |part| format!("  density {part:.4}"));
        let figures = DeltaFigures::new(adapter, delta);
        let _ = writeln!(
            text,
            "{:<28} {:<8} {:>9} {:<5} {}{density}",
            delta.target,
            figures.kind,
            figures.size,
            figures.format,
            human_bytes(figures.bytes)
        );
    }
    if let Some(genome) = adapter.genome() {
        let plain: String = genome.chars().filter(|c| !c.is_control()).collect();
        let _ = writeln!(text, "{:<14} {plain}", "genome");
    }
    text
}
