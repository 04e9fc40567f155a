/**
 * Commands for what leaves and comes back as a file: replay records, sessions, diagnostics. A
 * record is computed again beside everything else and compared, never taken over.
 */
import { event } from "../state/events.js";
import { diagnosticsDocument, shownTurns } from "../state/selectors.js";
import { messageOfError, note } from "./advice.js";

/** Long enough for the browser to take over a Blob that it saves. */
const RELEASE_AFTER_MS = 60_000;

/** Saves a Blob where the person's downloads go; nothing leaves the machine. */
export function saveBlob(blob, name) {
  const href = URL.createObjectURL(blob);
  Object.assign(document.createElement("a"), { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), RELEASE_AFTER_MS);
}

/** On one line: a record is known by how it begins. */
const saveJson = (value, name) =>
  saveBlob(new Blob([JSON.stringify(value)], { type: "application/json" }), name);

export function createRecordCommands({ store, desk, live }) {
  const dispatch = (type, fields) => store.dispatch(event(type, fields));
  const raise = (message) => dispatch("messageRaised", { message });
  let stopper = null;

  return {
    /** Saves the record of the run on show; a redacted one holds only its prompts' hashes. */
    async saveRecord(redactPrompts) {
      const { session: { id }, run } = shownTurns(store.state);
      const session = live.of(id, run?.id);
      if (!session) {
        raise(note("There is no run to save", "Its session is no longer open.", "Run it again."));
        return;
      }
      try {
        const record = await session.record({ redactPrompts, steps: true });
        saveJson(record, `record-${record.run_digest.slice(0, 8)}.json`);
      } catch (error) {
        raise(messageOfError("The record was not saved", error));
      }
    },
    /**
     * Computes a record again; prompts that it leaves out are those of the chat on show, or what
     * is typed.
     */
    async replay(file) {
      stopper?.abort();
      const mine = new AbortController();
      stopper = mine;
      const { signal } = mine;
      try {
        const record = await readRecord(file);
        const n_total = record.turns.reduce((sum, { output_ids }) => sum + output_ids?.length, 0);
        if (!desk.opened) throw wrong("no model is open: open the one that it was made with");
        dispatch("replayStarted", { name: file.name, n_total });
        const { mode, prompt } = store.state.settings.values;
        const typed = await desk.opened.tokenize(prompt);
        const path = mode === "chat" ? shownTurns(store.state).path : [];
        const shown = path.flatMap(({ report }) => report ? [report.prompt_ids] : []);
        const replayed = await desk.opened.replay(record, {
          signal, prompts: record.turns.map((_, i) => shown.at(i - record.turns.length) ?? typed),
          onTokens: (n_steps) => mine === stopper && dispatch("replayStepped", { n_steps }),
        });
        if (mine === stopper) dispatch("replayEnded", { replayed });
      } catch (error) {
        if (mine === stopper) dispatch("replayFailed");
        if (!signal.aborted) raise(messageOfError(`${file.name} was not replayed`, error));
      }
    },
    stopReplay() {
      stopper?.abort();
    },
    /** Saves the session on show: its settings and all branches, with tokens and reports. */
    saveSession() {
      const { sessions, settings, model } = store.state;
      const { id, turns, tip } = shownTurns(store.state).session;
      const { name, identities } = model.card;
      const session = { schema: "cultivar.lab-session.v1", model: { name, ...identities },
        settings: settings.values, turns, tip };
      saveJson(session, `session-${id}-of-${sessions.list.length}.json`);
    },
    saveDiagnostics(withTexts) {
      saveJson(diagnosticsDocument(store.state, withTexts), "diagnostics.json");
    },
  };
}

const wrong = (message) => Object.assign(new Error(message), { kind: "record" });

/** Whether its fields are right the engine says; here it must be a record at all. */
async function readRecord(file) {
  const record = await file.text().then(JSON.parse).catch(() => null);
  if (!Array.isArray(record?.turns)) throw wrong("it is no replay record");
  return record;
}
