/**
 * The commands' desk with a kit, a library and a store but no engine, and files that are told by
 * their first bytes. Test only.
 */
import { createJobs } from "../../lab/commands/jobs.js";
import { createKeepCommands } from "../../lab/commands/keep-models.js";
import { createFileCommands } from "../../lab/commands/open-files.js";
import { createRunCommands } from "../../lab/commands/run-prompt.js";
import { event } from "../../lab/state/events.js";
import { initialState, reduce } from "../../lab/state/reducers.js";
import { createStore } from "../../lab/state/store.js";
import { Cultivar, FakeLibrary } from "./fake-kit.js";

const MAGIC = [0x89, 0x53, 0x4c, 0x4d, 0x0d, 0x0a, 0x1a, 0x0a, 1, 0, 0, 0, 1];

export function packageFile(name, mark = "") {
  return new File([new Uint8Array(MAGIC), mark, new Uint8Array(100)], name);
}

export function checkpointFile() {
  return new File([new Int32Array([64, 172, 5, 8, 4, 512, 512])], "stories.bin");
}

export function tokenizerFile() {
  const head = new Uint32Array([7, 0, 5]);
  return new File([head, "<unk>", new Uint8Array(9)], "tokenizer.bin");
}

export async function setUp({ library = new FakeLibrary(), device_bytes } = {}) {
  const store = createStore(reduce, initialState);
  const kit = await Cultivar.open();
  let clock = 0;
  const now = () => (clock += 1);
  const desk = {
    kit: Promise.resolve(kit), library: Promise.resolve(library), device_bytes,
    opened: null, source: null,
    blob: async () => (typeof desk.source === "function" ? desk.source() : desk.source),
    settle: () => runs.settle(),
    replace(opened, source) {
      this.opened?.close();
      Object.assign(this, { opened, source });
    },
  };
  const jobs = createJobs({ store, desk, now });
  const files = createFileCommands({ store, desk, now, jobs });
  const keeping = createKeepCommands({ store, desk, jobs, files });
  const runs = createRunCommands({ store, desk, now });
  const set = (name, text) => store.dispatch(event("settingChanged", { name, text }));
  return { store, kit, desk, jobs, files, keeping, runs, set, library };
}

/** Resolves when the state meets a condition. */
export function until(store, isMet) {
  if (isMet(store.state)) return Promise.resolve();
  return new Promise((done) => {
    const end = store.subscribe((state) => {
      if (!isMet(state)) return;
      end();
      done();
    });
  });
}
