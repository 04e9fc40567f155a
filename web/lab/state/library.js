/**
 * The library slice: packages kept in this browser as the storage last listed them, and the room
 * it has. `list` is null where this browser keeps nothing for the page.
 */

/** `room` is `{ used_bytes, free_bytes, isPersisted }`, null where the browser does not say. */
export const initialLibrary = Object.freeze({ list: null, room: null });

/** State after one event. */
export function reduceLibrary(library, event) {
  if (event.type !== "libraryRead") return library;
  return { list: event.list, room: event.room };
}
