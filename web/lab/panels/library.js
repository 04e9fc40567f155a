/**
 * What is kept in this browser: open it again without its file, save it as a file, delete it, and
 * the room that the browser has for more.
 */
import { el, setChildren, setShown, setText } from "../ui/element.js";
import { bytesText } from "../ui/quantity.js";

const FORMATS = [["slm", "Save .slm"], ["gguf", "Save GGUF"], ["safetensors", "Save safetensors"]];

export function createLibrary({ commands }) {
  const list = el("ul.library-list");
  const room = el("p.field-hint");
  const persist = button("Ask the browser to keep them", commands.askToPersist);
  const title = el("h2");
  const dom = el("details.library", { hidden: true, open: true },
    el("summary", {}, title), list, room, persist);
  let hadModel = false;
  return {
    dom,
    update({ library, model, intake }) {
      const kept = library.list ?? [];
      setShown(dom, kept.length > 0);
      setText(title, `Kept in this browser (${kept.length})`);
      // Once there is a model, it and what it writes are what people want to see.
      if (hadModel !== (model !== null)) dom.open = hadModel;
      hadModel = model !== null;
      const isBusy = intake.job !== null;
      setChildren(list, JSON.stringify([kept, model?.id, isBusy]), () =>
        kept.map((record) => createRow(record, record.id === model?.id, isBusy, commands)));
      if (!library.room) return;
      const { used_bytes, free_bytes, isPersisted } = library.room;
      setText(room, `${bytesText(used_bytes)} used, about ${bytesText(free_bytes)} free. `
        + (isPersisted ? "The browser keeps them." : "The browser may clear them."));
      setShown(persist, !isPersisted);
    },
  };
}

const button = (words, onclick, label) =>
  el("button.quiet", { type: "button", onclick, "aria-label": label }, words);

function createRow(record, isOpen, isBusy, commands) {
  const { name, bytes, format, added } = record;
  const day = new Date(added).toLocaleDateString("sv"); // As in 2026-11-21, everywhere.
  const words = el("div", {}, el("strong", {}, name),
    el("p.field-hint", {}, `${bytesText(bytes)} · ${format} · ${day}`));
  if (isBusy) return el("li", {}, words);
  const open = el("button", {
    type: "button", "aria-label": `Open ${name}`, onclick: () => commands.openStored(record),
  }, "Open");
  const remove = () => {
    if (confirm(`Delete ${name} from this browser?`)) commands.deleteStored(record);
  };
  return el("li", {}, words, isOpen ? el("span.badge", {}, "open now") : open,
    el("details", {}, el("summary", { "aria-label": `More about ${name}` }, "More"),
      (format === "adapter" ? [["sla", "Save .sla"]] : FORMATS).map(([kind, verb]) =>
        button(verb, () => commands.savePackage(kind, record), `${verb}: ${name}`)),
      isOpen ? null : button("Delete", remove, `Delete ${name}`)));
}
