/**
 * The engine's line in the header: which module runs, its ABI version, or why none does.
 * Shows state only.
 */
import { el, setText } from "../ui/element.js";

const WORDS = { starting: "starting…", failed: "did not start" };

export function createEngineBadge() {
  const name = el("span.engine-name");
  const abi = el("span.engine-abi");
  const dom = el("p.engine-badge", { role: "status" }, el("span.engine-dot"),
    el("span.engine-word", {}, "Engine"), name, abi);
  return {
    dom,
    update({ engine: { status, info, message } }) {
      dom.dataset.status = status;
      dom.title = message;
      setText(name, WORDS[status] ?? info.backend);
      setText(abi, info ? `ABI ${info.abiVersion}` : "");
    },
  };
}
