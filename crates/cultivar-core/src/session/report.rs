//! The report of a run as JSON: what was asked, what came out, its digest and its diagnostics.

use super::{LoadTimes, Session, Settings};
use crate::json::JsonWriter;
use crate::kernels::backend_name;
use crate::model::{Engine, NUMERICS_VERSION};
use crate::package::identity;
use alloc::string::String;

/// `cultivar.run.v1`: ids, text, stop reason, run digest and diagnostics of the last prompt.
///
/// `text` is the decoded output, by whoever streamed it.
pub fn report_json(session: &Session, engine: &Engine, text: &str, load: LoadTimes) -> String {
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field_str("schema", "cultivar.run.v1");
    json.field_u32s("prompt_ids", session.prompt_ids());
    json.field_u32s("output_ids", session.output_ids());
    json.field_str("text", text);
    match session.stop_reason() {
        Some(reason) => json.field_str("stop_reason", reason.name()),
        None => json.key("stop_reason").null(),
    };
    json.field_display("run_digest", session.run_digest());
    json.key("settings");
    let settings = Settings {
        // What it came to, where the settings leave it to the model.
        context_len: session.context_len as u32,
        ..session.settings.clone()
    };
    settings.write_json(&mut json);
    json.key("diagnostics");
    write_diagnostics(&mut json, session, engine, load);
    json.end_object();
    json.finish()
}

fn write_diagnostics(json: &mut JsonWriter, session: &Session, engine: &Engine, load: LoadTimes) {
    let d = session.diagnostics();
    let memory = engine.memory();
    let assembly = identity::assembly(&engine.model.head.identities.weights, &[]);
    json.begin_object();
    json.field_str("schema", "cultivar.diagnostics.v1");
    json.field_str("backend", backend_name(engine.backend()));
    json.field_str("engine_version", env!("CARGO_PKG_VERSION"));
    json.field_u64("numerics_version", u64::from(NUMERICS_VERSION));
    json.field_display("assembly", assembly);
    json.field_u64("n_adapters", 0);
    json.field_f64("load_ms", load.load_ms);
    json.field_u64("n_prompt_tokens", d.n_prompt_tokens);
    json.field_u64("n_output_tokens", d.n_output_tokens);
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
    json.key("memory").begin_object();
    json.field_u64("weights_bytes", memory.weights_bytes);
    json.field_u64("kv_bytes", memory.kv_bytes);
    json.field_u64("kv_used_bytes", engine.kv().used_bytes());
    json.field_u64("workspace_bytes", memory.workspace_bytes);
    json.field_u64("total_bytes", memory.total_bytes());
    json.end_object();
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
