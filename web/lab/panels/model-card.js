/**
 * What a model says about itself, shown as soon as its head is read and before its weights are:
 * shape, formats, tokenizer, licence, identities and the memory it needs.
 */
import { memoryOf } from "../state/memory.js";
import { isOtherModel, shownCard } from "../state/selectors.js";
import { createCopyButton } from "../ui/copy-button.js";
import { el, setShown, setText } from "../ui/element.js";
import { createFactList } from "../ui/fact-list.js";
import { icon } from "../ui/icon.js";
import { createMemoryBar } from "../ui/memory-bar.js";
import { bytesText, countText, wholeText } from "../ui/quantity.js";

const SHORT_LEN = 12;
/** In one column the completion is what people want next, so the details start folded. */
const WIDE = "(min-width: 900px)";

export function createModelCard({ commands }) {
  const name = el("h2.card-name");
  const subtitle = el("p.card-subtitle");
  const loading = el("span.badge", { role: "status" });
  const facts = createFactList();
  const memory = createMemoryBar();
  const identities = createFactList("facts.identities");
  const idTitle = el("h3", {}, "Identities");
  const other = el("p.card-other", { role: "status" }, icon("note"), el("span", {},
    "The link was made with another model, so the text will differ from the one it promises."));
  const keep = el("button", { type: "button", onclick: () => commands.keepModel() },
    icon("save"), "Keep in this browser");
  const save = el("button", { type: "button", onclick: () => commands.savePackage("slm") },
    icon("save"), "Save .slm");
  const again = el("button", { type: "button", onclick: commands.importAgain });
  const from = el("p.field-hint");
  const actions = el("div.card-actions", {}, from, el("div.row", {}, keep, save, again));
  const isWide = window.matchMedia(WIDE).matches;
  const more = el("details.card-more", { open: isWide }, el("summary", {}, "Details"),
    facts.dom, idTitle, identities.dom);
  const dom = el("div.card", { hidden: true },
    el("header", {}, el("div", {}, name, subtitle), loading),
    memory.dom, more, other, actions);

  let isMixed = false;
  return {
    dom,
    update(state) {
      const shown = shownCard(state);
      setShown(dom, shown !== null);
      if (!shown) return;
      // Adapters are moved while one reads: they come up beside the text.
      const hasAdapters = state.mix.list.length > 0;
      if (hasAdapters && !isMixed) more.open = false;
      isMixed = hasAdapters;
      const { card, isLoading, imported = null } = shown;
      const { values } = state.settings;
      setText(name, card.name || shown.name);
      setText(subtitle, subtitleOf(card));
      setText(loading, isLoading ? "weights loading" : "");
      setShown(loading, isLoading);
      facts.show(factRows(card, shown.name));
      memory.show(memoryOf(card, values));
      const ids = card.identities ?? {};
      setShown(idTitle, Boolean(card.identities));
      identities.show(identityRows(ids), JSON.stringify(ids));
      setShown(other, isOtherModel(state));
      setShown(actions, !isLoading && state.intake.job === null);
      setShown(keep, state.library.list !== null && !shown.id);
      setShown(save, state.library.list === null && imported !== null);
      setShown(from, imported !== null);
      setShown(again, imported !== null && values.format !== imported.format);
      if (!imported) return;
      setText(from, `Imported from ${imported.from.join(", ")}.`);
      setText(again, `Import again as ${values.format === "keep" ? "stored" : values.format}`);
    },
  };
}

function subtitleOf(card) {
  const bytes = card.file_bytes ?? card.memory.weights_bytes;
  return `${countText(card.n_parameters)} parameters · ${bytesText(bytes)}`;
}

function factRows(card, fileName) {
  const formats = Object.entries(card.formats ?? {}).map(([format, n]) => `${format} × ${n}`);
  const { kind, vocab_size } = card.tokenizer ?? {};
  return [
    ["File", fileName],
    ["Architecture", card.architecture],
    ["Parameters", wholeText(card.n_parameters)],
    ["Tensors", formats.join(", ") || null],
    ["Context", `${wholeText(card.context_len)} tokens`],
    ["Tokenizer", kind ? `${kind.replaceAll("_", " ")}, ${wholeText(vocab_size)} tokens` : null],
    ["Licence", stated(card.license)],
    ["Source", stated(card.source)],
  ];
}

/** A plan of an import does not know yet; a package that says nothing says so. */
const stated = (text) => (text === undefined ? null : text || "not stated");

function identityRows(identities) {
  return Object.entries(identities).filter(([, hex]) => hex).map(([key, hex]) => {
    const label = key.replace("tensor_", "");
    const copy = createCopyButton({ label: `Copy ${label} identity`, textOf: () => hex });
    const short = el("code", { title: hex }, hex.slice(0, SHORT_LEN));
    return [label[0].toUpperCase() + label.slice(1), el("span.digest", {}, short, copy)];
  });
}
