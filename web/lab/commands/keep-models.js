/**
 * Commands about packages that are there already: keep the open one in this browser, delete a
 * kept one, save either as a file of this or another program.
 */
import { event } from "../state/events.js";
import { messageOfError, note } from "./advice.js";
import { mainFormat } from "./open-files.js";
import { saveBlob } from "./records.js";

const stemOf = (name) => name.replace(/\.sl[am]$/, "");

/** `files` are the commands that list and open, `jobs` runs jobs, `desk` holds the open package. */
export function createKeepCommands({ store, desk, jobs, files }) {
  const dispatch = (type, fields) => store.dispatch(event(type, fields));
  const raise = (message) => dispatch("messageRaised", { message });

  /** Does `work()` and lists what is kept then; a failure is a message. */
  async function change(title, work) {
    try {
      await work();
    } catch (error) {
      raise(messageOfError(title, error));
    }
    await files.readLibrary();
  }

  /** A kept record's bytes or, without one, the open package's. */
  const sourceOf = async (record) =>
    record ? (await desk.library).blob(record.id) : desk.blob();

  return {
    /** Copies the open package into the browser's storage. */
    async keepModel() {
      const { name, card, imported } = store.state.model;
      await jobs.runJob("keep", name, async (options) => {
        const library = await desk.library;
        const copy = await library.copy(await sourceOf(), options);
        const { formats, file_bytes: bytes, identities } = card;
        const record = { name, imported, format: mainFormat(formats), bytes, added: Date.now() };
        const id = await library.commit(copy, { ...record, content: identities?.content });
        desk.source = () => library.blob(id);
        dispatch("modelKept", { id });
      });
      await files.readLibrary();
    },
    deleteStored: ({ id, name }) => change(`${name} could not be deleted`, async () =>
      (await desk.library).remove(id)),
    /** Asks the browser not to clear the page's storage when it needs room. */
    askToPersist: () => change("The browser could not be asked", async () => {
      if (await desk.storage.persist()) return;
      raise(note("The browser promised nothing", "It may clear kept models when it needs room.",
        "Save important ones as files, or try again once you use this page more often."));
    }),
    /** Saves a kept package, or the open one, as it is or as "gguf" or "safetensors". */
    async savePackage(format, record) {
      const { name } = record ?? store.state.model;
      const stem = stemOf(name);
      if (format.startsWith("sl")) {
        await change(`${name} could not be saved`, async () =>
          saveBlob(await sourceOf(record), `${stem}.${format}`));
        return;
      }
      await jobs.runJob("export", `${stem} as ${format}`, async ({ onCard, ...options }) => {
        const kit = await desk.kit;
        const made = await kit.exportPackage(await sourceOf(record), format, options);
        for (const file of made.files) saveBlob(file.blob, file.name || `${stem}.${format}`);
        const { notes } = made.report;
        if (notes.length > 0) raise(note(`${stem} was saved with changes`, notes.join(" ")));
      });
    },
    /** Makes one adapter ("sla") or model ("slm") of the mix: kept here, and saved as a file. */
    async saveMix(ending) {
      const { name: model, card } = store.state.model;
      const totalBytes = card.file_bytes;
      const stem = `${stemOf(model)}-mix`;
      const name = `${stem}.${ending}`;
      await jobs.runJob("export", name, async ({ signal, pauser, onProgress }) => {
        const [kit, library, base] = await Promise.all([desk.kit, desk.library, desk.blob()]);
        const sink = await library?.create();
        const options = { name: stem, sink, signal, pauser,
          onProgress: ({ done, total }) => onProgress(
            { phase: "export", doneBytes: totalBytes * done / total, totalBytes }) };
        const isAdapter = ending === "sla";
        const mix = desk.mix.files();
        const { blob, report } = await (isAdapter
          ? kit.mergeAdapters(mix, { base, ...options }) : kit.bake(base, mix, options));
        if (sink) {
          const format = isAdapter ? "adapter" : mainFormat(card.formats);
          const { content, file_bytes: bytes } = report;
          sink.id = await library.commit(sink.id,
            { name, format, bytes, content, imported: null, added: Date.now() });
        }
        saveBlob(blob ?? await library.blob(sink.id), name);
      });
      await files.readLibrary();
    },
  };
}
