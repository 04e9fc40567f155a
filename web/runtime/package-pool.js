/**
 * One package in several engines, each in a worker with an instance and memory of its own: what is
 * independent is worked on side by side, without shared memory and so on any static host.
 */
export class PackagePool {
  /** The package in each engine. */
  packages;
  #kits;

  constructor(kits, packages) {
    this.#kits = kits;
    this.packages = packages;
  }

  /** Opens `n` engines; when one of them cannot open the package, all are closed. */
  static async open(openKit, n, blob, signal) {
    const kits = [];
    try {
      while (kits.length < n) kits.push(await openKit());
      const packages = await Promise.all(kits.map((kit) => kit.openPackage(blob, { signal })));
      return new PackagePool(kits, packages);
    } catch (error) {
      kits.forEach((kit) => kit.close());
      throw error;
    }
  }

  /** Answers in the order of the items; see `cultivar.d.ts`. */
  async map(items, work) {
    const results = [];
    const entries = [...items].entries();
    let failure;
    await Promise.all(this.packages.map(async (pkg) => {
      for (const [i, item] of entries) {
        if (failure) return;
        try {
          results[i] = await work(pkg, item, i);
        } catch (error) {
          failure ??= { error };
        }
      }
    }));
    if (failure) throw failure.error;
    return results;
  }

  /** Ends the engines. */
  close() {
    this.#kits.forEach((kit) => kit.close());
  }
}
