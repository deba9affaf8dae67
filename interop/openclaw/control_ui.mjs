// OpenClaw's Control UI in Chromium, from a server of its own: what a person sees and presses.
//
// `node control_ui.mjs` says of each step on a line how it went: `ok NAME` or `not ok NAME: why`.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";

const { MARU_ADDRESS, MARU_ORIGIN, OPENCLAW, TMPDIR } = process.env;
const pages = join(OPENCLAW, "dist/control-ui");
const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".svg": "image/svg+xml" };

// How long one step may take.
const LIMIT = 60_000;

// The pages as they come from npm; every other path is the application's.
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, MARU_ORIGIN);
  const file = extname(pathname) ? join(pages, pathname) : join(pages, "index.html");
  const found = existsSync(file);
  response.writeHead(found ? 200 : 404, { "content-type": types[extname(file)] ?? "application/octet-stream" });
  response.end(found ? readFileSync(file) : "");
});
await new Promise((resolve) => server.listen(new URL(MARU_ORIGIN).port, "127.0.0.1", resolve));

const browser = spawn(
  "/usr/bin/chromium",
  [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-component-update",
    "--disable-background-networking",
    "--lang=en",
    "--window-size=1400,900",
    "--remote-debugging-port=0",
    `--user-data-dir=${mkdtempSync(join(TMPDIR, "chromium-"))}`,
    "about:blank",
  ],
  { stdio: ["ignore", "ignore", "pipe"] },
);

// Chromium's DevTools protocol.
const address = await new Promise((resolve, reject) => {
  let text = "";
  browser.stderr.on("data", (data) => {
    text += data;
    const found = text.match(/DevTools listening on (ws:\S+)/);
    if (found) resolve(found[1]);
  });
  browser.on("exit", () => reject(new Error(`Chromium ended: ${text}`)));
});
const tools = new WebSocket(address);
await new Promise((resolve) => (tools.onopen = resolve));
const waiting = new Map();
// How often the gateway told of each state of a run.
const told = { delta: 0, final: 0, aborted: 0 };
tools.onmessage = ({ data }) => {
  const { id, result, method, params } = JSON.parse(data);
  waiting.get(id)?.(result);
  if (method !== "Network.webSocketFrameReceived") return;
  const { event, payload } = JSON.parse(params.response.payloadData || "{}");
  if (event === "chat") told[payload.state] += 1;
};
let calls = 0;
let sessionId;
function call(method, params = {}) {
  const id = ++calls;
  tools.send(JSON.stringify({ id, method, params, sessionId }));
  return new Promise((resolve) => waiting.set(id, resolve));
}
const { targetId } = await call("Target.createTarget", { url: "about:blank" });
({ sessionId } = await call("Target.attachToTarget", { targetId, flatten: true }));
await call("Network.enable");

// What a script in the page returns. `all` is every element, also of shadow trees; `shown` is every text.
const HELPERS = `
  const all = (node = document, found = []) => {
    if (node.shadowRoot) all(node.shadowRoot, found);
    for (const child of node.children ?? []) all(child, found), found.push(child);
    return found;
  };
  const shown = (node = document.body) =>
    [...(node.shadowRoot?.childNodes ?? []), ...node.childNodes]
      .map((it) => (it.nodeType === 3 ? it.textContent : ["STYLE", "SCRIPT"].includes(it.nodeName) ? "" : shown(it)))
      .join(" ");
  const labelled = (name, label) =>
    all().find((it) => it.tagName === name && (it.ariaLabel ?? it.innerText ?? "").includes(label));`;
async function page(script) {
  const answer = await call("Runtime.evaluate", { expression: `(() => {${HELPERS}${script}})()`, returnByValue: true });
  return answer?.result?.value;
}

// Waits until a script in the page returns something; returns it.
async function until(what, script) {
  for (const end = Date.now() + LIMIT; Date.now() < end; ) {
    const value = await page(script);
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`not ${what}`);
}

const press = (name, label) =>
  until(`there: ${label}`, `const it = labelled(${JSON.stringify(name)}, ${JSON.stringify(label)}); it?.click(); return Boolean(it);`);

async function send(text) {
  await until("ready to write", `const it = labelled("TEXTAREA", "Chat composer"); it?.focus(); return Boolean(it);`);
  await call("Input.insertText", { text });
  await until("ready to send", `return labelled("BUTTON", "Send message")?.disabled === false;`);
  await press("BUTTON", "Send message");
}

// The text of the last reply.
const reply = `const replies = all().filter((it) => it.classList.contains("chat-group") && it.classList.contains("assistant"));
  return replies.at(-1) ? shown(replies.at(-1)) : "";`;

const steps = {
  async connect() {
    const gateway = encodeURIComponent(MARU_ADDRESS.replace("http", "ws"));
    await call("Page.navigate", { url: `${MARU_ORIGIN}/?gatewayUrl=${gateway}` });
    await press("BUTTON", "Switch to");
    await until("connected", `return Boolean(labelled("TEXTAREA", "Chat composer"));`);
  },

  async list() {
    await until("listed", `return shown().includes("interop list");`);
  },

  async chat() {
    await send("Say hello.");
    const begun = await until("begun", `return labelled("BUTTON", "Stop generating") && (() => {${reply}})();`);
    await until("streamed", `const now = (() => {${reply}})(); return now && now !== ${JSON.stringify(begun)};`);
    await until("over", `return !labelled("BUTTON", "Stop generating");`);
    if (told.delta < 2 || told.final !== 1) throw new Error(`other events than of one reply: ${JSON.stringify(told)}`);
  },

  async abort() {
    // The small model's reply may be over before the button is pressed.
    for (let tries = 0; tries < 5 && told.aborted === 0; tries++) {
      const before = told.final;
      await send("Tell me a story that goes on forever.");
      const end = Date.now() + LIMIT;
      while (told.final === before && told.aborted === 0) {
        if (Date.now() > end) throw new Error(`the reply does not end: ${JSON.stringify(told)}`);
        await page(`labelled("BUTTON", "Stop generating")?.click();`);
      }
    }
    if (told.aborted !== 1) throw new Error(`no reply was aborted: ${JSON.stringify(told)}`);
    await until("stopped", `return !labelled("BUTTON", "Stop generating");`);
  },
};

for (const [name, run] of Object.entries(steps)) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    process.exitCode = 1;
    console.error(error, (await page("return shown();"))?.replaceAll(/\s+/g, " "));
    console.log(`not ok ${name}: ${String(error).replaceAll("\n", " ")}`);
  }
}
browser.removeAllListeners("exit");
browser.kill();
process.exit();
