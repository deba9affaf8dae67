// Runs a person's part of a walk, and says of each step on a line how it went: `ok NAME` or `not ok NAME: why`.
//
// Two people walk at a time, each with a process of this kind on a device of their own. They wait for each other by what they
// see in their rooms alone.

import { once } from "node:events";
import { request } from "node:http";
import { json } from "node:stream/consumers";

// The homeserver as a device sees it.
export const url = process.env.MARU_URL;
// Who walks: `host`, who makes the rooms, or `guest`.
const role = process.env.MARU_ROLE;
// The steps of this walk, beyond which a client may know more.
const wanted = new Set(process.env.MARU_STEPS.split(","));
// Whether both people's apps encrypt.
export const encrypts = wanted.has("secret") || wanted.has("read_secret");
// The person, a password that works once, and the other person.
export const user = process.env.MARU_USER;
export const password = process.env.MARU_PASSWORD;
export const peer = process.env.MARU_PEER;
// What is written, in its order.
export const [text, edited, answer, bye] = ["good morning", "good evening", "an answer", "bye"];
export const [secret, secretAnswer] = ["between us", "nobody else"];
export const emoji = "👍";
export const [room, renamed] = ["Kitchen", "Living room"];
// A picture of one dot.
export const png = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==",
  "base64",
);
// How long the other person may take for a step, in milliseconds.
const patience = 60_000;

export function expect(condition, what) {
  if (!condition) throw new Error(typeof what === "string" ? what : JSON.stringify(what));
}

// Waits until `look` finds something, and returns it.
export async function until(what, look) {
  for (const begun = Date.now(); Date.now() - begun < patience; ) {
    const found = await look();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what}: never seen`);
}

// Another password that works once, which this device may ask for: not by `fetch`, which says that a website asks.
export async function anotherPassword() {
  const headers = { "content-type": "application/json" };
  const asked = request(`${url}/maru/v1/rooms/login`, { method: "POST", headers }).end("{}");
  const [answer] = await once(asked, "response");
  expect(answer.statusCode === 200, `a password: ${answer.statusCode}`);
  return (await json(answer)).password;
}

// Runs the steps of this role, named by their keys, up to the first that fails: the rest needs it.
export async function main({ both, host, guest }, order) {
  const steps = { ...both, ...(role === "host" ? host : guest) };
  for (const name of order.filter((name) => name in steps && wanted.has(name))) {
    try {
      await steps[name]();
      console.log(`ok ${name}`);
    } catch (error) {
      console.error(error);
      console.log(`not ok ${name}: ${String(error).replaceAll("\n", " ")}`);
      process.exit(1);
    }
  }
  process.exit(0);
}
