/**
 * The mix slice: the adapters of the open model in order, with their weights, and the comparison
 * with the base. Plain data; adapters themselves live with the commands. What a link asks for
 * waits in `wanted` until adapters of those identities are there; what did not fit is in `refused`.
 */

export const initialMix = Object.freeze({
  list: Object.freeze([]), refused: Object.freeze([]), assembly: null,
  wanted: Object.freeze([]), comparison: null,
});

/** Identities in a link: 64 bits tell adapters apart. */
const IDENTITY_LEN = 16;

/** Of more adapters that did not fit, the last are shown. */
const REFUSED_MAX = 8;

/** A real number as people write one, or null. */
export function parseWeight(text) {
  const isNumber = /^\s*[-+−]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*$/i.test(text);
  const value = isNumber ? Number(text.replace("−", "-")) : NaN;
  return Number.isFinite(Math.fround(value)) ? value : null;
}

/** The weight that counts: 0 for what is muted, or not soloed while another is. */
export function effectiveWeight(list, { weight, isMuted, isSolo }) {
  return isMuted || (!isSolo && list.some((one) => one.isSolo)) ? 0 : weight;
}

/** What tells one mix from another: adapters in order, with the weights that count. */
export const mixKey = (list) =>
  JSON.stringify(list.map((one) => [one.id, effectiveWeight(list, one)]));

/** `IDENTITY*WEIGHT,…` for a link: those that are there, or those that a link asked for. */
export function mixText({ list, wanted }) {
  const rows = list.length > 0
    ? list.map((one) => [one.card.weights, effectiveWeight(list, one)]) : wanted;
  return rows.map(([id, weight]) => `${id.slice(0, IDENTITY_LEN)}*${weight}`).join(",");
}

/** The reverse: `[[identity, weight], …]`; what cannot be read is left out. */
function readMix(fragment) {
  const text = new URLSearchParams(fragment.replace(/^#/, "")).get("mix") ?? "";
  const rows = text.split(",").map((row) => row.split("*"));
  return rows.map(([id, weight]) => [id, parseWeight(weight ?? "")])
    .filter(([id, weight]) => /^[0-9a-f]{8,64}$/.test(id) && weight !== null);
}

/** State after one event. */
export function reduceMix(mix, event) {
  switch (event.type) {
    case "modelOpened":
      return { ...initialMix, wanted: mix.wanted };
    case "linkRead": {
      const wanted = readMix(event.fragment);
      return { ...mix, wanted, list: mix.list.map((one) => asWanted(one, wanted)) };
    }
    case "adapterOpened": {
      const list = [...mix.list, asWanted(event.adapter, mix.wanted)];
      return { ...mix, list: inOrder(list, mix.wanted) };
    }
    case "adapterRefused":
      return { ...mix, refused: [...mix.refused, event.refused].slice(-REFUSED_MAX) };
    case "adapterRemoved": {
      const others = (rows) => rows.filter(({ id }) => id !== event.id);
      return { ...mix, list: others(mix.list), refused: others(mix.refused) };
    }
    case "adapterMoved": {
      const list = mix.list.filter(({ id }) => id !== event.id);
      list.splice(event.to, 0, mix.list.find(({ id }) => id === event.id));
      return { ...mix, list };
    }
    case "adapterChanged":
      return { ...mix, list: mix.list.map((one) => (one.id === event.id
        ? { ...one, ...event.change } : one)) };
    case "assemblyKnown":
      return { ...mix, assembly: event.assembly };
    case "comparisonChanged":
      return { ...mix, comparison: event.comparison && { ...mix.comparison, ...event.comparison } };
    default:
      return mix;
  }
}

const placeOf = ({ card }, wanted) => wanted.findIndex(([id]) => card.weights.startsWith(id));

function asWanted(adapter, wanted) {
  const row = wanted[placeOf(adapter, wanted)];
  return row ? { ...adapter, weight: row[1], typed: null } : adapter;
}

/** As a link has them; those that it does not name come behind, as they are. */
function inOrder(list, wanted) {
  const place = (one) => (placeOf(one, wanted) + 1 || wanted.length + 1);
  return wanted.length > 0 ? list.toSorted((a, b) => place(a) - place(b)) : list;
}
