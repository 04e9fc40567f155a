/**
 * Commands that bring a model in: open a package or the demo, import a pair, stop, save. A new
 * model replaces the open one only when it is wholly there; a failure raises a message and
 * changes nothing else. Files, packages and Blobs live here, never in the state.
 */
import { filesOfDrop } from "../files/dropped-files.js";
import { kindOfFile } from "../files/file-kind.js";
import { event } from "../state/events.js";
import { initialSettings } from "../state/settings.js";
import { messageOfError, messageOfFile, note } from "./advice.js";
import { DEMO, fetchDemo } from "./demo.js";
import { saveBlob } from "./records.js";
import { packageName, sortFiles } from "./sort-files.js";

/** `desk` is where the composition root keeps the kit and the open package. */
export function createFileCommands({ store, desk, now }) {
  let kept = {};
  let source = null; // The pair last imported, kept for importing it in another format.
  let stopper = null;

  const dispatch = (type, fields) => store.dispatch(event(type, fields));
  const raise = (message) => dispatch("messageRaised", { message });

  function keep(next) {
    kept = next;
    const entries = Object.entries(kept).map(([role, { file, kind }]) => [
      role, { name: file.name, bytes: file.size, note: kind.note },
    ]);
    dispatch("filesKept", { kept: Object.fromEntries(entries) });
  }

  /** Runs one job with its progress, stop and failure; `work(options)` does it. True if done. */
  async function runJob(kind, name, work) {
    stopper?.abort();
    const mine = new AbortController();
    stopper = mine;
    const isMine = () => stopper === mine;
    dispatch("jobStarted", { kind, name, ms: now() });
    const onProgress = (progress) => {
      if (isMine()) dispatch("jobProgressed", { progress, ms: now() });
    };
    const onCard = (card) => {
      if (isMine()) dispatch("jobCardRead", { card });
    };
    try {
      const { opened, blob, model } = await work({ signal: mine.signal, onProgress, onCard });
      await desk.settle();
      if (mine.signal.aborted) {
        await opened.close();
        throw new DOMException("stopped", "AbortError");
      }
      // Nothing can come between these two: the desk and the state change as one.
      desk.replace(opened, blob, name);
      dispatch("modelOpened", { model });
      return true;
    } catch (error) {
      if (isMine()) dispatch("jobEnded");
      const verb = kind === "import" ? "imported" : "opened";
      const isStop = error.name === "AbortError";
      if (isStop && isMine()) raise(note(`${name} was not ${verb}`, "You stopped it."));
      if (!isStop) raise(messageOfError(`${name} could not be ${verb}`, error));
      return false;
    } finally {
      if (isMine()) stopper = null;
    }
  }

  /** Opens a Blob beside the open model; `runJob` puts it in that one's place. */
  async function openBlob(blob, name, imported, options) {
    const startedMs = now();
    const kit = await desk.kit;
    const opened = await kit.openPackage(blob, options);
    const model = { name, card: opened.card, load_ms: now() - startedMs, imported };
    return { opened, blob, model };
  }

  async function importPair(pair) {
    const { format } = store.state.settings.values;
    source = pair;
    const files = [pair.checkpoint.file, pair.tokenizer.file];
    const name = packageName(files[0].name, format);
    await runJob("import", name, async (options) => {
      const kit = await desk.kit;
      const { signal, onProgress } = options;
      const blob = await kit.importPackage(files, { format, signal, onProgress });
      const imported = { from: files.map((file) => file.name), format, bytes: blob.size };
      return openBlob(blob, name, imported, options);
    });
  }

  return {
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
      const sorted = sortFiles(entries.filter((entry) => entry.kind), kept);
      for (const { file, kind } of sorted.refused) raise(messageOfFile(file.name, kind));
      for (const { file } of sorted.ignored) {
        raise(note(`${file.name} was left out`, "One model is opened at a time."));
      }
      keep(sorted.kept);
      if (sorted.open) {
        const { file } = sorted.open;
        await runJob("open", file.name, (options) => openBlob(file, file.name, null, options));
      } else if (sorted.pair) {
        await importPair(sorted.pair);
      }
    },
    /** Fetches and opens the demo; settings that nobody has touched become those of its run. */
    async openDemo() {
      const { name, settings } = DEMO;
      const isOpen = await runJob("open", name, async (options) =>
        openBlob(await fetchDemo(options), name, null, options));
      if (isOpen && store.state.settings === initialSettings) {
        for (const [field, text] of Object.entries(settings)) {
          dispatch("settingChanged", { name: field, text });
        }
      }
      return isOpen;
    },
    /** Opens what a drop carries; must be called while the drop event is being handled. */
    async openDrop(transfer) {
      const files = await filesOfDrop(transfer);
      await this.openFiles(files);
    },
    dropKept(role) {
      const { [role]: _, ...rest } = kept;
      keep(rest);
    },
    stopJob() {
      stopper?.abort();
    },
    /** Imports the last pair once more, in the format chosen now. */
    async importAgain() {
      if (source) await importPair(source);
    },
    /** Saves the open package as a file. */
    savePackage() {
      if (desk.blob) saveBlob(desk.blob, desk.name);
    },
  };
}

/** A folder or a vanished file cannot be read; that is a message, not a crash. */
async function readKind(file) {
  try {
    return { file, kind: await kindOfFile(file) };
  } catch (problem) {
    return { file, problem };
  }
}
