/**
 * The store: one state value, changed only by dispatching an event through a pure reducer. Like
 * CodeMirror's, it knows nothing that draws it. A listener that dispatches is served after the
 * current event, never inside it.
 */

/** Makes a store from a reducer `(state, event) -> state` and the state to start from. */
export function createStore(reduce, initial) {
  const listeners = new Set();
  const queue = [];
  let state = initial;
  let draining = false;

  function drain() {
    draining = true;
    try {
      while (queue.length > 0) {
        const next = reduce(state, queue.shift());
        if (next === state) continue;
        state = next;
        for (const listener of [...listeners]) listener(state);
      }
    } finally {
      draining = false;
    }
  }

  return {
    get state() {
      return state;
    },
    dispatch(event) {
      queue.push(event);
      if (!draining) drain();
    },
    /** Calls `listener(state)` after every change; returns the function that ends it. */
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
