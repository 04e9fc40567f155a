/**
 * Cultivar's kit: open a model package in a page and generate text, in a worker, without a
 * network. The public face; `cultivar.d.ts` documents every call. Nothing here touches the
 * module: the worker does.
 */
import { Client } from "./client.js";
import {
  FILE_MODULES, MODULE_FILES, TEXT_FILE, compileModule, moduleCandidates,
} from "./features.js";
import { Package, blobOf, inEngineWords } from "./package.js";
import { PackagePool } from "./package-pool.js";
import { WorkerPool } from "./worker-pool.js";

export { Pauser } from "./client.js";
export { CultivarError } from "./errors.js";
export { Library } from "./library.js";
export { Package } from "./package.js";
export { Session } from "./session.js";

/** Where the modules lie unless `baseUrl` says otherwise. */
const MODULES_URL = new URL("../wasm/", import.meta.url);

const spawnOwnWorker = () =>
  new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "cultivar" });

export class Cultivar {
  #client;
  #packer;
  #pool;

  /** Called with the reason when the worker had to be replaced; sessions are lost then. */
  onReplaced = null;

  /**
   * Starts the engine: picks the best module that this browser runs exactly, in a worker.
   * @param {{module?: "auto"|"simd128"|"relaxed", baseUrl?: string|URL, spawnWorker?: Function,
   *   profile?: boolean}} [options]
   */
  static async open({ module = "auto", baseUrl = MODULES_URL, spawnWorker, profile } = {}) {
    let refusal;
    const base = new URL(baseUrl, globalThis.location?.href);
    for (const name of moduleCandidates(module)) {
      const cultivar = new Cultivar();
      try {
        await cultivar.#start(name, base, profile, spawnWorker);
        cultivar.info.fallback = refusal ? refusal.message : null;
        return cultivar;
      } catch (error) {
        cultivar.close();
        refusal = error;
      }
    }
    throw refusal;
  }

  /** One package in several engines side by side; see `cultivar.d.ts`. */
  static async openPool(source, { workers = 2, signal, ...options } = {}) {
    const blob = await blobOf(source, signal);
    return PackagePool.open(() => Cultivar.open(options), workers, blob, signal);
  }

  async #start(name, base, profile, spawnWorker = spawnOwnWorker) {
    // Modules that ask for a clock stand beside the others: `cultivar-bench.wasm`.
    const file = MODULE_FILES[name].replace("cultivar", profile ? "cultivar-bench" : "cultivar");
    const [module, textModule] = await Promise.all(
      [file, TEXT_FILE].map((one) => compileModule(one, base)),
    );
    const pool = (this.#pool = new WorkerPool(spawnWorker));
    const spawn = () => pool.take();
    const onReplaced = (reason) => this.onReplaced?.(reason);
    const begin = (client) => client.send("init", { module, textModule });
    this.#client = new Client(spawn, begin, onReplaced);
    const info = await this.#client.ready();
    // Fetched with the page, used when files are made: in a worker of its own, so that the engine
    // goes on meanwhile and its memory stays small.
    const parts = { text: textModule };
    for (const [part, name] of Object.entries(FILE_MODULES)) {
      parts[part] = compileModule(name, base);
      parts[part].catch(() => {});
    }
    this.#packer = { ...parts, client: new Client(spawn, async () => {}, () => {}) };
    await Promise.all([pool.warm(), pool.warm()]);
    this.info = {
      module: name,
      backend: info.backend,
      version: info.version,
      abiVersion: info.abi_version,
      numericsVersion: info.numerics_version,
      selftestChecks: info.selftest_checks,
    };
  }

  /** Opens a package; see `cultivar.d.ts`. */
  openPackage(source, hooks = {}) {
    return Package.open(this.#client, this, source, hooks);
  }

  /** Imports foreign model files into a package. */
  importPackage(files, { signal, pauser, sink, onPlan, onProgress, ...options } = {}) {
    const named = Array.from(files, (file) => ({ name: file.name, blob: file }));
    const hooks = { signal, pauser, sink, onPlan, onProgress };
    return this.#make("importPackage", { files: named, options }, hooks);
  }

  /** Makes files of other programs from a package; see `cultivar.d.ts`. */
  async exportPackage(source, format, hooks = {}) {
    const blob = await blobOf(source, hooks.signal);
    return this.#make("exportPackage", { blob, format }, hooks, "exporter");
  }

  /** The table of a constraint, which sessions are given. */
  compileConstraint(constraint) {
    return this.#pack("compileConstraint", { constraint: inEngineWords(constraint) }, {}, "text");
  }

  /** Foreign adapter files into an adapter for a base. */
  importAdapter(files, { base, ...options }) {
    return this.#job("import_adapter", [base, ...files], options);
  }

  /** What of an adapter fits a base, with `stack` applied already. */
  async validateAdapter(adapter, { base, stack = [], ...options }) {
    return (await this.#stackJob("validate_adapter", base, [adapter, ...stack], options)).report;
  }

  /** Adapters into one adapter. */
  mergeAdapters(adapters, { base, ...options }) {
    return this.#stackJob("merge_adapters", base, adapters, options);
  }

  /** The adapter that leads from a base to another model of its form. */
  extractAdapter(child, { base, ...options }) {
    return this.#job("extract_adapter", [base, child], options);
  }

  /** Adapters into a copy of their base. */
  bake(base, adapters, options) {
    return this.#stackJob("bake", base, adapters, options);
  }

  #stackJob(job, base, adapters, options) {
    const list = adapters.map((given) => (given instanceof Blob ? { adapter: given } : given));
    const weights = list.map(({ weight, layerWeights, moduleWeights }) => (
      { weight, layer_weights: layerWeights, module_weights: moduleWeights }));
    return this.#job(job, [base, ...list.map(({ adapter }) => adapter)], { ...options, weights });
  }

  #job(job, blobs, { signal, pauser, sink, onProgress, ...options }) {
    const files = blobs.map((blob, i) => ({ name: blob.name ?? `file ${i + 1}`, blob }));
    const hooks = { signal, pauser, sink, onProgress };
    return this.#make("runJob", { job, files, options }, hooks, "breeder");
  }

  /** Makes a file: it goes to the sink, or comes back. */
  async #make(verb, args, { signal, pauser, sink, onPlan, onProgress }, part) {
    const onEvent = (event, data) => (event === "write" ? sink.write({ type: "write", ...data })
      : (event === "plan" ? onPlan : onProgress)?.(data));
    const all = { ...args, toSink: Boolean(sink) };
    try {
      const made = await this.#pack(verb, all, { signal, pauser, onEvent }, part);
      await sink?.close?.();
      return made;
    } catch (error) {
      await sink?.abort?.(error);
      throw error;
    }
  }

  async #pack(verb, args, hooks, part = "packer") {
    const module = await this.#packer[part];
    return this.#packer.client.call(verb, { module, ...args }, hooks);
  }

  /** Bytes that the module's memory holds. */
  async memory() {
    const stats = await this.#client.call("memory", {});
    return {
      usedBytes: stats.used_bytes,
      peakBytes: stats.peak_bytes,
      memoryBytes: stats.memory_bytes,
    };
  }

  /** Ends a worker in a trap, so that a page can test what it does then. */
  testTrap(part = "engine") {
    return part === "engine" ? this.#client.call("testTrap", {})
      : this.#pack("testTrap", {}, {}, part);
  }

  /** Ends the workers; nothing can be called afterwards. */
  close() {
    this.#client?.close();
    this.#packer?.client.close();
    this.#pool?.close();
  }
}
