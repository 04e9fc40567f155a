/**
 * Composition root of the lab page: makes the store, the kit, the commands and the panels, and
 * is the only file that knows them all. Panels are deaf to each other; everything they share is
 * in the state. The address bar and the keyboard are wired here too.
 */
import { Cultivar, Library } from "../runtime/cultivar.js";
import { messageOfError, note } from "./commands/advice.js";
import { createJobs } from "./commands/jobs.js";
import { createKeepCommands } from "./commands/keep-models.js";
import { createLiveSessions } from "./commands/live-sessions.js";
import { createMixCommands } from "./commands/mix.js";
import { createFileCommands } from "./commands/open-files.js";
import { createRecordCommands } from "./commands/records.js";
import { createRunCommands } from "./commands/run-prompt.js";
import { createAddressBar } from "./page/address-bar.js";
import { createDiagnostics } from "./panels/diagnostics.js";
import { createDropWindow } from "./panels/drop-window.js";
import { createEngineBadge } from "./panels/engine-badge.js";
import { createIntake } from "./panels/intake.js";
import { createJobProgress } from "./panels/job-progress.js";
import { createLibrary } from "./panels/library.js";
import { createMessages } from "./panels/messages.js";
import { createComparison } from "./panels/mixer/comparison.js";
import { createMixer } from "./panels/mixer/mixer.js";
import { createModelCard } from "./panels/model-card.js";
import { createOutput } from "./panels/output/output.js";
import { createPrompt } from "./panels/prompt.js";
import { createReplay } from "./panels/replay.js";
import { createSampling } from "./panels/sampling.js";
import { createSessions } from "./panels/sessions.js";
import { createThemeSwitch } from "./panels/theme-switch.js";
import { event } from "./state/events.js";
import { mixText } from "./state/mix.js";
import { initialState, reduce } from "./state/reducers.js";
import { isRunning, linkedValues, linkedWeights } from "./state/selectors.js";
import { createStore } from "./state/store.js";

/** One line per panel: the element of index.html it lives in, and what makes it. */
const PANELS = [
  ["engine-place", createEngineBadge],
  ["theme-place", createThemeSwitch],
  ["messages-place", createMessages],
  ["intake-place", createIntake],
  ["job-place", createJobProgress],
  ["library-place", createLibrary],
  ["card-place", createModelCard],
  ["mixer-place", createMixer],
  ["comparison-place", createComparison],
  ["sessions-place", createSessions],
  ["prompt-place", createPrompt],
  ["sampling-place", createSampling],
  ["output-place", createOutput],
  ["replay-place", createReplay],
  ["diagnostics-place", createDiagnostics],
  ["drop-place", createDropWindow],
];

/** Longest wait for a draw when no frame comes. */
const HIDDEN_DRAW_MS = 250;
/** A shorter wait than this is what a frame takes anyway. */
const FRAME_MS = 16;

const store = createStore(reduce, initialState);
const dispatch = store.dispatch;
const now = () => performance.now();

/** Holds what cannot be in the state: the kit, the library, the open package and its source. */
const desk = {
  kit: Cultivar.open({ profile: location.search === "?profile" }),
  /** Null where the browser keeps nothing for the page, as in some private windows. */
  library: Library.open().catch(() => null),
  storage: navigator.storage,
  /** What the device says it has, where the browser tells. */
  device_bytes: navigator.deviceMemory ? navigator.deviceMemory * 2 ** 30 : undefined,
  opened: null,
  source: null,
  /** The open package's bytes: storage gives them anew each time. */
  blob: async () => (typeof desk.source === "function" ? desk.source() : desk.source),
  replay: (file) => commands.replay(file),
  /** Resolves when no run is using the open package. */
  settle: () => {
    commands.stopReplay();
    return commands.settle();
  },
  replace(opened, source) {
    // Closing fails only if the worker was replaced, and then there is nothing left to close.
    this.opened?.close().catch(() => {});
    Object.assign(this, { opened, source });
  },
};
const { mix, ...mixCommands } = createMixCommands({ store, desk });
desk.mix = mix;
desk.addAdapters = mixCommands.addAdapters;
const live = createLiveSessions(mix);
const jobs = createJobs({ store, desk, now });
const files = createFileCommands({ store, desk, now, jobs });
const commands = {
  ...mixCommands,
  ...jobs,
  ...files,
  ...createKeepCommands({ store, desk, jobs, files }),
  ...createRunCommands({ store, desk, now, live }),
  ...createRecordCommands({ store, desk, live }),
  /** Loads the page again, at its link, with a module that tells time by operator. */
  profile: () => (location.search = "?profile"),
};

const addressBar = createAddressBar((fragment) => dispatch(event("linkRead", { fragment })));
addressBar.read();

const panels = PANELS.map(([place, create]) => {
  const panel = create({ dispatch, commands, now, linkOf: addressBar.link });
  document.getElementById(place).append(panel.dom);
  return panel;
});

/** In a chat one writes below what was said; a completion follows its prompt. */
const ORDERS = {
  complete: ["prompt-place", "sampling-place", "output-place"],
  chat: ["output-place", "prompt-place", "sampling-place"],
};
const bench = document.getElementById("workbench");

function arrange(mode) {
  if (bench.dataset.mode === mode) return;
  bench.dataset.mode = mode;
  bench.append(...ORDERS[mode].map((place) => document.getElementById(place)));
}

/**
 * Times of a long draw that pass before the next while a run writes: laying out a long text takes
 * long, and what a person does goes on in between.
 */
const RESTS = 3;
const LONG_DRAW_MS = 30;

let isDrawAsked = false;
let mayDrawAt = 0;

function draw() {
  const began = now();
  const { state } = store;
  arrange(state.settings.values.mode);
  document.body.dataset.stage = state.model ? "ready" : state.intake.job ? "opening" : "empty";
  addressBar.write(linkedValues(state), linkedWeights(state), mixText(state.mix));
  for (const panel of panels) panel.update(state);
  const took = now() - began;
  mayDrawAt = took > LONG_DRAW_MS && isRunning(state) ? now() + RESTS * took : 0;
}
/** Asks for one draw in the next frame; in a hidden tab, where frames stop, for a late one. */
function askForDraw() {
  if (isDrawAsked) return;
  isDrawAsked = true;
  const once = () => {
    if (!isDrawAsked) return;
    isDrawAsked = false;
    draw();
  };
  const wait = mayDrawAt - now();
  if (wait < FRAME_MS) requestAnimationFrame(once);
  else setTimeout(requestAnimationFrame, wait, once);
  setTimeout(once, HIDDEN_DRAW_MS + Math.max(wait, 0));
}
store.subscribe(askForDraw);
draw();

document.addEventListener("keydown", (key) => {
  const isRunKey = key.key === "Enter" && (key.ctrlKey || key.metaKey);
  if (isRunKey) {
    key.preventDefault();
    commands.run();
  } else if (key.key === "Escape") {
    commands.stop();
    commands.stopJob();
  }
});

desk.kit.then(async (kit) => {
  await commands.readLibrary();
  kit.onReplaced = (reason) => {
    const detail = `Because ${reason.message ?? reason}.`;
    dispatch(event("engineReplaced", { reason: detail }));
    const advice = "An open model is read again by itself.";
    const message = note("The engine was restarted", detail, advice);
    dispatch(event("messageRaised", { message }));
  };
  dispatch(event("engineStarted", { info: kit.info }));
}, (error) => {
  const message = messageOfError("The engine did not start", error);
  dispatch(event("engineFailed", { message: message.detail }));
  dispatch(event("messageRaised", { message }));
});
