/**
 * How the adapters of the mix fit the open model, field by field: checked while somebody looks, and
 * again once a changed mix has come to rest; also of adapters that were refused. Checks read the
 * model in a worker of their own and change nothing.
 */
import { event } from "../state/events.js";
import { effectiveWeight, mixKey } from "../state/mix.js";
import { messageOfError } from "./advice.js";

/** A slider moves many times a second, and a check reads whole tensors. */
const QUIET_MS = 300;

/** `blobOf(id)`: the package of an adapter of the mix. */
export function createFit({ store, desk, blobOf }) {
  const watched = new Set();
  let checking = null;
  let timer = null;
  let known = "";

  store.subscribe(({ mix }) => {
    const key = mixKey(mix.list);
    if (key === known) return;
    known = key;
    checkSoon(QUIET_MS);
  });

  function checkSoon(ms) {
    checking?.abort();
    clearTimeout(timer);
    if (watched.size > 0) timer = setTimeout(checkAll, ms);
  }

  /** The report of a package on top of these adapters of the mix. */
  async function fieldsOf(blob, weight, below, signal) {
    const { list } = store.state.mix;
    const stack = below.map((one) => (
      { adapter: blobOf(one.id), weight: effectiveWeight(list, one) }));
    const kit = await desk.kit;
    const base = await desk.blob();
    return (await kit.validateAdapter({ adapter: blob, weight }, { base, stack, signal })).fields;
  }

  async function checkAll() {
    const { signal } = (checking = new AbortController());
    for (const id of watched) {
      const { list } = store.state.mix;
      const [one, key] = [list.find((each) => each.id === id), mixKey(list)];
      if (!one || one.report?.key === key) continue;
      try {
        const others = list.filter((each) => each !== one);
        const fields = await fieldsOf(blobOf(id), effectiveWeight(list, one), others, signal);
        if (signal.aborted) return;
        store.dispatch(event("adapterChanged", { id, change: { report: { key, fields } } }));
      } catch (error) {
        if (signal.aborted) return;
        const message = messageOfError("The adapter could not be compared", error);
        store.dispatch(event("messageRaised", { message }));
        return;
      }
    }
  }
  return {
    /** Keeps an adapter's report up to date as long as it is looked at. */
    watchFit(id, isWatched) {
      watched[isWatched ? "add" : "delete"](id);
      checkSoon(0);
    },
    /** What of a package that was refused fits; nothing of what is no adapter. */
    fieldsOfRefused: (blob) => fieldsOf(blob, 1, []).catch(() => null),
  };
}
