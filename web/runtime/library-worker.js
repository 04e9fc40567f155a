/**
 * The library's worker. Records lie in IndexedDB and say what is kept. The bytes lie in files of
 * the origin (OPFS), `ID.part` until they are committed, or in the same database, range by range,
 * where a browser lacks these. What has no record was never finished, and goes at the next
 * start unless another tab is still writing.
 */
import { blobOfRanges } from "./import-runner.js";
import { servePort } from "./service.js";

const NAME = "cultivar-library";
const PART = ".part";
const WHOLE = ".slm";

/** Insecure contexts have no locks between tabs. */
const locks = navigator.locks ?? { request: (name, options, work) => work(true) };
/** By id: ends the lock that tells other tabs that something is being written. */
const releases = new Map();
let database;
let shelf;

/** Does `work(records, chunks)` in one transaction; resolves when it is done for good. */
function transact(mode, work) {
  const transaction = database.transaction(["records", "chunks"], mode);
  const asked = work(...["records", "chunks"].map((name) => transaction.objectStore(name)));
  return new Promise((done, failed) => {
    transaction.oncomplete = () => done(asked.result);
    transaction.onabort = () => failed(transaction.error);
  });
}

function openDatabase() {
  const opening = indexedDB.open(NAME, 1);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore("records", { keyPath: "id" });
    opening.result.createObjectStore("chunks");
  };
  return new Promise((done, failed) => {
    opening.onsuccess = () => done(opening.result);
    opening.onerror = () => failed(opening.error);
  });
}

/** Bytes in files; throws where a browser lacks what that needs. */
async function fileShelf() {
  const { createSyncAccessHandle, move } = FileSystemFileHandle.prototype;
  if (!createSyncAccessHandle || !move) throw new Error("no files");
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle(NAME, { create: true });
  const parts = new Map();
  const file = (name, options) => folder.getFileHandle(name, options);
  async function close(id) {
    const { part, end } = parts.get(id) ?? {};
    if (!part) return;
    parts.delete(id);
    await part.flush();
    const n_bytes = await part.getSize();
    await part.close();
    // Some browsers drop what there is no room for without a word.
    if (n_bytes < end) throw new DOMException("it was cut short", "QuotaExceededError");
  }
  return {
    close,
    async create(id) {
      const handle = await file(id + PART, { create: true });
      parts.set(id, { part: await handle.createSyncAccessHandle(), end: 0 });
    },
    write(id, position, bytes) {
      const open = parts.get(id);
      open.part.write(bytes, { at: position });
      open.end = Math.max(open.end, position + bytes.length);
    },
    commit: async (id) => (await file(id + PART)).move(id + WHOLE),
    blob: async (id) => (await file(id + WHOLE).catch(() => file(id + PART))).getFile(),
    async remove(id) {
      await close(id).catch(() => {});
      for (const end of [PART, WHOLE]) await folder.removeEntry(id + end).catch(() => {});
    },
    names: () => Array.fromAsync(folder.keys()),
  };
}

/** Bytes in the database, under [id, offset]. */
function chunkShelf() {
  const rangeOf = (id) => IDBKeyRange.bound([id], [id, Infinity]);
  const read = (verb, range) => transact("readonly", (_, chunks) => chunks[verb](range));
  const put = (data, key) => transact("readwrite", (_, chunks) => chunks.put(data, key));
  return {
    create() {},
    close() {},
    commit() {},
    // WebKit's private windows keep no Blobs.
    write: (id, position, bytes) =>
      put(new Blob([bytes]), [id, position]).catch(() => put(bytes, [id, position])),
    async blob(id) {
      const parts = new Map();
      for (const key of await read("getAllKeys", rangeOf(id))) {
        parts.set(key[1], new Blob([await read("get", key)]));
      }
      return blobOfRanges(parts);
    },
    remove: (id) => transact("readwrite", (_, chunks) => chunks.delete(rangeOf(id))),
    names: async () => (await read("getAllKeys")).map(([id]) => id + WHOLE),
  };
}

/** Deletes bytes without a record, and records without bytes. */
async function sweep() {
  const names = new Set(await shelf.names());
  for (const { id } of await actions.list()) {
    if (!names.delete(id + WHOLE)) await actions.remove({ id });
  }
  for (const name of names) await shelf.remove(name.split(".")[0]);
}

const actions = {
  async open({ hasFiles }) {
    database = await openDatabase();
    shelf = await (hasFiles ? fileShelf().catch(chunkShelf) : chunkShelf());
    await locks.request(NAME, { ifAvailable: true }, (lock) => lock && sweep());
  },
  list: async () => (await transact("readonly", (records) => records.getAll()))
    .sort((a, b) => b.added - a.added),
  create: () => new Promise((done, failed) => {
    const id = (performance.timeOrigin + performance.now()).toFixed(3).replace(".", "-");
    const hold = () => new Promise((release) => {
      releases.set(id, release);
      Promise.resolve(shelf.create(id)).then(() => done(id), failed);
    });
    locks.request(NAME, { mode: "shared" }, hold);
  }),
  write: ({ id, position, data }) => shelf.write(id, position, data),
  close: ({ id }) => shelf.close(id),
  async commit({ id, record }) {
    const { content } = record;
    const same = (await actions.list()).find((one) => content && one.content === content);
    if (same) {
      await actions.remove({ id });
      return same.id;
    }
    await shelf.commit(id);
    await transact("readwrite", (records) => records.put({ ...record, id }));
    releases.get(id)?.();
    return id;
  },
  blob: ({ id }) => shelf.blob(id),
  async remove({ id }) {
    await transact("readwrite", (records) => records.delete(id));
    await shelf.remove(id);
    releases.get(id)?.();
  },
};

servePort(self, actions);
