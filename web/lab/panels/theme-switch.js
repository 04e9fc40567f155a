/**
 * Chooses light, dark or the system's theme, applies the choice to the document and remembers it
 * in this browser. Where storage is refused (private windows) it lasts as long as the page.
 */
import { el } from "../ui/element.js";
import { event } from "../state/events.js";
import { withStorage } from "../ui/storage.js";

const THEMES = [["auto", "Auto"], ["light", "Light"], ["dark", "Dark"]];
const KEY = "cultivar.theme";

export function createThemeSwitch({ dispatch }) {
  const choose = (theme) => dispatch(event("themeChosen", { theme }));
  const radios = THEMES.map(([value]) => el("input", {
    type: "radio", name: "theme", value, id: `theme-${value}`, onchange: () => choose(value),
  }));
  const choices = radios.map((radio, idx) =>
    el("span.segment", {}, radio, el("label", { for: radio.id }, THEMES[idx][1])));
  const legend = el("legend.visually-hidden", {}, "Theme");
  const { dataset } = document.documentElement;
  let applied = withStorage((storage) => storage.getItem(KEY)) ?? "auto";
  choose(applied);
  return {
    dom: el("fieldset.segments", {}, legend, choices),
    update({ theme }) {
      for (const radio of radios) radio.checked = radio.value === theme;
      dataset.theme = theme;
      if (theme !== applied) withStorage((storage) => storage.setItem(KEY, theme));
      applied = theme;
    },
  };
}
