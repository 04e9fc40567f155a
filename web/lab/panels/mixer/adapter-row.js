/**
 * One adapter of the mix: what it is, its weight as slider and number, mute, solo, its place by
 * pointer or arrow keys, and how it fits the model.
 */
import { event } from "../../state/events.js";
import { effectiveWeight, mixKey, parseWeight } from "../../state/mix.js";
import { el, setShown, setText } from "../../ui/element.js";
import { icon } from "../../ui/icon.js";
import { bytesText } from "../../ui/quantity.js";
import { createFitList } from "./fit-list.js";

/** `place(id, to)` moves it within `list`, the element of all rows. */
export function createAdapterRow(id, { dispatch, commands, place }, list) {
  let now = null;
  const change = (fields) => dispatch(event("adapterChanged", { id, change: fields }));
  const handle = el("button.icon-button.grip", {
    type: "button", onkeydown: onKey, onpointerdown: onGrab,
  }, icon("grip"));
  const name = el("strong.adapter-name");
  const toggle = (words, field) => el("button.toggle", {
    type: "button", onclick: () => change({ [field]: !now[field] }),
  }, words);
  const mute = toggle("Mute", "isMuted");
  const solo = toggle("Solo", "isSolo");
  const remove = el("button.icon-button", {
    type: "button", onclick: () => commands.removeAdapter(id),
  }, icon("close"));
  const slider = el("input.weight", {
    type: "range", min: -2, max: 2, step: 0.05,
    oninput: () => change({ weight: Number(slider.value), typed: null }),
  });
  const number = el("input.weight-number", {
    type: "text", inputmode: "decimal", autocomplete: "off", oninput: onType,
  });
  const facts = el("p.field-hint");
  const other = el("p.field-hint.adapter-other", {}, "Made for other weights of the same form.");
  const fields = createFitList();
  const fit = el("details.more", { ontoggle: () => commands.watchFit(id, fit.open) },
    el("summary", {}, "How it fits"), fields.dom);
  const dom = el("li.adapter", {}, el("div.adapter-head", {}, handle, name, mute, solo, remove),
    el("div.adapter-weight", {}, slider, number), facts, other, fit);

  function onType() {
    const weight = parseWeight(number.value);
    change(weight === null ? { typed: number.value } : { weight, typed: null });
  }
  function onKey(key) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[key.key];
    if (!step) return;
    key.preventDefault();
    place(id, now.idx + step);
  }
  function onGrab(grab) {
    grab.preventDefault();
    handle.focus();
    const end = new AbortController();
    const { signal } = end;
    window.addEventListener("pointermove", ({ clientY }) => {
      const above = [...list.children].filter((row) => {
        const { top, height } = row.getBoundingClientRect();
        return row !== dom && top + height / 2 < clientY;
      });
      place(id, above.length);
    }, { signal });
    for (const type of ["pointerup", "pointercancel"]) {
      window.addEventListener(type, () => end.abort(), { signal });
    }
  }
  return {
    dom,
    handle,
    update(adapter, { idx, list: all, model }) {
      now = { ...adapter, idx };
      const { card, report } = adapter;
      setText(name, adapter.name);
      const label = (node, words) => {
        node.setAttribute("aria-label", words);
        if (node !== slider) node.title = words;
      };
      label(handle, `Move ${adapter.name}, ${idx + 1} of ${all.length}: arrow keys`);
      label(remove, `Remove ${adapter.name}`);
      label(slider, `Weight of ${adapter.name}`);
      label(number, `Weight of ${adapter.name}, any number`);
      label(mute, `Mute ${adapter.name}`);
      label(solo, `Solo ${adapter.name}`);
      mute.setAttribute("aria-pressed", String(adapter.isMuted));
      solo.setAttribute("aria-pressed", String(adapter.isSolo));
      if (Number(slider.value) !== adapter.weight) slider.value = adapter.weight;
      const isTyping = document.activeElement === number
        && parseWeight(number.value) === adapter.weight;
      const text = adapter.typed ?? String(adapter.weight);
      if (number.value !== text && !isTyping) number.value = text;
      number.setAttribute("aria-invalid", String(adapter.typed !== null));
      dom.dataset.silent = effectiveWeight(all, adapter) === 0;
      setText(facts, factsOf(card));
      const made = card.binding.weights;
      setShown(other, Boolean(made) && made !== model.card.identities.weights);
      fields.show(report?.key === mixKey(all) && report.fields);
    },
  };
}

function factsOf({ deltas, file_bytes }) {
  const kinds = new Set(deltas.map(({ kind }) => kind));
  const ranks = deltas.map(({ rank }) => rank).filter(Boolean);
  const [low, high] = [Math.min(...ranks), Math.max(...ranks)];
  if (kinds.delete("low_rank")) kinds.add(low === high ? `rank ${low}` : `rank ${low} to ${high}`);
  const tensors = deltas.length === 1 ? "1 tensor" : `${deltas.length} tensors`;
  return [...kinds, tensors, bytesText(file_bytes)].join(" · ");
}
