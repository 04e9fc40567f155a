/**
 * Workers whose scripts are loaded with the page, so that starting one later needs no request.
 * They have no module yet. When none is left, another one is loaded.
 */
export class WorkerPool {
  #spawn;
  #spares = [];

  /** @param {() => Worker} spawn loads a worker */
  constructor(spawn) {
    this.#spawn = spawn;
  }

  /** A worker to be used. */
  take() {
    return this.#spares.pop() ?? this.#spawn();
  }

  /** Loads one more spare; resolves when it is loaded, or could not be. */
  warm() {
    return new Promise((resolve) => {
      const spare = this.#spawn();
      spare.onmessage = () => resolve(this.#spares.push(spare));
      spare.onerror = (event) => {
        event.preventDefault?.();
        resolve();
      };
    });
  }

  /** Ends those that nobody took. */
  close() {
    for (const spare of this.#spares.splice(0)) spare.terminate();
  }
}
