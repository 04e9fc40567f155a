/** Chooses light, dark or the system's theme; the choice is applied by the composition root. */
import { el } from "../ui/element.js";
import { event } from "../state/events.js";

const THEMES = [["auto", "Auto"], ["light", "Light"], ["dark", "Dark"]];

export function createThemeSwitch({ dispatch }) {
  const radios = THEMES.map(([value]) => el("input", {
    type: "radio", name: "theme", value, id: `theme-${value}`,
    onchange: () => dispatch(event("themeChosen", { theme: value })),
  }));
  const choices = radios.map((radio, idx) =>
    el("span.segment", {}, radio, el("label", { for: radio.id }, THEMES[idx][1])));
  const legend = el("legend.visually-hidden", {}, "Theme");
  const dom = el("fieldset.segments", {}, legend, choices);
  return {
    dom,
    update({ theme }) {
      for (const radio of radios) radio.checked = radio.value === theme;
    },
  };
}
