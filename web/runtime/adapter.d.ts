/**
 * Adapters of an open package, and how a session takes them.
 */

import type { AdapterCard } from "./answers.js";

/** An adapter that fits its package. Closing the package closes it. */
export class Adapter {
  private constructor();

  /** What it is. */
  readonly card: AdapterCard;

  /** Gives its memory back; sessions that were opened with it keep it. */
  close(): Promise<void>;
}

/** An adapter on a session's stack. */
export interface WeightedAdapter {
  adapter: Adapter;
  /** Any number, negative ones too; 0 leaves the base as it is, to the bit. Default: 1. */
  weight?: number;
  /** A factor per layer. */
  layerWeights?: number[];
  /** A factor per module, such as `{ w_q: 0.5 }`; those that are not named have 1. */
  moduleWeights?: Record<string, number>;
}
