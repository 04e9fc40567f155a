/**
 * Assembles the roofline's module and has a fresh browser time its loops.
 */
import path from "node:path";
import { inBrowser } from "./browser.mjs";
import { rooflineModule } from "./roofline.mjs";

const MIB = 2 ** 20;
const SIZES = { "1 MiB": MIB, "256 MiB": 256 * MIB };

/** Figures by loop, buffer and unit. */
export async function measureRoofline() {
  const installed = path.join(process.env.CULTIVAR_TOOLS, "node_modules/binaryen/index.js");
  const { default: binaryen } = await import(installed);
  const bytes = [...rooflineModule(binaryen)];
  return inBrowser("measureRoofline", { bytes, sizes: SIZES });
}
