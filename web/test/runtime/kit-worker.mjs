/** The kit's worker in a thread of Node: the same service on another kind of port. */
import { parentPort } from "node:worker_threads";
import { serve } from "../../runtime/worker-service.js";

const port = { postMessage: (message) => parentPort.postMessage(message), onmessage: null };
serve(port);
parentPort.on("message", (data) => {
  // Stands for a defect that a stop cannot reach: the thread never looks at its messages again.
  if (data.verb === "testHang") for (;;);
  port.onmessage({ data });
});
