// OpenClaw's own client of its WebSocket. Every frame that comes, and what is in it, has to be valid by OpenClaw's schema.
//
// `node client.mjs` runs every case and says of each on a line how it went: `ok NAME` or `not ok NAME: why`.

import { createHash, generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

import Ajv from "ajv";

// The packages that are pinned, or others that lie in this folder.
const require = createRequire(`${process.env.OPENCLAW_PACKAGES ?? import.meta.dirname}/`);
const { GatewayClient } = await import(require.resolve("@openclaw/gateway-client"));
const { WebSocket } = createRequire(require.resolve("@openclaw/gateway-client"))("ws");
const schemaFile = new URL("../protocol.schema.json", pathToFileURL(require.resolve("@openclaw/gateway-protocol")));
const schema = JSON.parse(readFileSync(schemaFile, "utf8"));

// The gateway as a laptop sees it. OpenClaw's client sends plain text to addresses of the mesh alone.
const url = process.env.MARU_ADDRESS.replace("http", "ws");

const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
ajv.addSchema(schema, "openclaw");
const invalid = [];

function check(type, value, where) {
  const validate = ajv.getSchema(`openclaw#/definitions/${type}`);
  if (!validate) throw new Error(`the schema has no ${type}`);
  if (!validate(value)) invalid.push(`${where}: ${type}: ${ajv.errorsText(validate.errors)}`);
}

// What the schema has of results, by method.
const results = {
  connect: (it) => check("HelloOk", it, "connect"),
  health: (it) => check("Snapshot", { presence: [], health: it, stateVersion: { presence: 0, health: 0 }, uptimeMs: 0 }, "health"),
  "system-presence": (it) => it.forEach((entry) => check("PresenceEntry", entry, "system-presence")),
  "agents.list": (it) => check("AgentsListResult", it, "agents.list"),
  "agent.identity.get": (it) => check("AgentIdentityResult", it, "agent.identity.get"),
  "models.list": (it) => check("ModelsListResult", it, "models.list"),
  "commands.list": (it) => check("CommandsListResult", it, "commands.list"),
  "chat.metadata": (it) => {
    check("ModelsListResult", { models: it.models }, "chat.metadata");
    check("CommandsListResult", { commands: it.commands }, "chat.metadata");
  },
  "chat.history": (it) => check("SessionRow", it.sessionInfo, "chat.history"),
  "chat.startup": (it) => {
    check("SessionRow", it.sessionInfo, "chat.startup");
    check("AgentsListResult", it.agentsList, "chat.startup");
  },
  "sessions.list": (it) => it.sessions.forEach((row) => check("SessionRow", row, "sessions.list")),
  "sessions.describe": (it) => check("SessionRow", it.session, "sessions.describe"),
  "sessions.create": (it) => check("SessionsCreateResult", it, "sessions.create"),
  "sessions.fork": (it) => check("SessionsForkResult", it, "sessions.fork"),
  "sessions.resolve": (it) => check("SessionsResolveResult", it, "sessions.resolve"),
  "sessions.delete": (it) => check("SessionsDeleteResult", it, "sessions.delete"),
  "sessions.branches.list": (it) => check("SessionsBranchesListResult", it, "sessions.branches.list"),
  "sessions.companion.state": (it) => check("SessionsCompanionStateResult", it, "sessions.companion.state"),
  "sessions.observer.visibility": (it) => check("SessionsObserverVisibilityResult", it, "sessions.observer.visibility"),
  "question.list": (it) => check("QuestionListResult", it, "question.list"),
  "tasks.list": (it) => check("TasksListResult", it, "tasks.list"),
  "talk.catalog": (it) => check("TalkCatalogResult", it, "talk.catalog"),
  "progressCard.get": (it) => check("ProgressCardGetResult", it, "progressCard.get"),
};
const events = { chat: "ChatEvent", tick: "TickEvent" };
const asked = new Map();

// Every frame, as it comes and before the client reads it.
const emit = WebSocket.prototype.emit;
WebSocket.prototype.emit = function (name, ...args) {
  if (name === "message") {
    const frame = JSON.parse(args[0].toString());
    check("GatewayFrame", frame, "frame");
    if (frame.type === "event" && events[frame.event]) check(events[frame.event], frame.payload, frame.event);
    if (frame.type === "res" && frame.ok) results[asked.get(frame.id)]?.(frame.payload);
  }
  return emit.call(this, name, ...args);
};
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data, ...rest) {
  const frame = JSON.parse(data.toString());
  asked.set(frame.id, frame.method);
  return send.call(this, data, ...rest);
};

function expect(condition, what) {
  if (!condition) throw new Error(typeof what === "string" ? what : JSON.stringify(what));
}

// A device, as OpenClaw's hosts make one.
function identity() {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
  return {
    deviceId: createHash("sha256").update(raw).digest("hex"),
    privateKeyPem: privateKey.export({ format: "pem", type: "pkcs8" }),
    publicKeyPem: publicKey.export({ format: "pem", type: "spki" }),
    raw: raw.toString("base64url"),
  };
}

// A connected client, what it was greeted with, and a queue of the events that come.
function connect(options = {}) {
  const device = options.device === null ? null : identity();
  const queue = [];
  let wake;
  return new Promise((resolve, reject) => {
    const client = new GatewayClient({
      url,
      token: "ignored",
      clientName: "cli",
      mode: "cli",
      minProtocol: 4,
      maxProtocol: 4,
      scopes: ["operator.read", "operator.write"],
      ...options,
      deviceIdentity: device,
      hostDeps: {
        signDevicePayload: (pem, payload) => sign(null, Buffer.from(payload), pem).toString("base64url"),
        publicKeyRawBase64UrlFromPem: () => device.raw,
      },
      onHelloOk: (hello) => resolve(peer(hello)),
      onConnectError: (error) => (reject(error), client.stop()),
      onEvent: (event) => (queue.push(event), wake?.()),
    });
    const peer = (hello) => ({
      hello,
      stop: () => client.stop(),
      request: (method, params = {}, options) => client.request(method, params, options),
      // The next event of a run.
      async chat(runId) {
        for (;;) {
          const at = queue.findIndex((it) => it.event === "chat" && it.payload.runId === runId);
          if (at >= 0) return queue.splice(at, 1)[0].payload;
          await new Promise((resolve) => (wake = resolve));
        }
      },
    });
    client.start();
  });
}

async function ask(peer, sessionKey, message) {
  const idempotencyKey = randomUUID();
  const begun = await peer.request("chat.send", { sessionKey, message, idempotencyKey });
  expect(begun.status === "started" && begun.runId === idempotencyKey, begun);
  return idempotencyKey;
}

async function answer(peer, runId) {
  let text = "";
  for (;;) {
    const event = await peer.chat(runId);
    if (event.state === "delta") text += event.deltaText;
    else return { ...event, text };
  }
}

const texts = (history) => history.messages.map((it) => it.content.map((block) => block.text).join(""));
const sessionKey = `agent:main:interop ${randomUUID()}`;
let peer;

const cases = {
  async connect() {
    const alone = await connect({ device: null });
    expect(alone.hello.auth.role === "operator", alone.hello.auth);
    alone.stop();
    peer = await connect();
    expect(peer.hello.protocol === 4, peer.hello.protocol);
  },

  async foreign_nonce() {
    // A device that signs another nonce than the one it was sent.
    const hostDeps = { signDevicePayload: (pem, payload) => sign(null, Buffer.from(`${payload} `), pem).toString("base64url") };
    const { raw, ...device } = identity();
    const refused = await new Promise((resolve) => {
      const client = new GatewayClient({
        url,
        clientName: "cli",
        mode: "cli",
        deviceIdentity: device,
        hostDeps: { ...hostDeps, publicKeyRawBase64UrlFromPem: () => raw },
        onHelloOk: () => resolve("connected"),
        onConnectError: (error) => (resolve(error.details?.code ?? String(error)), client.stop()),
      });
      client.start();
    });
    expect(refused === "DEVICE_AUTH_SIGNATURE_INVALID", refused);
  },

  async chat() {
    const last = await answer(peer, await ask(peer, sessionKey, "Say hello."));
    expect(last.state === "final" && last.text.length > 0, last);
    expect(last.message.content[0].text === last.text, last);
  },

  async history() {
    const history = await peer.request("chat.history", { sessionKey });
    const [question, reply, ...more] = texts(history);
    expect(question === "Say hello." && reply.length > 0 && more.length === 0, history);
  },

  async once() {
    const params = { sessionKey, message: "Say hello again.", idempotencyKey: randomUUID() };
    await peer.request("chat.send", params);
    await answer(peer, params.idempotencyKey);
    const again = await peer.request("chat.send", params);
    expect(again.status === "ok", again);
    expect(texts(await peer.request("chat.history", { sessionKey })).length === 4, "it ran twice");
  },

  async agent() {
    // What `openclaw agent` asks: the second response has the reply.
    const sent = { message: "Say hello.", agentId: "main", deliver: false, idempotencyKey: randomUUID(), sessionKey };
    check("AgentParams", sent, "agent");
    const ended = await peer.request("agent", sent, { expectFinal: true });
    expect(ended.status === "ok" && ended.result.payloads[0].text.length > 0, ended);
    expect(texts(await peer.request("chat.history", { sessionKey })).length === 6, "it is not kept");
  },

  async abort() {
    const other = `agent:main:interop ${randomUUID()}`;
    const runId = await ask(peer, other, "Tell me a story that goes on forever.");
    await peer.chat(runId);
    const aborted = await peer.request("chat.abort", { sessionKey: other, runId });
    expect(aborted.aborted && aborted.runIds[0] === runId, aborted);
    const last = await answer(peer, runId);
    expect(last.state === "aborted", last);
    expect(texts(await peer.request("chat.history", { sessionKey: other })).length === 0, "a cut reply is kept");
  },

  async copies() {
    const label = `interop ${randomUUID()}`;
    const whole = await peer.request("sessions.create", { parentSessionKey: sessionKey, fork: true, label });
    expect(texts(await peer.request("chat.history", { sessionKey: whole.key })).length === 6, whole);
    expect((await peer.request("sessions.resolve", { label })).key === whole.key, label);
    const { messages } = await peer.request("chat.history", { sessionKey });
    const forked = await peer.request("sessions.fork", { sessionKey, entryId: messages[2].__openclaw.id });
    expect(forked.editorText === "Say hello again.", forked);
    expect(texts(await peer.request("chat.history", forked)).length === 2, forked);
    const begun = await peer.request("sessions.create", { message: "Say hello.", idempotencyKey: randomUUID() });
    const last = await answer(peer, begun.runId);
    expect(begun.runStarted && last.state === "final", last);
    for (const key of [whole.key, forked.sessionKey, begun.key]) await peer.request("sessions.delete", { key });
  },

  async sessions() {
    const listed = (await peer.request("sessions.list", { search: "interop" })).sessions.map((it) => it.key);
    expect(listed.includes(sessionKey), listed);
    const renamed = await peer.request("sessions.patch", { key: sessionKey, label: `interop ${randomUUID()}` });
    const described = (await peer.request("sessions.describe", { key: renamed.key })).session;
    expect(described.label && described.updatedAt > 0, described);
    expect((await peer.request("sessions.delete", { key: renamed.key })).deleted, "not deleted");
  },

  async every_method() {
    const params = { sessionKey, key: sessionKey, label: "interop", message: "/stop" };
    // What needs a session that is there, or another scope.
    const others = new Set(["sessions.patch", "sessions.fork", "sessions.resolve", "update.status"]);
    for (const method of peer.hello.features.methods) {
      if (!others.has(method)) await peer.request(method, { ...params, idempotencyKey: randomUUID() });
    }
  },

  async unknown_method() {
    const refused = await peer.request("config.set", {}).then(() => "taken", (error) => error.message);
    expect(refused === "unknown method: config.set", refused);
  },

  async schema() {
    peer.stop();
    expect(invalid.length === 0, [...new Set(invalid)].join("; "));
  },
};

for (const [name, run] of Object.entries(cases)) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    process.exitCode = 1;
    console.error(error);
    console.log(`not ok ${name}: ${String(error).replaceAll("\n", " ")}`);
  }
}
process.exit();
