//! Where the time of the forward pass goes, on demand: a host lends its clock, and each part of a
//! batch is noted. Without a clock nothing is read and nothing is noted.

/// Names of the parts, in the order of [`Profile::parts`].
pub const PROFILE_PARTS: [&str; 4] = ["embedding", "attention", "feed_forward", "output"];

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

    /// What was done since the last note belongs to this part.
    pub fn note(&mut self, part: usize) {
        let now_ms = (self.clock_ms)();
        if let Some(ms) = self.profile.parts_ms.get_mut(part) {
            *ms += now_ms - self.since_ms;
        }
        self.since_ms = now_ms;
    }
}
