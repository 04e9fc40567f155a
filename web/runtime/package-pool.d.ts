/**
 * One package in several engines side by side, each in a worker of its own: what `Cultivar.openPool`
 * opens.
 */
import type { Package } from "./cultivar.js";

/** A package in several engines. */
export class PackagePool {
  private constructor();

  /** The package in each engine. */
  readonly packages: readonly Package[];

  /**
   * Gives every item to whichever engine is free, `work(pkg, item, index)` at most once at a time
   * in each, and resolves to the answers in the order of the items. After a rejection no further
   * item is begun; it rejects with that when the others that were begun have ended.
   */
  map<T, R>(
    items: Iterable<T>, work: (pkg: Package, item: T, index: number) => R | Promise<R>,
  ): Promise<R[]>;

  /** Ends the engines. */
  close(): void;
}
