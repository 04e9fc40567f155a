/**
 * The mixer: adapters of the open model in order, what the mix is called, and what can be done
 * with it. With no adapter it is one line that says how to add some. It folds; in one column it
 * starts folded, because there it stands above what is written.
 */
import { event } from "../../state/events.js";
import { isRunning } from "../../state/selectors.js";
import { createCopyButton } from "../../ui/copy-button.js";
import { el, setChildren, setShown, setText } from "../../ui/element.js";
import { createAdapterRow } from "./adapter-row.js";
import { createRefusedRow } from "./refused-row.js";

const SHORT_LEN = 12;
/** Room for adapters beside or above what they write. */
const ROOMY = "(min-width: 600px)";

export function createMixer({ dispatch, commands }) {
  const rows = new Map(); // adapter id → row
  const list = el("ol.mix");
  const hex = el("code");
  const assembly = el("p.assembly", {}, el("span.label", {}, "Assembly"), hex,
    createCopyButton({ label: "Copy assembly identity", textOf: () => hex.title }));
  const button = (words, title, onclick) => el("button", { type: "button", title, onclick }, words);
  const save = (what, ending) => button(`Save mix as ${what}`,
    "Kept in this browser and saved as a file", () => commands.saveMix(ending));
  const reread = button("Re-read prompt",
    "Read the running text again with the weights as they are now", commands.reread);
  const compare = button("Compare with base", "Same prompt and seed, side by side",
    commands.compare);
  const hint = el("p.field-hint", {}, "Drop .sla files, PEFT folders or GGUF LoRA files.");
  const demo = el("button", { type: "button", id: "demo-adapters",
    onclick: commands.addDemoAdapters }, "Add the demo adapters");
  const wanted = el("p.field-hint", { role: "status" });
  const controls = el("div.mix-actions", {}, compare, reread,
    save("adapter", "sla"), save("model", "slm"));
  const refused = el("ul.mix");
  const title = el("h2");
  const fold = el("details.mix-fold", { open: true }, el("summary", {}, title), list, controls,
    refused, wanted, hint, demo);
  const dom = el("div.mixer", { hidden: true }, fold, assembly);
  const context = { dispatch, commands, place };
  let state = null;
  let wasEmpty = true;

  /** Moves an adapter to a place, if there is one; the keyboard stays on its handle. */
  function place(id, to) {
    const { list: now } = state.mix;
    if (to < 0 || to >= now.length || now[to].id === id) return;
    dispatch(event("adapterMoved", { id, to }));
    requestAnimationFrame(() => rows.get(id)?.handle.focus());
  }

  function layOut(adapters) {
    const shown = adapters.map(({ id }) => {
      if (!rows.has(id)) rows.set(id, createAdapterRow(id, context, list));
      return rows.get(id).dom;
    });
    const isSame = shown.length === list.children.length
      && shown.every((node, idx) => node === list.children[idx]);
    if (!isSame) list.replaceChildren(...shown);
    for (const id of rows.keys()) if (!adapters.some((one) => one.id === id)) rows.delete(id);
  }
  return {
    dom,
    update(next) {
      state = next;
      const { mix, model } = next;
      setShown(dom, Boolean(model));
      layOut(mix.list);
      for (const [idx, one] of mix.list.entries()) {
        rows.get(one.id).update(one, { idx, list: mix.list, model });
      }
      const isEmpty = mix.list.length === 0;
      setText(title, isEmpty ? "Adapters" : `Adapters (${mix.list.length})`);
      if (isEmpty !== wasEmpty) fold.open = isEmpty || window.matchMedia(ROOMY).matches;
      wasEmpty = isEmpty;
      setChildren(refused, mix.refused.map(({ id }) => id).join(), () =>
        mix.refused.map((one) => createRefusedRow(one, context)));
      setShown(refused, mix.refused.length > 0);
      setShown(list, !isEmpty);
      setShown(controls, !isEmpty);
      hex.title = mix.assembly ?? "";
      setText(hex, hex.title.slice(0, SHORT_LEN));
      reread.setAttribute("aria-disabled", String(!isRunning(next) && !mix.comparison?.isRunning));
      const isThere = ([id]) => mix.list.some(({ card }) => card.weights.startsWith(id));
      const missing = mix.wanted.filter((row) => !isThere(row)).map(([id]) => id);
      setText(wanted, missing.length > 0 ? `The link’s mix also has ${missing.join(", ")}.` : "");
      setShown(wanted, missing.length > 0);
      setShown(demo, isEmpty && commands.isDemo());
    },
  };
}
