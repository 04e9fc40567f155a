/**
 * An open adapter on the page's side: a handle in the worker and where it came from, so that it
 * can be opened again when the worker is replaced. Belongs to one package. Never holds factors.
 */
export class Adapter {
  #client;
  #call;
  #source;
  #handle = 0;
  #epoch = 0;

  /** What it is: see `AdapterCard` in `answers.d.ts`. */
  card = null;

  /** `call(verb, args, hooks)` reaches the package; `source()` gives the Blob or URL. */
  constructor(client, call, source) {
    this.#client = client;
    this.#call = call;
    this.#source = source;
  }

  async open(hooks) {
    const args = { source: await this.#source() };
    const { value, epoch } = await this.#call("openAdapter", args, hooks);
    Object.assign(this, { card: value.card });
    this.#handle = value.handle;
    this.#epoch = epoch;
    return this;
  }

  /** The handle in the worker of now; opened again if that is another. */
  async handle() {
    if (this.#epoch !== this.#client.epoch) await this.open();
    return this.#handle;
  }

  /** Gives its memory back, as soon as no session uses it. */
  async close() {
    if (this.#epoch !== this.#client.epoch) return;
    // Fails only if its package was closed, and then it is closed too.
    await this.#call("closeAdapter", { adapter: this.#handle }).catch(() => {});
  }
}
