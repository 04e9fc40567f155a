/**
 * Applies the chosen theme to the document and remembers it in this browser. Where storage is
 * refused (private windows) the choice simply lasts as long as the page.
 */

const KEY = "cultivar.theme";

/** `{ recall(), apply(theme) }`; `auto` follows the system. */
export function createThemeMemory() {
  let applied = null;
  return {
    recall() {
      try {
        return localStorage.getItem(KEY) ?? "auto";
      } catch {
        return "auto";
      }
    },
    apply(theme) {
      if (theme === applied) return;
      applied = theme;
      document.documentElement.dataset.theme = theme;
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // Not remembered; nothing else depends on it.
      }
    },
  };
}
