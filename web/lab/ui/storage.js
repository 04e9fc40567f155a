/** The browser's small storage, where it may be refused (private windows). */

/** What `use(localStorage)` answers; null where the browser refuses storage. */
export function withStorage(use) {
  try {
    return use(localStorage);
  } catch {
    return null;
  }
}
