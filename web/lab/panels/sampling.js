/**
 * Settings of the session on show: presets, the common fields in the open, the others folded.
 * Saved presets are kept in this browser; where storage is refused they last as long as the page.
 */
import { event } from "../state/events.js";
import { PAGE_PRESETS, presetNameOf } from "../state/presets.js";
import { SETTINGS } from "../state/setting-table.js";
import { el, setChildren, setShown, setText } from "../ui/element.js";
import { createSettingField } from "../ui/setting-field.js";
import { withStorage } from "../ui/storage.js";

const KEY = "cultivar.presets";

/** Fields on show only where another setting gives them a meaning. */
const SHOWN_IF = {
  rules: ({ constrain }) => ["json_schema", "gbnf"].includes(constrain),
  system: ({ mode }) => mode === "chat",
};

export function createSampling({ dispatch }) {
  const rows = SETTINGS.filter(({ scope, group }) => scope === "run" || group && group !== "watts");
  const fields = rows.map((row) => [row, createSettingField(row, (name, text) =>
    dispatch(event("settingChanged", { name, text })))]);
  const doms = (group) =>
    fields.filter(([row]) => row.group === group).map(([, field]) => field.dom);
  const presets = createPresets(dispatch);
  const system = doms("chat");
  const more = el("details.more", {}, el("summary", {}, "More settings"),
    el("h3", {}, "Sampling"), el("div.settings", {}, doms("sampler")),
    el("h3", {}, "Session"), el("div.settings", {}, doms("more")));
  const dom = el("section.sampling", { "aria-label": "Settings" }, system, presets.dom,
    el("div.settings", {}, doms(undefined)), more);
  let kept = null;

  return {
    dom,
    update(state) {
      const { settings, presets: saved } = state;
      for (const [row, field] of fields) {
        field.update(settings);
        setShown(field.dom, SHOWN_IF[row.name]?.(settings.values) ?? true);
        if (row.group && settings.invalid[row.name]) more.open = true;
      }
      presets.update(saved, settings.values);
      if (kept === null) {
        const text = withStorage((storage) => storage.getItem(KEY));
        kept = saved;
        dispatch(event("presetsRead", { presets: parse(text) }));
      } else if (saved !== kept) {
        kept = saved;
        withStorage((storage) => storage.setItem(KEY, JSON.stringify(saved)));
      }
    },
  };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Choose a preset, save the values as one, remove one that was saved. */
function createPresets(dispatch) {
  let saved = {};
  const choice = el("select", { id: "preset", onchange: choose });
  const name = el("input", {
    type: "text", id: "preset-name", maxlength: 40, autocomplete: "off",
    onkeydown: (key) => {
      if (key.key === "Enter") keep();
    },
  });
  const save = el("button", { type: "button", onclick: keep }, "Save preset");
  const remove = el("button.quiet", {
    type: "button",
    onclick: () => dispatch(event("presetRemoved", { name: choice.value })),
  }, "Remove preset");
  const form = el("div.row", {}, el("label", { for: name.id }, "Save as"), name, save);
  const dom = el("div.presets.row", {}, el("label", { for: choice.id }, "Preset"), choice, remove,
    form);

  function choose() {
    const values = PAGE_PRESETS[choice.value] ?? saved[choice.value];
    if (values) dispatch(event("presetChosen", { values }));
  }
  function keep() {
    dispatch(event("presetSaved", { name: name.value }));
    name.value = "";
  }
  return {
    dom,
    update(presets, values) {
      saved = presets;
      const names = [...Object.keys(PAGE_PRESETS), ...Object.keys(saved)];
      setChildren(choice, JSON.stringify(names), () => [el("option", { value: "" }, "Custom"),
        ...names.map((one) => el("option", { value: one }, one))]);
      const current = presetNameOf(saved, values);
      choice.value = current;
      setShown(remove, Boolean(saved[current]));
      setShown(form, current === "");
    },
  };
}
