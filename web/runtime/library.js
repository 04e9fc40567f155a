/**
 * Packages kept in the browser's own storage, for whoever embeds the kit: written range by range
 * by one worker, listed only once they are committed, read back as Blobs. See `cultivar.d.ts`.
 */
import { Client } from "./client.js";

/** Bytes copied at a time. */
const PIECE_BYTES = 8 << 20;

const spawnOwnWorker = () =>
  new Worker(new URL("./library-worker.js", import.meta.url), { type: "module", name: "library" });

export class Library {
  #client;

  /** Opens the library and clears away what was never finished. */
  static async open({ spawnWorker = spawnOwnWorker } = {}) {
    const library = new Library();
    const hasFiles = Boolean(globalThis.navigator?.storage?.getDirectory);
    const begin = (client) => client.send("open", { hasFiles });
    library.#client = new Client(spawnWorker, begin, () => {});
    await library.#client.ready();
    return library;
  }

  /** What is kept, newest first. */
  list() {
    return this.#client.call("list", {});
  }

  /** A new place to write to: a sink for `importPackage`. Listed when it is committed. */
  async create() {
    const id = await this.#client.call("create", {});
    return {
      id,
      write: ({ position, data }) =>
        this.#client.call("write", { id, position, data }, { transfer: [data.buffer] }),
      close: () => this.#client.call("close", { id }),
      abort: () => this.remove(id).catch(() => {}),
    };
  }

  /** Writes a whole Blob to a new place; resolves to its id. */
  async copy(blob, { signal, pauser, onProgress } = {}) {
    const sink = await this.create();
    try {
      for (let position = 0; position < blob.size; ) {
        const piece = blob.slice(position, position + PIECE_BYTES);
        const data = new Uint8Array(await piece.arrayBuffer());
        while (pauser?.isPaused && !signal?.aborted) {
          await new Promise((go) => {
            pauser.onChange = go;
            signal?.addEventListener("abort", go);
          });
        }
        signal?.throwIfAborted();
        await sink.write({ position, data });
        position += piece.size;
        onProgress?.({ phase: "keep", doneBytes: position, totalBytes: blob.size });
      }
      await sink.close();
      return sink.id;
    } catch (error) {
      await sink.abort();
      throw error;
    }
  }

  /** Lists what was written, unless its content is listed already; resolves to the listed id. */
  commit(id, record) {
    return this.#client.call("commit", { id, record });
  }

  /** The package as a Blob, read from storage as it is used. */
  blob(id) {
    return this.#client.call("blob", { id });
  }

  /** Deletes a package, listed or not. */
  remove(id) {
    return this.#client.call("remove", { id });
  }

  /** Ends the worker. */
  close() {
    this.#client.close();
  }
}
