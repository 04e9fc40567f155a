/**
 * The kit's sessions behind the turns on the page. An answer goes on from the session that wrote
 * the one before it, by fork and rewind, so that only new tokens are computed; where that is gone,
 * or has other settings, a fresh one reads the whole prompt: the text is the same.
 */

/** Keys and values kept per session of the page, in bytes, and sessions: at least the last two. */
const LIVE_BYTES = 64 << 20;
const LIVE_MAX = 16;

/** Tokens that both begin with; -1 is none, and so ends `a`. */
const sharedLen = (a, b) => [...a, -1].findIndex((id, idx) => id !== b[idx]);

/** Where there are no adapters. */
const NO_MIX = { adapters: () => [], key: () => "", follow() {}, leave: () => "" };

/** `mix` is what sessions are made with, and hears of those that run (commands/mix.js). */
export function createLiveSessions(mix = NO_MIX) {
  /** `{ owner, turn, key, ids, session }`, oldest first. */
  let live = [];
  const keyOf = (settings, mixKey) => JSON.stringify([settings, mixKey]);

  const find = (owner, turn) =>
    live.find((entry) => entry.owner === owner && entry.turn === turn);

  // What is lost with its worker has nothing left to close.
  const close = (entry) => entry.session.close().catch(() => {});

  function drop(isDropped) {
    const gone = live.filter(isDropped);
    live = live.filter((entry) => !gone.includes(entry));
    return Promise.all(gone.map(close));
  }

  return {
    /**
     * A session of `model` in which `ids.slice(n)` is the prompt to give: `{ session, n }`. It
     * goes on from the session of `turn`, if it can; `owner` is the page's session.
     */
    async begin(model, settings, ids, owner, turn) {
      const before = find(owner, turn);
      const adapters = mix.adapters();
      const isSame = before?.key === keyOf(settings, mix.key());
      const n = isSame ? Math.min(sharedLen(before.ids, ids), ids.length - 1) : 0;
      if (n > 0) {
        let session;
        try {
          session = await before.session.fork();
          if (n < before.ids.length) await session.rewind(n);
          mix.follow(session, adapters);
          return { session, n };
        } catch (error) {
          if (session) await close({ session });
          if (error.kind !== "session_lost") throw error;
        }
      }
      const session = await model.createSession(settings, adapters);
      mix.follow(session, adapters);
      return { session, n: 0 };
    },
    /**
     * Keeps the session that wrote a turn; `ids` are all of its tokens. One whose weights changed
     * on the way is never gone on from: its text would depend on when they did.
     */
    async keep(model, entry) {
      const mixKey = mix.leave(entry.session);
      live.push({ ...entry, key: mixKey === null ? null : keyOf(entry.settings, mixKey) });
      const n_fit = Math.min(LIVE_MAX, LIVE_BYTES / model.card.memory.kv_bytes);
      const [oldest, ...others] = live.filter(({ owner }) => owner === entry.owner);
      if (others.length >= Math.max(2, n_fit)) await drop((one) => one === oldest);
    },
    /** Closes what is kept for later; throws this error where that would not have helped. */
    async makeRoom(error) {
      if (live.length === 0 || !/^(out_of_memory|kv_cache)$/.test(error.kind)) throw error;
      await drop(() => true);
    },
    /** The session that wrote a turn, if it is still there. */
    of: (owner, turn) => find(owner, turn)?.session,
    closeOf: (owner) => drop((entry) => entry.owner === owner),
    closeAll: () => drop(() => true),
  };
}
