/**
 * The whole state and its reducer, put together from slices that see every event and change only
 * themselves; settings are those of the session on show, which keeps them while it is not.
 * State is plain data that could be written as JSON: no File, session or DOM node.
 */
import { initialIntake, reduceIntake } from "./intake.js";
import { initialLibrary, reduceLibrary } from "./library.js";
import { initialMessages, reduceMessages } from "./messages.js";
import { initialMix, reduceMix } from "./mix.js";
import { initialPresets, reducePresets } from "./presets.js";
import { initialReplay, reduceReplay } from "./replay.js";
import { initialSessions, reduceSessions, sessionOf } from "./sessions.js";
import { initialSettings, reduceSettings } from "./settings.js";

const THEMES = ["auto", "light", "dark"];

export const initialState = Object.freeze({
  engine: Object.freeze({ status: "starting", info: null, message: "" }),
  theme: "auto",
  settings: initialSettings,
  intake: initialIntake,
  library: initialLibrary,
  model: null,
  mix: initialMix,
  presets: initialPresets,
  sessions: initialSessions,
  replay: initialReplay,
  messages: initialMessages,
});

/** State after one event; the same object when nothing changed. */
export function reduce(state, event) {
  const sessions = reduceSessions(state.sessions, event, state.settings);
  const next = {
    engine: reduceEngine(state.engine, event),
    theme: reduceTheme(state.theme, event),
    settings: settingsAfter(state, sessions, event),
    intake: reduceIntake(state.intake, event),
    library: reduceLibrary(state.library, event),
    model: reduceModel(state.model, event),
    mix: reduceMix(state.mix, event),
    presets: reducePresets(state.presets, event, state.settings.values),
    sessions,
    replay: reduceReplay(state.replay, event),
    messages: reduceMessages(state.messages, event),
  };
  const isSame = Object.keys(next).every((name) => next[name] === state[name]);
  return isSame ? state : next;
}

/** Another session on show brings its own settings. */
function settingsAfter(state, sessions, event) {
  if (sessions.current === state.sessions.current) return reduceSettings(state.settings, event);
  return sessionOf(sessions).settings;
}

function reduceEngine(engine, event) {
  switch (event.type) {
    case "engineStarted":
      return { status: "ready", info: event.info, message: "" };
    case "engineFailed":
      return { status: "failed", info: null, message: event.message };
    case "engineReplaced":
      return { ...engine, message: event.reason };
    default:
      return engine;
  }
}

function reduceTheme(theme, event) {
  if (event.type !== "themeChosen" || !THEMES.includes(event.theme)) return theme;
  return event.theme;
}

/**
 * `{ name, card, load_ms, imported, id, chat }`: `id` if it is kept, `chat` its format once asked
 * for; null before any.
 */
function reduceModel(model, event) {
  if (event.type === "chatFormatRead") return { ...model, chat: event.chat };
  if (event.type === "modelKept") return model && { ...model, id: event.id };
  return event.type === "modelOpened" ? event.model : model;
}
