/**
 * Builds DOM nodes: the page's only way to make elements, so that text is never markup and no
 * inline style or script can appear (the page's CSP forbids both).
 */

/**
 * `el("button.primary", { type: "button", onclick }, "Run")`: a tag with classes, attributes or
 * `on…` listeners (a `false`, null or undefined value leaves the attribute out), then children.
 */
export function el(spec, attributes = {}, ...children) {
  const [tag, ...classes] = spec.split(".");
  const node = document.createElement(tag);
  if (classes.length > 0) node.className = classes.join(" ");
  setAttributes(node, attributes);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

function setAttributes(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
}

/** A node of a drawing, with its attributes. */
export function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAttributes(node, attributes);
  node.append(...children);
  return node;
}

/** Sets text only when it differs, so unchanged parts of the page are left alone. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Puts what `make()` answers into a node, only when `key` differs from the last time. */
export function setChildren(node, key, make) {
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  node.replaceChildren(...make());
}

/** Shows or hides a node. */
export function setShown(node, isShown) {
  node.hidden = !isShown;
}
