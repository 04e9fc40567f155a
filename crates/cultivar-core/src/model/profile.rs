//! Where the time of the forward pass goes, on demand: a host lends its clock, and each part of a
//! batch is noted. Without a clock nothing is read and nothing is noted; in a build without the
//! feature `profile` there is nothing to note with.

/// Names of the parts, in the order of [`Profile::parts_ms`].
pub const PROFILE_PARTS: [&str; 10] = [
    "embedding",
    "norm",
    "qkv",
    "rotary",
    "attention",
    "w_o",
    "ffn_in",
    "activation",
    "w_down",
    "output",
];

/// A part of the forward pass: an index into [`PROFILE_PARTS`]. Quantizing what a matrix reads
/// belongs to the matrix, adding its product to `x` too.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Embedding,
    Norm,
    Qkv,
    Rotary,
    Attention,
    Wo,
    FfnIn,
    Activation,
    WDown,
    Output,
}

/// Milliseconds by part of the forward pass.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Profile {
    /// Milliseconds in each of [`PROFILE_PARTS`].
    pub parts_ms: [f64; PROFILE_PARTS.len()],
    /// Batches.
    pub n_batches: u64,
    /// Their rows.
    pub n_rows: u64,
}

/// A profile in progress.
pub(super) struct Profiler {
    clock_ms: fn() -> f64,
    profile: Profile,
    since_ms: f64,
}

impl Profiler {
    pub fn new(clock_ms: fn() -> f64) -> Self {
        Self {
            clock_ms,
            profile: Profile::default(),
            since_ms: 0.0,
        }
    }

    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// A batch begins.
    pub fn begin(&mut self, n_rows: usize) {
        self.profile.n_batches += 1;
        self.profile.n_rows += n_rows as u64;
        self.since_ms = (self.clock_ms)();
    }

    fn note(&mut self, part: Part) {
        let now_ms = (self.clock_ms)();
        if let Some(ms) = self.profile.parts_ms.get_mut(part as usize) {
            *ms += now_ms - self.since_ms;
        }
        self.since_ms = now_ms;
    }
}

/// What was done since the last note belongs to this part.
#[inline]
pub(super) fn note(profiler: &mut Option<Profiler>, part: Part) {
    if cfg!(feature = "profile")
        && let Some(profiler) = profiler
    {
        profiler.note(part);
    }
}
