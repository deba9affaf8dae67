// matrix-js-sdk with its crypto: what Element Web does, without its screen.

import * as sdk from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";

import {
  answer, anotherPassword, bye, edited, emoji, encrypts, expect, main, password, peer, png, renamed, room as name, secret,
  secretAnswer, text, until, url, user,
} from "./walk.mjs";

logger.setLevel?.("silent");

let client;
const rooms = {};
const events = {};
const group = () => client.getRoom(rooms.group);
const timeline = () => group()?.getLiveTimeline().getEvents() ?? [];
const says = (body) => timeline().find((it) => it.getContent().body === body);
// The recovery key, once there is one.
let recovery;
// A text of the direct chat that a device could decrypt.
const direct = (device, body) => {
  const events = device.getRoom(rooms.direct)?.getLiveTimeline().getEvents() ?? [];
  return events.find((it) => it.getContent().body === body && it.isEncrypted() && !it.isDecryptionFailure());
};
const member = (room, person) => client.getRoom(room)?.getMember(person)?.membership;
const send = async (content) => (await client.sendMessage(rooms.group, content)).event_id;
const bearer = () => ({ headers: { Authorization: `Bearer ${client.getAccessToken()}` } });

async function media(uri, ...size) {
  const path = client.mxcUrlToHttp(uri, ...size, false, true, true);
  const response = await fetch(path, bearer());
  expect(response.ok, `${path}: ${response.status}`);
  return response;
}

// A device of this person, whose syncs run.
async function device(password, key) {
  const identifier = { type: "m.id.user", user };
  const ask = { type: "m.login.password", identifier, password, refresh_token: true };
  const got = await sdk.createClient({ baseUrl: url }).loginRequest({ ...ask, initial_device_display_name: "js" });
  const [userId, deviceId, accessToken] = [got.user_id, got.device_id, got.access_token];
  const getSecretStorageKey = async ({ keys }) => (key ? [Object.keys(keys)[0], key] : null);
  const cryptoCallbacks = { getSecretStorageKey, cacheSecretStorageKey: (_id, _info, made) => (key = made) };
  const made = sdk.createClient({ baseUrl: url, userId, deviceId, accessToken, timelineSupport: true, cryptoCallbacks });
  if (encrypts) await made.initRustCrypto({ useIndexedDB: false });
  await made.startClient({ initialSyncLimit: 20, lazyLoadMembers: true, threadSupport: true });
  await until("the first sync", () => ["SYNCING", "PREPARED"].includes(made.getSyncState()));
  return made;
}

// A second proof of who one is, which nobody has to give here.
const confirmed = (upload) => upload(null);

async function signOut(device) {
  const [accessToken, baseUrl] = [device.getAccessToken(), url];
  device.stopClient();
  await device.logout(true);
  const gone = await sdk.createClient({ baseUrl, accessToken }).whoami().then(() => null, (error) => error);
  expect(gone?.errcode === "M_UNKNOWN_TOKEN", gone);
}

const both = {
  async discover() {
    const found = await sdk.AutoDiscovery.fromDiscoveryConfig({ "m.homeserver": { base_url: url } });
    expect(found["m.homeserver"].state === "SUCCESS", found);
  },

  async sign_in() {
    const first = sdk.createClient({ baseUrl: url });
    const flows = (await first.loginFlows()).flows.map((flow) => flow.type);
    expect(flows.includes("m.login.password") && flows.includes("m.login.sso"), flows);
    client = await device(password);
    expect(client.getUserId() === user, client.getUserId());
    if (encrypts) await client.getCrypto().bootstrapCrossSigning({ authUploadDeviceSigningKeys: confirmed, setupNewCrossSigning: true });
  },

  async paginate() {
    await until("the last text", () => says(bye));
    const live = group().getLiveTimeline();
    while (await client.paginateEventTimeline(live, { backwards: true, limit: 5 }));
    const found = live.getEvents();
    const ids = new Set(found.map((it) => it.getId()));
    expect(ids.size === found.length, "an event comes twice");
    expect(found[0].getType() === "m.room.create", found[0].getType());
    expect(says(answer) && says(bye) && !says(text), "the texts");
  },

  async people() {
    const found = await client.searchUserDirectory({ term: peer });
    expect(found.results.some((it) => it.user_id === peer), found);
    expect((await client.getProfileInfo(peer)).displayname, "a name");
  },

  async sign_out() {
    await signOut(client);
  },
};

const host = {
  async recovery() {
    const crypto = client.getCrypto();
    recovery = await crypto.createRecoveryKeyFromPassphrase();
    const createSecretStorageKey = async () => recovery;
    await crypto.bootstrapSecretStorage({ createSecretStorageKey, setupNewKeyBackup: true, setupNewSecretStorage: true });
  },

  async direct_chat() {
    const preset = "trusted_private_chat";
    const content = { algorithm: "m.megolm.v1.aes-sha2" };
    const initial_state = encrypts ? [{ type: "m.room.encryption", state_key: "", content }] : [];
    rooms.direct = (await client.createRoom({ is_direct: true, invite: [peer], preset, initial_state })).room_id;
  },

  async group() {
    const made = await client.createRoom({ name, topic: "food", invite: [peer], preset: "private_chat" });
    rooms.group = made.room_id;
  },

  async joined() {
    const all = () => Object.values(rooms).every((room) => member(room, peer) === "join");
    await until("the guest", all);
  },

  async secret() {
    await client.sendTextMessage(rooms.direct, secret);
    await until("the answer", () => direct(client, secretAnswer));
  },

  async text() {
    events.text = await send({ msgtype: "m.text", body: text });
  },

  async edit() {
    const content = { msgtype: "m.text", body: edited };
    const relation = { rel_type: "m.replace", event_id: events.text };
    await send({ msgtype: "m.text", body: `* ${edited}`, "m.new_content": content, "m.relates_to": relation });
  },

  async reaction_and_reply() {
    await until("the reaction", () =>
      timeline().find((it) => it.getType() === "m.reaction" && it.getRelation()?.key === emoji),
    );
    const found = await until("the reply", () => says(answer));
    expect(found.replyEventId === events.text, found.getContent());
  },

  async thread() {
    const found = await until("the thread", () => group().getThread(events.text));
    expect(found.id === events.text, found.id);
  },

  async read_receipt() {
    const last = await until("the last text", () => says("in a thread") ?? says(answer));
    await until("the receipt", () => group().hasUserReadEvent(peer, events.text) && last);
  },

  async sees_typing() {
    await until("typing", () => group().getMember(peer)?.typing);
  },

  async image() {
    const { content_uri: url } = await client.uploadContent(png, { name: "dot.png", type: "image/png" });
    await send({ msgtype: "m.image", body: "dot.png", url, info: { mimetype: "image/png", size: png.length } });
  },

  async rename() {
    await client.setRoomName(rooms.group, renamed);
    await until("the name", () => group().name === renamed);
  },

  async tag() {
    await client.setRoomTag(rooms.group, "m.favourite", { order: 0.5 });
    await until("the tag", () => group().tags["m.favourite"]);
  },

  async account_data() {
    // It ends once the data came back in a sync.
    await client.setAccountData("org.example.walk", { steps: 1 });
    expect(client.getAccountData("org.example.walk").getContent().steps === 1, "the data");
  },

  async mute() {
    await client.setRoomMutePushRule("global", rooms.group, true);
    await until("the rule", () => client.getRoomPushRule("global", rooms.group));
  },

  async redact() {
    await client.redactEvent(rooms.group, events.text, undefined, { reason: "a mistake" });
  },

  // A second device, with the recovery key, reads what was written before.
  async recovered_device() {
    // The keys of both people's texts, which the app saves within ten seconds.
    const saved = async () => (await client.http.authedRequest("GET", "/room_keys/version")).count;
    await until("the backup", async () => (await saved()) >= 2);
    const second = await device(await anotherPassword(), recovery.privateKey);
    const crypto = second.getCrypto();
    expect(await crypto.userHasCrossSigningKeys(user, true), "an identity");
    await crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: confirmed });
    await crypto.loadSessionBackupPrivateKeyFromSecretStorage();
    await crypto.checkKeyBackupAndEnable();
    await crypto.restoreKeyBackup();
    await until("the old text", () => direct(second, secret));
    await signOut(second);
  },

  // A third device, verified by emoji, is trusted and has the person's secrets.
  async verified_device() {
    const third = await device(await anotherPassword());
    const incoming = new Promise((resolve) => client.on("crypto.verificationRequestReceived", resolve));
    const asked = await third.getCrypto().requestOwnUserVerification();
    const request = await incoming;
    await request.accept();
    await until("the other's consent", () => asked.phase === 3);
    const shown = [];
    const verify = (verifier) => {
      verifier.on("show_sas", (sas) => {
        shown.push(sas.sas.emoji.map(([symbol]) => symbol).join(" "));
        sas.confirm();
      });
      return verifier.verify();
    };
    const own = verify(await asked.startVerification("m.sas.v1"));
    await Promise.all([own, verify(await until("the start", () => request.verifier))]);
    expect(shown.length === 2 && shown[0] === shown[1], shown);
    const id = third.getDeviceId();
    await until("trust", async () => (await third.getCrypto().getDeviceVerificationStatus(user, id))?.signedByOwner);
    await until("the secrets", () => third.getCrypto().isCrossSigningReady());
    await signOut(third);
  },
};

const guest = {
  async invited() {
    const invited = () => client.getRooms().filter((it) => it.getMyMembership() === "invite");
    const found = await until("two invitations", () => invited().length >= 2 && invited());
    for (const it of found) rooms[it.name === name ? "group" : "direct"] = it.roomId;
    expect(Object.keys(rooms).length === 2, found.map((it) => it.name));
  },

  async join() {
    for (const room of Object.values(rooms)) await client.joinRoom(room);
    await until("the rooms", () => Object.values(rooms).every((room) => member(room, user) === "join"));
  },

  async read_secret() {
    await until("the secret", () => direct(client, secret));
    await client.sendTextMessage(rooms.direct, secretAnswer);
  },

  async read_text() {
    events.text = (await until("the text", () => says(text) ?? says(edited))).getId();
  },

  async read_edit() {
    await until("the edit", () => group().findEventById(events.text).getContent().body === edited);
  },

  async react() {
    const relation = { rel_type: "m.annotation", event_id: events.text, key: emoji };
    await client.sendEvent(rooms.group, "m.reaction", { "m.relates_to": relation });
  },

  async reply() {
    const relation = { "m.in_reply_to": { event_id: events.text } };
    await send({ msgtype: "m.text", body: answer, "m.relates_to": relation });
  },

  async start_thread() {
    const relation = { rel_type: "m.thread", event_id: events.text };
    await send({ msgtype: "m.text", body: "in a thread", "m.relates_to": relation });
    const found = await client.relations(rooms.group, events.text, "m.thread", "m.room.message");
    expect(found.events.length === 1, found.events.length);
  },

  async receipt() {
    const event = await until("the reply", () => says(answer)?.status === null && says(answer));
    await client.sendReadReceipt(event);
    await client.setRoomReadMarkers(rooms.group, event.getId(), event);
  },

  async typing() {
    await client.sendTyping(rooms.group, true, 30_000);
  },

  async see_image() {
    const found = await until("the picture", () =>
      timeline().find((it) => it.getContent().msgtype === "m.image"),
    );
    const file = await media(found.getContent().url, undefined, undefined, undefined);
    expect(file.headers.get("content-type") === "image/png", file.headers.get("content-type"));
    expect(Buffer.from(await file.arrayBuffer()).equals(png), "the same picture");
    await media(found.getContent().url, 32, 32, "scale");
    expect((await client.getMediaConfig(true))["m.upload.size"] > 0, "a limit");
  },

  async see_name() {
    await until("the name", () => group().name === renamed);
  },

  async see_redaction() {
    await until("the redaction", () => group().findEventById(events.text)?.isRedacted());
    await send({ msgtype: "m.text", body: bye });
  },
};

await main({ both, host, guest }, [
  "discover", "sign_in", "recovery", "direct_chat", "group", "invited", "join", "joined", "secret", "read_secret", "text",
  "read_text", "edit", "read_edit",
  "react", "reply", "reaction_and_reply", "start_thread", "thread", "receipt", "read_receipt", "typing", "sees_typing",
  "image", "see_image", "rename", "see_name", "tag", "account_data", "mute", "redact", "see_redaction", "people",
  "paginate", "recovered_device", "verified_device", "sign_out",
]);
