/**
 * The kit's sessions behind the turns on the page. An answer goes on from the session that wrote
 * the one before it, by fork and rewind, so that only new tokens are computed; where that is gone,
 * or has other settings, a fresh one reads the whole prompt: the text is the same.
 */

/** Kept per session of the page; beyond that the oldest is closed and would be read again. */
const LIVE_MAX = 8;

const sharedLen = (a, b) => {
  const end = a.findIndex((id, idx) => id !== b[idx]);
  return end < 0 ? a.length : end;
};

export function createLiveSessions() {
  /** `{ owner, turn, key, ids, session }`, oldest first. */
  let live = [];

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
      const isSame = before?.key === JSON.stringify(settings);
      const n = isSame ? Math.min(sharedLen(before.ids, ids), ids.length - 1) : 0;
      if (n > 0) {
        try {
          const session = await before.session.fork();
          if (n < before.ids.length) await session.rewind(n);
          return { session, n };
        } catch (error) {
          if (error.kind !== "session_lost") throw error;
        }
      }
      return { session: await model.createSession(settings), n: 0 };
    },
    /** Keeps the session that wrote a turn; `ids` are all of its tokens. */
    async keep(entry) {
      live.push({ ...entry, key: JSON.stringify(entry.settings) });
      const [oldest, ...others] = live.filter(({ owner }) => owner === entry.owner);
      if (others.length >= LIVE_MAX) await drop((one) => one === oldest);
    },
    /** The session that wrote a turn, if it is still there. */
    of: (owner, turn) => find(owner, turn)?.session,
    closeOf: (owner) => drop((entry) => entry.owner === owner),
    closeAll: () => drop(() => true),
  };
}
