//! A session as one portable file: its tokens, digests, settings and the pages of its context, so
//! that it goes on elsewhere without reading its prompt again, with the same bits.
//!
//! Bound to the assembly, the numerics and the storage of keys and values; anything else is
//! refused by name before anything is allocated for it. `docs/numerics.md` has the layout.

use super::history::AssemblyEvent;
use super::{Session, SessionError, SessionErrorKind, Settings, StopReason, Turn};
use crate::adapter::{LoadedAdapter, Weighing};
use crate::bytes::{Reader, UnexpectedEnd, put_u32};
use crate::digest::{Digest, Sha256};
use crate::json::JsonWriter;
use crate::kv_cache::AssemblyChange;
use crate::model::{Engine, NUMERICS_VERSION};
use alloc::sync::Arc;
use alloc::vec::Vec;

const MAGIC: &[u8; 8] = b"CVSNAP\r\n";

/// Version of the layout.
const VERSION: u32 = 4;

/// What a snapshot of another model, or with other adapters, differs in.
const ASSEMBLY: &str = "assembly of model and adapters";

/// Bytes of the checksum at the end.
const CHECKSUM_BYTES: usize = 32;

fn refuse(kind: SessionErrorKind) -> SessionError {
    SessionError::new(kind)
}

impl From<UnexpectedEnd> for SessionError {
    fn from(end: UnexpectedEnd) -> Self {
        refuse(SessionErrorKind::SnapshotDamaged(end.offset))
    }
}

impl Session {
    /// The session as a file. Tokens that were chosen ahead are left out: they come again.
    pub fn snapshot(&self, engine: &Engine) -> Result<Vec<u8>, SessionError> {
        let context = &self.context;
        let n_computed = match self.n_handed < self.made.len() {
            true => context
                .n_computed
                .min(context.tokens.len().saturating_sub(1)),
            false => context.n_computed,
        };
        let shape = engine.kv().shape();
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        put_u32(&mut out, VERSION);
        put_u32(&mut out, NUMERICS_VERSION);
        out.extend_from_slice(&context.assembly.0);
        for word in [shape.n_layers, shape.n_kv_heads, shape.head_dim] {
            put_u32(&mut out, word as u32);
        }
        let mut json = JsonWriter::new();
        self.settings_in_full().write_json(&mut json);
        let settings = json.finish();
        put_u32(&mut out, settings.len() as u32);
        out.extend_from_slice(settings.as_bytes());
        put_adapters(&mut out, self.adapters_noted());
        put_u32(&mut out, self.tokens.len() as u32);
        self.tokens.iter().for_each(|id| put_u32(&mut out, *id));
        put_u32(&mut out, self.turns.len() as u32);
        for turn in &self.turns {
            put_u32(&mut out, turn.prompt_start as u32);
            put_u32(&mut out, turn.output_start as u32);
        }
        put_u32(&mut out, self.stop.map_or(0, StopReason::id));
        out.extend_from_slice(&self.opened_by.0);
        put_adapters(&mut out, &self.opened_adapters);
        put_u32(&mut out, self.events.len() as u32);
        for event in &self.events {
            put_u32(&mut out, event.n_tokens as u32);
            put_u32(&mut out, event.position as u32);
            out.extend_from_slice(&event.assembly.0);
            put_adapters(&mut out, &event.adapters);
        }
        out.extend_from_slice(&self.digest.opened().0);
        for digest in self.digest.after() {
            out.extend_from_slice(&digest.0);
        }
        out.extend_from_slice(&self.run_digest().0);
        put_u32(&mut out, n_computed as u32);
        put_u32(&mut out, context.changes().len() as u32);
        for change in context.changes() {
            put_u32(&mut out, change.position);
            out.extend_from_slice(&change.assembly.0);
        }
        engine.write_pages(context.sequence, n_computed, &mut out)?;
        let checksum = checksum(&out);
        out.extend_from_slice(&checksum.0);
        Ok(out)
    }

    /// The session of a snapshot; its adapters are taken from `pool`, by their identities.
    pub fn restore(
        engine: &mut Engine,
        bytes: &[u8],
        pool: &[Arc<LoadedAdapter>],
    ) -> Result<Self, SessionError> {
        let (settings, head, mut reader) = check_head(engine, bytes)?;
        let mut session = Session::new(engine, settings)?;
        let missing = || SessionErrorKind::SnapshotOfOther(ASSEMBLY);
        let read = session
            .arrange(engine, (pool, &head.adapters), missing)
            .and_then(|()| match engine.assembly(session.stack(engine)) {
                assembly if assembly == head.assembly => Ok(()),
                _ => Err(refuse(missing())),
            })
            .and_then(|()| session.read_snapshot(engine, &mut reader));
        match read {
            Ok(()) => Ok(session),
            Err(error) => {
                let stack = session.stack(engine);
                session.close(engine);
                stack.into_iter().for_each(|id| engine.remove_stack(id));
                Err(error)
            }
        }
    }

    fn read_snapshot(
        &mut self,
        engine: &mut Engine,
        reader: &mut Reader<'_>,
    ) -> Result<(), SessionError> {
        let vocab_size = engine.model.dims.vocab_size;
        let n_tokens = reader.u32()? as usize;
        let ids = reader.take_u64(n_tokens as u64 * 4)?;
        let ids = ids.as_chunks().0.iter().map(|id| u32::from_le_bytes(*id));
        let is_known = ids.clone().all(|id| (id as usize) < vocab_size);
        let fits = self.context.shifts() || n_tokens <= self.context.max_len + 1;
        sound(is_known && fits, reader)?;
        let n_room = n_tokens.saturating_add(self.settings.max_tokens as usize);
        let room = match self.context.shifts() {
            true => self.reserve(n_room),
            false => Some(()),
        };
        room.ok_or_else(|| super::no_room(n_room))?;
        self.tokens.extend(ids);
        self.read_turns(reader)?;
        self.opened_by = Digest(reader.array()?);
        self.opened_adapters = read_adapters(reader)?;
        let n_events = reader.u32()?;
        for _ in 0..n_events {
            let (n_before, position) = (reader.u32()? as usize, reader.u32()? as usize);
            let assembly = Digest(reader.array()?);
            sound(n_before <= n_tokens && position <= n_before, reader)?;
            self.events.push(AssemblyEvent {
                n_tokens: n_before,
                position,
                assembly,
                adapters: read_adapters(reader)?,
            });
        }
        self.digest.reopen(Digest(reader.array()?));
        let chain = reader.take_u64(n_tokens as u64 * 32)?;
        let chain = chain.as_chunks().0.iter().map(|digest| Digest(*digest));
        self.digest.restore(chain, Digest(reader.array()?));
        self.read_positions(engine, reader)
    }

    fn read_turns(&mut self, reader: &mut Reader<'_>) -> Result<(), SessionError> {
        let n_tokens = self.tokens.len();
        let mut end = 0;
        let n_turns = reader.u32()?;
        for _ in 0..n_turns {
            let turn = Turn {
                prompt_start: reader.u32()? as usize,
                output_start: reader.u32()? as usize,
            };
            let is_first = self.turns.is_empty();
            sound(
                turn.prompt_start >= end && is_first == (turn.prompt_start == 0),
                reader,
            )?;
            let order = turn.prompt_start < turn.output_start && turn.output_start <= n_tokens;
            sound(order, reader)?;
            end = turn.output_start;
            self.turns.push(turn);
        }
        sound(self.turns.is_empty() == self.tokens.is_empty(), reader)?;
        let stop = reader.u32()?;
        self.stop = StopReason::ALL
            .into_iter()
            .find(|reason| reason.id() == stop);
        sound(self.stop.is_some() == (stop != 0), reader)
    }

    /// What is computed: how many positions, by which assemblies, and the pages.
    fn read_positions(
        &mut self,
        engine: &mut Engine,
        reader: &mut Reader<'_>,
    ) -> Result<(), SessionError> {
        self.context.follow(engine, &self.tokens, 0)?;
        let n_computed = reader.u32()? as usize;
        let n_positions = self.context.tokens.len();
        sound(n_computed <= n_positions.min(self.context.max_len), reader)?;
        let n_changes = reader.u32()?;
        let mut changes = Vec::new();
        for _ in 0..n_changes {
            let position = reader.u32()?;
            let assembly = Digest(reader.array()?);
            sound(position as usize <= n_computed, reader)?;
            changes.push(AssemblyChange { position, assembly });
        }
        let format = self.settings.kv_format;
        let n_bytes = engine.kv().stored_bytes(n_computed, format);
        let pages = reader.take_u64(n_bytes)?;
        sound(reader.is_empty(), reader)?;
        let n_most = self.settings.max_tokens as usize;
        self.context.make_room(engine, n_most)?;
        engine.read_pages(self.context.sequence, n_computed, pages)?;
        let assembly = engine.assembly(engine.stack_of(self.context.sequence));
        self.context.restore(n_computed, changes, assembly);
        self.mix_revision = engine.mix_revision();
        self.read_again(engine)
    }
}

fn put_adapters(out: &mut Vec<u8>, adapters: &[(Digest, Weighing)]) {
    put_u32(out, adapters.len() as u32);
    for (weights, weighing) in adapters {
        out.extend_from_slice(&weights.0);
        weighing.put(out);
    }
}

fn read_adapters(reader: &mut Reader<'_>) -> Result<Vec<(Digest, Weighing)>, UnexpectedEnd> {
    let n = reader.u32()?;
    let mut adapters = Vec::new();
    for _ in 0..n {
        adapters.push((Digest(reader.array()?), Weighing::read(reader)?));
    }
    Ok(adapters)
}

/// Refuses what a snapshot that was written whole cannot hold.
fn sound(is_sound: bool, reader: &Reader<'_>) -> Result<(), SessionError> {
    match is_sound {
        true => Ok(()),
        false => Err(refuse(SessionErrorKind::SnapshotDamaged(reader.offset()))),
    }
}

fn checksum(bytes: &[u8]) -> Digest {
    let mut hash = Sha256::new();
    hash.update(bytes);
    hash.finish()
}

/// What computes the next row of a snapshot's session.
struct SnapshotMix {
    assembly: Digest,
    adapters: Vec<(Digest, Weighing)>,
}

/// Whether the file is whole and meant for this engine; its settings, what computed it, and a
/// reader of the rest.
fn check_head<'a>(
    engine: &Engine,
    bytes: &'a [u8],
) -> Result<(Settings, SnapshotMix, Reader<'a>), SessionError> {
    if !bytes.starts_with(MAGIC) {
        return Err(refuse(SessionErrorKind::NotASnapshot));
    }
    let mut reader = Reader::new(bytes);
    reader.take(MAGIC.len())?;
    let version = reader.u32()?;
    if version != VERSION {
        return Err(refuse(SessionErrorKind::SnapshotVersion(version)));
    }
    let n_body = bytes.len().saturating_sub(CHECKSUM_BYTES);
    let (body, stored) = bytes.split_at(n_body);
    if checksum(body).0 != *stored {
        return Err(refuse(SessionErrorKind::SnapshotDamaged(n_body as u64)));
    }
    let mut reader = Reader::new(body);
    reader.take(MAGIC.len() + 4)?;
    let of_other = |what| refuse(SessionErrorKind::SnapshotOfOther(what));
    if reader.u32()? != NUMERICS_VERSION {
        return Err(of_other("numerics version"));
    }
    let assembly = Digest(reader.array()?);
    let shape = engine.kv().shape();
    for expected in [shape.n_layers, shape.n_kv_heads, shape.head_dim] {
        if reader.u32()? as usize != expected {
            return Err(of_other("shape of keys and values"));
        }
    }
    let n_bytes = reader.u32()?;
    let at = reader.offset();
    let text = core::str::from_utf8(reader.take_u64(u64::from(n_bytes))?);
    let text = text.map_err(|_| refuse(SessionErrorKind::SnapshotDamaged(at)))?;
    let mix = SnapshotMix {
        assembly,
        adapters: read_adapters(&mut reader)?,
    };
    Ok((Settings::from_json(text)?, mix, reader))
}
