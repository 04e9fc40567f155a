/**
 * Draws at most once per frame however often the state changes, and still draws (slowly) in a
 * hidden tab, where animation frames stop.
 */

/** Longest wait for a draw when no frame comes. */
const HIDDEN_MS = 250;

/** Returns a function that asks for `draw` to be called soon, once. */
export function createFrame(draw) {
  let isAsked = false;
  return function ask() {
    if (isAsked) return;
    isAsked = true;
    const once = () => {
      if (!isAsked) return;
      isAsked = false;
      draw();
    };
    requestAnimationFrame(once);
    setTimeout(once, HIDDEN_MS);
  };
}
