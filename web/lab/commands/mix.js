/**
 * The mix behind the page: open adapters with the files that they came from, and the sessions that
 * run with them. Whatever changes, a weight, the order, one adapter more or less, reaches every
 * running session at its next token.
 */
import { event } from "../state/events.js";
import { effectiveWeight } from "../state/mix.js";
import { sessionSettings } from "../state/setting-table.js";
import { messageOfError } from "./advice.js";
import { DEMO, fetchDemoAdapters } from "./demo.js";
import { createFit } from "./fit.js";

export function createMixCommands({ store, desk }) {
  /** What the state's adapters stand for: id → `{ adapter, blob }`. */
  const open = new Map();
  /** Running sessions: session → `{ key, mix }`; no key once its mix has changed on the way. */
  const running = new Map();
  let nextId = 1;
  let comparing = null;
  let asked = "";
  let askedOf = null;
  const dispatch = (type, fields) => store.dispatch(event(type, fields));
  const raise = (title, error) =>
    dispatch("messageRaised", { message: messageOfError(title, error) });

  /** The mix now, adapters as `what` gives them: `[{ id, weight, adapter }]`. */
  const mixOf = (what) => {
    const { list } = store.state.mix;
    return list.filter(({ id }) => open.has(id)).map((one) => (
      { id: one.id, weight: effectiveWeight(list, one), adapter: open.get(one.id)[what] }));
  };
  const keyOf = (mix = mixOf("adapter")) =>
    JSON.stringify(mix.map(({ id, weight }) => [id, weight]));

  const fit = createFit({ store, desk, blobOf: (id) => open.get(id).blob });

  store.subscribe(({ model, mix }) => {
    for (const id of open.keys()) {
      if (!mix.list.some((one) => one.id === id)) open.delete(id);
    }
    const now = keyOf();
    if (!model || (now === asked && model === askedOf)) return;
    [asked, askedOf] = [now, model];
    for (const session of running.keys()) tell(session);
    tellAssembly(model, now);
  });

  /** Lets a running session have the mix as it is now. */
  function tell(session) {
    const entry = running.get(session);
    const { mix: before } = entry;
    const mix = (entry.mix = mixOf("adapter"));
    if (keyOf(before) === keyOf(mix)) return;
    entry.key = null;
    const isReweighed = String(before.map(({ id }) => id)) === String(mix.map(({ id }) => id));
    const told = isReweighed ? mix.map(({ weight }, idx) =>
      weight !== before[idx].weight && session.setWeight(idx, weight)) : [session.setAdapters(mix)];
    Promise.all(told).catch((error) => {
      if (running.has(session)) raise("The running mix was not changed", error);
    });
  }

  async function tellAssembly(model, key) {
    const assembly = await desk.opened.assembly(mixOf("adapter")).catch(() => null);
    if (key === asked && store.state.model === model) dispatch("assemblyKnown", { assembly });
  }

  /** One .sla as `make()` gives its Blob. */
  async function add(name, make) {
    let blob = null;
    try {
      blob = await make();
      const adapter = await desk.opened.openAdapter(blob);
      const id = nextId++;
      open.set(id, { adapter, blob });
      const { card } = adapter;
      dispatch("adapterOpened", { adapter: {
        id, card, name: card.name || name, weight: 1, typed: null,
        isMuted: false, isSolo: false, report: null,
      } });
    } catch (error) {
      raise(`${name} was not added`, error);
      const fields = blob && await fit.fieldsOfRefused(blob);
      if (fields) dispatch("adapterRefused", { refused: { id: nextId++, name, fields } });
    }
  }

  /** Foreign files with their base become one .sla: two by their folder's name, one by its own. */
  function addForeign(files) {
    const name = files[1]?.folder ?? files[0].name.replace(/\.[^.]*$/, "");
    return add(name, async () => {
      const kit = await desk.kit;
      return (await kit.importAdapter(files, { base: await desk.blob(), name })).blob;
    });
  }

  async function compare() {
    comparing?.abort();
    const mine = (comparing = new AbortController());
    const { values } = store.state.settings;
    dispatch("comparisonChanged", { comparison: {
      prompt: values.prompt, isRunning: true, base: "", mix: "", digests: null,
    } });
    const write = async (side, mix) => {
      const session = await desk.opened.createSession(sessionSettings(values), mix);
      if (side === "mix") follow(session, mix);
      try {
        let text = "";
        for await (const token of session.generate(values.prompt, { signal: mine.signal })) {
          text += token.text;
          if (mine === comparing) dispatch("comparisonChanged", { comparison: { [side]: text } });
        }
        return (await session.report()).run_digest;
      } finally {
        leave(session);
        session.close().catch(() => {});
      }
    };
    try {
      const [base, mix] = await Promise.all([write("base", []), write("mix", mixOf("adapter"))]);
      const digests = { base, mix };
      if (mine === comparing) dispatch("comparisonChanged", { comparison: { digests } });
    } catch (error) {
      if (error.name !== "AbortError") raise("The comparison failed", error);
    }
    if (mine === comparing && store.state.mix.comparison) {
      dispatch("comparisonChanged", { comparison: { isRunning: false } });
    }
  }

  function follow(session, mix) {
    running.set(session, { key: keyOf(mix), mix });
    tell(session);
  }
  function leave(session) {
    const key = running.get(session)?.key ?? null;
    running.delete(session);
    return key;
  }

  /** Adapters that count, as files with their weights. */
  const files = () => mixOf("blob").filter(({ weight }) => weight !== 0)
    .map(({ weight, adapter }) => ({ adapter, weight }));

  return {
    /**
     * What sessions are made with: `adapters()`, `key()`, `follow(session, adapters)` with those
     * that it was made with, `leave(session)`; and `files()`, of which a mix is saved.
     */
    mix: { adapters: () => mixOf("adapter"), key: keyOf, follow, leave, files },
    /** Adds what was dropped: .sla files, and groups of foreign files. */
    async addAdapters({ packages, foreign }) {
      for (const file of packages) await add(file.name, () => file);
      for (const group of foreign) await addForeign(group);
    },
    isDemo: () => store.state.model?.name === DEMO.name,
    async addDemoAdapters() {
      try {
        for (const group of await fetchDemoAdapters()) await addForeign(group);
      } catch (error) {
        raise("The demo adapters were not added", error);
      }
    },
    removeAdapter(id) {
      open.get(id)?.adapter.close();
      dispatch("adapterRemoved", { id });
    },
    /** Lets running sessions read everything again with the weights as they are. */
    reread() {
      for (const session of running.keys()) session.reread().catch(() => {});
    },
    compare,
    stopComparing() {
      comparing?.abort();
      comparing = null;
      dispatch("comparisonChanged", { comparison: null });
    },
    watchFit: fit.watchFit,
  };
}
