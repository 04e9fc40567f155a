/**
 * The kit's worker: serves the page that started it. All work is in worker-service.js.
 */
import { serve } from "./worker-service.js";

serve(self);
