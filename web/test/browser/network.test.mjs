/**
 * The page sends nothing: every request of the browser goes through a proxy that this test runs,
 * so also what a worker might send is seen. Before load only the page's own files are fetched;
 * after load nothing is, not even when files are imported, which starts another worker, or when
 * the engine traps and its worker is replaced, but for the demo, once, when its button is pressed.
 */
import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import test from "node:test";
import { goldenFile, launch, noBrowser, openLab } from "./lab-browser.mjs";
import { foreignFiles } from "../runtime/kit-fixtures.mjs";

/** Where Chromium itself asks for the time and for updates, whatever page is open. */
const BROWSERS_OWN = /(^|\.)(google|googleapis|gvt1|gstatic)\.com$/;

/** A forward proxy that passes on what goes to the page's own host only, and notes everything. */
async function startProxy() {
  const { host } = new URL(process.env.CULTIVAR_URL);
  const seen = [];
  const note = (url, itsHost) => {
    if (!BROWSERS_OWN.test(itsHost)) seen.push(url);
  };
  const proxy = createServer((incoming, outgoing) => {
    note(incoming.url, new URL(incoming.url).hostname);
    const url = new URL(incoming.url);
    if (url.host !== host) {
      outgoing.writeHead(502).end();
      return;
    }
    const { method, headers } = incoming;
    const onward = request(url, { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(onward);
  });
  proxy.on("connect", ({ url }, socket) => {
    note(url, url.split(":")[0]);
    socket.end("HTTP/1.1 502 Refused\r\n\r\n");
  });
  await new Promise((done) => proxy.listen(0, "127.0.0.1", done));
  return { seen, port: proxy.address().port, close: () => proxy.close() };
}

/**
 * Makes the module trap in place of the next generation: the run fails, the worker is replaced,
 * the open model is read again, and the same run then gives the same digest.
 */
async function trapOnce(lab) {
  const settings = { prompt: "Once", max_tokens: 8 };
  const before = await lab.run(settings);
  await lab.page.evaluate(() => {
    const post = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (message, ...rest) {
      const isRun = message?.verb === "generate";
      if (isRun) Worker.prototype.postMessage = post;
      const sent = isRun ? { ...message, verb: "testTrap", args: {} } : message;
      return post.call(this, sent, ...rest);
    };
  });
  const failed = await lab.run(settings);
  assert.notEqual(failed.state, before.state);
  const { text } = await lab.message("The engine was restarted");
  assert.match(text, /read again/);
  await lab.dismissAll();
  const again = await lab.run(settings);
  assert.equal(again.run_digest, before.run_digest);
}

test("nothing is requested after load, and nothing ever from elsewhere", { skip: noBrowser },
  async () => {
    const proxy = await startProxy();
    const chrome = await launch([
      `--proxy-server=http://127.0.0.1:${proxy.port}`, "--proxy-bypass-list=<-loopback>",
    ]);
    try {
      const lab = await openLab(chrome.browser);
      const asked = [];
      lab.page.on("request", (one) => asked.push(one.url()));
      const { host } = new URL(process.env.CULTIVAR_URL);
      const isOwn = (url) => url.startsWith(`http://${host}/`);
      assert.ok(proxy.seen.some((url) => url.endsWith(".wasm")), "the proxy sees no page");
      assert.deepEqual(proxy.seen.filter((url) => !isOwn(url)), []);
      const before_len = proxy.seen.length;

      await lab.page.focus("#load-demo");
      await lab.page.hover("#load-demo");
      await lab.drop(await goldenFile("golden-q4_0.slm"));
      await lab.opened("golden-q4_0.slm");
      await lab.run({ prompt: "Once", max_tokens: 8 });
      const shape = { dim: 32, hidden: 64, nLayers: 2, nHeads: 4, vocab: 300, contextLen: 32 };
      await lab.drop(...await Promise.all(foreignFiles(shape).map(async ({ name, blob }) =>
        ({ name, bytes: Buffer.from(await blob.arrayBuffer()) }))));
      await lab.opened("random.slm");
      await lab.drop(await goldenFile("golden-q4_0.slm"));
      await lab.opened("golden-q4_0.slm");
      await lab.drop({ name: "notes.txt", bytes: Buffer.from("not a model") });
      await lab.message("notes.txt");
      await lab.page.click("#theme-dark + label");
      await trapOnce(lab);
      await new Promise((done) => setTimeout(done, 500)); // A late request would come by now.

      assert.deepEqual(proxy.seen.slice(before_len), []);
      assert.deepEqual(asked.filter((url) => !url.startsWith("blob:")), []);
    } finally {
      await chrome.close();
      proxy.close();
    }
  });

test("the demo is requested once, from the page's own host, and only by its button",
  { skip: noBrowser }, async () => {
    const proxy = await startProxy();
    const chrome = await launch([
      `--proxy-server=http://127.0.0.1:${proxy.port}`, "--proxy-bypass-list=<-loopback>",
    ]);
    try {
      const lab = await openLab(chrome.browser);
      const before_len = proxy.seen.length;
      assert.deepEqual(proxy.seen.filter((url) => url.includes("demo/")), []);
      await lab.page.click("#load-demo");
      await lab.opened("sprout.slm");
      await trapOnce(lab);
      await new Promise((done) => setTimeout(done, 500)); // A late request would come by now.
      const demo = new URL("demo/sprout.slm", process.env.CULTIVAR_URL).href;
      assert.deepEqual(proxy.seen.slice(before_len), [demo]);
    } finally {
      await chrome.close();
      proxy.close();
    }
  });

test("the page's policy refuses other hosts, inline code and eval", { skip: noBrowser },
  async () => {
    const chrome = await launch();
    try {
      const { page } = await openLab(chrome.browser);
      const refused = await page.evaluate(async () => {
        const broken = [];
        document.addEventListener("securitypolicyviolation", (violation) =>
          broken.push(violation.effectiveDirective));
        const elsewhere = await fetch("http://127.0.0.2:9/").then(() => false, () => true);
        const script = document.createElement("script");
        script.textContent = "window.wasInline = true";
        document.head.append(script);
        const block = document.createElement("div");
        block.setAttribute("style", "color: red");
        document.body.append(block);
        await new Promise((done) => setTimeout(done, 100));
        return { elsewhere, inline: window.wasInline === undefined, broken };
      });
      assert.equal(refused.elsewhere, true);
      assert.equal(refused.inline, true);
      const broken = ["connect-src", "script-src-elem", "style-src-attr"];
      assert.deepEqual(refused.broken.sort(), broken);
    } finally {
      await chrome.close();
    }
  });
