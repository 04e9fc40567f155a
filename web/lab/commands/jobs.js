/**
 * The one job that reads or writes files: its progress, pause, question, stop and failure. A later
 * job ends an earlier one; a model replaces the open one only when it is wholly there, and a
 * failure raises a message and changes nothing else.
 */
import { Pauser } from "../../runtime/cultivar.js";
import { event } from "../state/events.js";
import { memoryDoubt } from "../state/memory.js";
import { errorOfDoubt, messageOfError, note, questionOfDoubt, questionOfRoom } from "./advice.js";

/** What was not done, by the kind of job. */
const DONE_WORDS = { import: "imported", open: "opened", keep: "kept", export: "saved" };

/** `desk` is where the composition root keeps the kit and the open package. */
export function createJobs({ store, desk, now }) {
  let job = null;
  const dispatch = (type, fields) => store.dispatch(event(type, fields));
  const raise = (message) => dispatch("messageRaised", { message });

  /** Asks the person before going on, if the model may not fit; refuses if it cannot. */
  async function consider(mine, card) {
    if (job !== mine) return;
    dispatch("jobCardRead", { card });
    if (mine.isConsidered) return;
    mine.isConsidered = true;
    const { settings, library } = store.state;
    const doubt = memoryDoubt(card, settings.values, desk.device_bytes);
    if (doubt?.isSure) throw errorOfDoubt(doubt);
    if (doubt) await ask(mine, questionOfDoubt(doubt));
    const { weights_bytes } = card.memory;
    const free_bytes = mine.kind === "import" ? library.room?.free_bytes : undefined;
    if (free_bytes < weights_bytes) await ask(mine, questionOfRoom(weights_bytes, free_bytes));
  }

  async function ask(mine, question) {
    dispatch("jobAsked", { question });
    await new Promise((go) => (mine.go = go));
    dispatch("jobAsked", { question: "" });
  }

  return {
    /**
     * Runs `work(options)` as the job; true if it was done. What it answers as `opened` takes the
     * open model's place, with its `source` and `model`.
     */
    async runJob(kind, name, work) {
      job?.stop.abort();
      const mine = (job = { kind, stop: new AbortController(), pauser: new Pauser() });
      const { signal } = mine.stop;
      const isMine = () => job === mine;
      dispatch("jobStarted", { kind, name, ms: now() });
      const onProgress = (progress) => {
        if (isMine()) dispatch("jobProgressed", { progress, ms: now() });
      };
      const onCard = (card) => consider(mine, card);
      try {
        const made = await work({ signal, pauser: mine.pauser, onProgress, onCard });
        if (!made?.opened) {
          if (isMine()) dispatch("jobEnded");
          return true;
        }
        await desk.settle();
        if (signal.aborted) {
          await made.opened.close();
          signal.throwIfAborted();
        }
        // Nothing can come between these two: the desk and the state change as one.
        desk.replace(made.opened, made.source);
        dispatch("modelOpened", { model: made.model });
        return true;
      } catch (error) {
        if (isMine()) dispatch("jobEnded");
        const done = DONE_WORDS[kind];
        const isStop = error.name === "AbortError";
        if (isStop && isMine()) raise(note(`${name} was not ${done}`, "You stopped it."));
        if (!isStop) raise(messageOfError(`${name} could not be ${done}`, error));
        return false;
      } finally {
        if (isMine()) job = null;
      }
    },
    stopJob() {
      job?.stop.abort();
    },
    pauseJob() {
      if (!job) return;
      const { pauser } = job;
      if (pauser.isPaused) pauser.resume();
      else pauser.pause();
      dispatch("jobPaused", { isPaused: pauser.isPaused, ms: now() });
    },
    /** Answers the job's question with yes. */
    goOn() {
      job?.go?.();
    },
  };
}
