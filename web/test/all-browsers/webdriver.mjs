/**
 * A WebDriver client of the few calls that the matrix needs: a session, an address, a script.
 * After W3C's WebDriver; WebKitGTK speaks nothing newer.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";

/** A port that nobody listens on. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** A browser behind a driver program. */
export class DrivenBrowser {
  #process;
  #address;
  #session;

  /** Starts `command` with `--port=N` behind its arguments, and a session with `capabilities`. */
  static async start([program, ...args], capabilities, env) {
    const driven = new DrivenBrowser();
    const port = await freePort();
    driven.#address = `http://127.0.0.1:${port}`;
    const options = { env: { ...process.env, ...env }, stdio: "ignore", detached: true };
    driven.#process = spawn(program, [...args, `--port=${port}`], options);
    const answer = await driven.#ask("POST", "/session", { capabilities }, 60);
    driven.#session = `/session/${answer.sessionId}`;
    return driven;
  }

  /** One call; `nTries` seconds are waited for a driver that is not up yet. */
  async #ask(method, path, body, nTries = 1) {
    for (let n = 1; ; n += 1) {
      try {
        const answer = await fetch(this.#address + path, { method, body: JSON.stringify(body) });
        const { value } = await answer.json();
        if (answer.ok) return value;
        throw new Error(`${path}: ${value.error}: ${value.message}`);
      } catch (error) {
        if (!(error instanceof TypeError) || n >= nTries) throw error;
        await pause(1000);
      }
    }
  }

  /** Goes to an address. */
  open(url) {
    return this.#ask("POST", `${this.#session}/url`, { url });
  }

  /** What a script in the page returns. */
  run(script) {
    return this.#ask("POST", `${this.#session}/execute/sync`, { script, args: [] });
  }

  /** Waits for a script to return something other than null. */
  async until(script) {
    for (;;) {
      const value = await this.run(script);
      if (value !== null) return value;
      await pause(500);
    }
  }

  /** Ends session and driver. */
  async close() {
    if (this.#session) await this.#ask("DELETE", this.#session).catch(() => {});
    // The driver and what it started are one group of their own.
    process.kill(-this.#process.pid, "SIGTERM");
  }
}
