/**
 * Presets of the sampler: those of the page and those a person saved, by name. A preset is the
 * values of the rows that `isOfPreset` names, all of them; nothing else of the settings.
 */
import { SETTINGS, isOfPreset, parseSetting } from "./setting-table.js";

const ROWS = SETTINGS.filter(isOfPreset);
const preset = (values) => ({
  ...Object.fromEntries(ROWS.map(({ name, initial }) => [name, initial])), ...values,
});

export const PAGE_PRESETS = Object.freeze({
  Greedy: preset({}),
  Balanced: preset({ temperature: 0.7 }),
  Creative: preset({ temperature: 1.1, top_k: 200, top_p: 1, min_p: 0.05 }),
  JSON: preset({ constrain: "json" }),
});

/** Saved presets by name. */
export const initialPresets = Object.freeze({});

/** State after one event; `values` are those of the current settings. */
export function reducePresets(presets, event, values) {
  switch (event.type) {
    case "presetsRead":
      return readPresets(event.presets);
    case "presetSaved": {
      const name = event.name.trim().slice(0, 40);
      if (!name || PAGE_PRESETS[name]) return presets;
      return { ...presets, [name]: Object.fromEntries(ROWS.map((row) =>
        [row.name, values[row.name]])) };
    }
    case "presetRemoved": {
      const { [event.name]: _, ...rest } = presets;
      return rest;
    }
    default:
      return presets;
  }
}

/** Name of the preset with exactly these values, or "". */
export function presetNameOf(presets, values) {
  const all = Object.entries({ ...PAGE_PRESETS, ...presets });
  const found = all.find(([, set]) => ROWS.every(({ name }) => set[name] === values[name]));
  return found ? found[0] : "";
}

/** What a browser kept, row by row; what is not valid becomes the row's initial value. */
function readPresets(kept) {
  const entries = Object.entries(kept ?? {}).filter(([name]) => !PAGE_PRESETS[name]);
  return Object.fromEntries(entries.map(([name, values]) => [name, preset(
    Object.fromEntries(ROWS.flatMap((row) => {
      const { value } = parseSetting(row, String(values?.[row.name] ?? ""));
      return value === undefined ? [] : [[row.name, value]];
    })))]));
}
