/**
 * The settings slice: the last valid value of every row of the table, and beside it what is
 * typed but not valid. A run uses `values` only, and only when `invalid` is empty.
 */
import { SETTINGS, parseSetting, settingRow } from "./setting-table.js";
import { readFragment } from "./url.js";

/** Every row at its initial value; `linkWeights` is the model a link was made with, or null. */
export const initialSettings = Object.freeze({
  values: Object.freeze(Object.fromEntries(SETTINGS.map((row) => [row.name, row.initial]))),
  invalid: Object.freeze({}),
  linkWeights: null,
});

/** State after one event. */
export function reduceSettings(settings, event) {
  switch (event.type) {
    case "settingChanged":
      return change(settings, event.name, event.text);
    case "linkRead": {
      const link = readFragment(event.fragment);
      if (!link.present) return settings;
      return {
        values: { ...initialSettings.values, ...link.values },
        invalid: {},
        linkWeights: link.weights,
      };
    }
    case "presetChosen":
      return { ...settings, values: { ...settings.values, ...event.values }, invalid: {} };
    default:
      return settings;
  }
}

function change(settings, name, text) {
  const row = settingRow(name);
  if (!row) return settings;
  const { value, problem } = parseSetting(row, text);
  const invalid = { ...settings.invalid };
  delete invalid[name];
  if (problem) return { ...settings, invalid: { ...invalid, [name]: { text, problem } } };
  return { ...settings, values: { ...settings.values, [name]: value }, invalid };
}
