/**
 * Commands that bring a model in: open a package or the demo, import the files of a foreign model
 * straight into the browser's storage. Files, packages and Blobs live here, never in the state.
 */
import { contentIdentity } from "../files/content-identity.js";
import { filesOfDrop } from "../files/dropped-files.js";
import { kindOfFile } from "../files/file-kind.js";
import { event } from "../state/events.js";
import { initialSettings } from "../state/settings.js";
import { isMemoryError, messageOfError, messageOfFile, note } from "./advice.js";
import { DEMO, fetchDemo } from "./demo.js";
import { packageName, sortAdapters, sortFiles } from "./sort-files.js";

/** `desk` is where the composition root keeps kit, library and open package; `jobs` runs jobs. */
export function createFileCommands({ store, desk, now, jobs }) {
  let kept = [];
  let lastSet = null; // The files last imported, kept for importing them in another format.

  const dispatch = (type, fields) => store.dispatch(event(type, fields));
  const raise = (message) => dispatch("messageRaised", { message });

  function keep(next, missing) {
    kept = next;
    const entries = kept.map(({ file, kind: { what, note: about } }) =>
      ({ name: file.name, bytes: file.size, note: about || what }));
    dispatch("filesKept", { kept: entries, missing });
  }

  /** Opens a package beside the open model; its job puts it in that one's place. */
  async function openSource(source, about, options) {
    const startedMs = now();
    const kit = await desk.kit;
    const opened = await kit.openPackage(source, options);
    const model = { imported: null, id: null, ...about, card: opened.card };
    return { opened, source, model: { ...model, load_ms: now() - startedMs } };
  }

  const openFile = (file, name) =>
    jobs.runJob("open", name, async (options) => {
      const source = await (file ?? fetchDemo(options));
      return openSource(source, { name }, options);
    });

  /** Converts a set into storage, range by range, and opens it from there. */
  async function importSet(set) {
    const { format } = store.state.settings.values;
    const files = set.map(({ file }) => file);
    const name = packageName(set, format);
    lastSet = set;
    await jobs.runJob("import", name, async (options) => {
      const [kit, library] = await Promise.all([desk.kit, desk.library]);
      const { signal, pauser, onProgress, onCard } = options;
      const sink = await library?.create();
      const record = { name, imported: { from: files.map((file) => file.name), format } };
      const onPlan = (plan) => {
        record.format = mainFormat(plan.formats);
        return onCard({ name, ...plan });
      };
      const made = await kit.importPackage(files, {
        format, signal, pauser, onProgress, onPlan, sink,
      });
      if (!library) return openSource(made, record, options);
      let { id } = sink;
      const commit = async (content) => {
        id = await library.commit(id, { ...record, content, bytes: made, added: Date.now() });
      };
      try {
        const opened = await openSource(() => library.blob(id), record, options);
        await commit(opened.model.card.identities?.content);
        opened.model.id = id;
        return opened;
      } catch (error) {
        // A package that is too large for now is whole all the same.
        if (isMemoryError(error)) await commit(await contentIdentity(await library.blob(id)));
        else await library.remove(id);
        throw error;
      }
    });
    await commands.readLibrary();
  }

  const commands = {
    /** Sorts files that were dropped or picked and does what they call for. */
    async openFiles(files) {
      if (files.length === 0) return;
      const entries = await Promise.all(files.map(readKind));
      for (const { file, problem } of entries.filter((entry) => entry.problem)) {
        raise(messageOfError(`${file.name} could not be read`, problem));
      }
      const record = entries.find(({ kind }) => kind?.kind === "record");
      if (record) {
        await desk.replay(record.file);
        return;
      }
      const { adapters, others } = sortAdapters(entries.filter((entry) => entry.kind));
      const sorted = sortFiles(others, kept);
      // What lies beside a model in its folder is nobody's mistake.
      const refused = sorted.open || sorted.set ? [] : sorted.refused;
      for (const { file, kind } of refused) raise(messageOfFile(file.name, kind));
      for (const { file } of sorted.ignored) {
        raise(note(`${file.name} was left out`, "One model is opened at a time."));
      }
      keep(sorted.kept, sorted.missing);
      if (sorted.open) await openFile(sorted.open.file, sorted.open.file.name);
      else if (sorted.set) await importSet(sorted.set);
      const [first] = [...adapters.packages, ...adapters.foreign.flat()];
      if (first && desk.opened) await desk.addAdapters(adapters);
      else if (first) raise(messageOfFile(first.name, { kind: "adapter", what: "an adapter" }));
    },
    /** Fetches and opens the demo; settings that nobody has touched become those of its run. */
    async openDemo() {
      const { name, settings } = DEMO;
      const isOpen = await openFile(null, name);
      if (isOpen && store.state.settings === initialSettings) {
        for (const [field, text] of Object.entries(settings)) {
          dispatch("settingChanged", { name: field, text });
        }
      }
      return isOpen;
    },
    /** Opens what a drop carries; must be called while the drop event is being handled. */
    async openDrop(transfer) {
      await commands.openFiles(await filesOfDrop(transfer));
    },
    /** Forgets the files that wait for others. */
    dropKept() {
      keep([], "");
    },
    /** Imports the last files once more, in the format chosen now. */
    async importAgain() {
      if (lastSet) await importSet(lastSet);
    },
    /** Opens a kept package without its file; an adapter is added to the open model. */
    async openStored({ id, name, imported, format }) {
      const library = await desk.library;
      if (format === "adapter") {
        await commands.openFiles([new File([await library.blob(id)], name)]);
        return;
      }
      await jobs.runJob("open", name, (options) =>
        openSource(() => library.blob(id), { name, imported, id }, options));
    },
    /** Lists what is kept, and the room there is. */
    async readLibrary() {
      const library = await desk.library;
      const { storage } = desk;
      const { usage, quota } = await storage?.estimate?.() ?? {};
      const room = quota
        ? { used_bytes: usage, free_bytes: quota - usage, isPersisted: await storage.persisted() }
        : null;
      dispatch("libraryRead", { list: await library?.list() ?? null, room });
    },
  };
  return commands;
}

/** The format of most matrices: vectors are always f32. */
export function mainFormat(formats) {
  const [first] = Object.entries(formats).sort(([a, n_a], [b, n_b]) =>
    (a === "f32") - (b === "f32") || n_b - n_a);
  return first[0];
}

/** A folder or a vanished file cannot be read; that is a message, not a crash. */
async function readKind(file) {
  try {
    return { file, kind: await kindOfFile(file) };
  } catch (problem) {
    return { file, problem };
  }
}
