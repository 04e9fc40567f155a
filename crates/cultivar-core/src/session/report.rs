//! The report of a run as JSON: what was asked, what came out, its digest and its diagnostics.

use super::record::write_adapters;
use super::{Diagnostics, LoadTimes, Session};
use crate::json::JsonWriter;
use crate::kernels::backend_name;
use crate::model::{Engine, NUMERICS_VERSION, PROFILE_PARTS};
use alloc::string::String;

/// What the host knows and wants of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReportOptions<'a> {
    /// The decoded output, by whoever streamed it; `None` leaves out text and token ids, for
    /// reports that are passed on.
    pub text: Option<&'a str>,
    /// How long loading took.
    pub load: LoadTimes,
    /// What the machine draws while it computes, as the user states it; for estimates of energy.
    pub watts: Option<f64>,
    /// Bytes of all live allocations, now and at the peak; a host that does not count them says
    /// 0.
    pub heap_bytes: [u64; 2],
}

/// `cultivar.run.v1`: ids, text, stop reason, run digest and diagnostics of the last prompt.
pub fn report_json(session: &Session, engine: &Engine, options: ReportOptions<'_>) -> String {
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str("schema", "cultivar.run.v1");
    if let Some(text) = options.text {
        json.field_u32s("prompt_ids", session.prompt_ids());
        json.field_u32s("output_ids", session.output_ids());
        json.field_str("text", text);
    }
    match session.stop_reason() {
        Some(reason) => json.field_str("stop_reason", reason.name()),
        None => json.key("stop_reason").null(),
    };
    json.field_display("run_digest", session.run_digest());
    json.key("settings");
    session.settings_in_full().write_json(&mut json);
    json.key("diagnostics");
    write_diagnostics(&mut json, session, engine, options);
    json.end_object();
    json.finish()
}

fn write_diagnostics(
    json: &mut JsonWriter,
    session: &Session,
    engine: &Engine,
    options: ReportOptions<'_>,
) {
    let adapters = session.adapters_now(engine);
    json.begin_object();
    json.field_str("schema", "cultivar.diagnostics.v1");
    json.field_str("backend", backend_name(engine.backend()));
    json.field_str("engine_version", env!("CARGO_PKG_VERSION"));
    json.field_u64("numerics_version", u64::from(NUMERICS_VERSION));
    json.field_display("assembly", session.context.assembly);
    json.field_u64("n_adapters", adapters.len() as u64);
    write_adapters(json, &adapters);
    json.field_f64("load_ms", options.load.load_ms);
    write_counts(json, session.diagnostics());
    write_energy(json, session.diagnostics(), options.watts);
    write_profile(json, engine);
    write_memory(json, engine, options.heap_bytes);
    json.key("warnings").begin_array();
    if session.n_sampler_fallbacks() > 0 {
        json.begin_object();
        json.field_str("kind", "sampler_fell_back_to_greedy");
        json.field_u64("count", session.n_sampler_fallbacks());
        json.end_object();
    }
    json.end_array();
    json.end_object();
}

fn write_counts(json: &mut JsonWriter, d: &Diagnostics) {
    json.field_u64("n_prompt_tokens", d.n_prompt_tokens);
    json.field_u64("n_output_tokens", d.n_output_tokens);
    json.field_u64("n_rows", d.n_rows);
    json.field_u64("n_pages_hit", d.pages.n_hits);
    json.field_u64("n_pages_missed", d.pages.n_misses);
    json.field_u64("n_context_shifts", d.n_context_shifts);
    json.field_u64("n_drafted", d.n_drafted);
    json.field_u64("n_drafts_accepted", d.n_drafts_accepted);
    json.field_f64("prefill_ms", d.prefill_ms);
    let optional = [
        ("prefill_tokens_per_s", d.prefill_rows_per_s()),
        ("first_token_ms", d.first_token_ms),
        ("decode_tokens_per_s", d.decode_tokens_per_s()),
        ("decode_ms_p50", d.decode_ms_percentile(50)),
        ("decode_ms_p95", d.decode_ms_percentile(95)),
    ];
    for (key, value) in optional {
        match value {
            Some(value) => json.field_f64(key, value),
            None => json.key(key).null(),
        };
    }
    json.field_f64("decode_ms", d.decode_ms);
}

/// An estimate, and named one: the stated watts times the time per token.
fn write_energy(json: &mut JsonWriter, d: &Diagnostics, watts: Option<f64>) {
    let Some(watts) = watts else { return };
    json.key("energy_estimate").begin_object();
    json.field_f64("stated_watts", watts);
    match d.decode_tokens_per_s() {
        Some(rate) => json.field_f64("joules_per_token", watts / rate),
        None => json.key("joules_per_token").null(),
    };
    json.end_object();
}

/// Where the time went, if the host lent its clock; see [`Engine::start_profile`].
fn write_profile(json: &mut JsonWriter, engine: &Engine) {
    let Some(profile) = engine.profile() else {
        return;
    };
    json.key("profile").begin_object();
    json.field_u64("n_batches", profile.n_batches);
    json.field_u64("n_rows", profile.n_rows);
    for (part, ms) in PROFILE_PARTS.into_iter().zip(profile.parts_ms) {
        json.field_f64(&alloc::format!("{part}_ms"), ms);
    }
    json.end_object();
}

/// Memory by class. Buffers are all else that is live: tokenizer, sessions, grammars, the shared
/// buffer, other packages.
fn write_memory(json: &mut JsonWriter, engine: &Engine, heap_bytes: [u64; 2]) {
    let (memory, kv) = (engine.memory(), engine.kv());
    json.key("memory").begin_object();
    json.field_u64("weights_bytes", memory.weights_bytes);
    json.field_u64("adapter_bytes", engine.adapter_bytes());
    json.field_u64("kv_bytes", memory.kv_bytes);
    json.field_u64("kv_sliding_bytes", memory.kv_sliding_bytes);
    json.field_u64("kv_used_bytes", kv.used_bytes());
    json.field_u64("kv_retained_bytes", kv.retained_bytes());
    json.field_u64("kv_peak_bytes", kv.peak_bytes());
    json.field_u64("workspace_bytes", memory.workspace_bytes);
    json.field_u64("total_bytes", memory.total_bytes());
    let peak = memory.total_bytes() - memory.kv_bytes + kv.peak_bytes();
    json.field_u64("peak_bytes", peak + engine.adapter_bytes());
    let [used, peak] = heap_bytes;
    if used > 0 {
        let known = memory.total_bytes() + engine.adapter_bytes();
        json.field_u64("buffers_bytes", used.saturating_sub(known));
        json.field_u64("heap_used_bytes", used);
        json.field_u64("heap_peak_bytes", peak);
    }
    json.end_object();
}
