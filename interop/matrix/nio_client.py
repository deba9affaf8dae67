"""matrix-nio with its encryption."""

import asyncio
import io
import tempfile

import nio

from walk import (
    ANSWER, BYE, EDITED, EMOJI, ENCRYPTS, PASSWORD, PATIENCE, PEER, PNG, RENAMED, ROOM, SECRET, SECRET_ANSWER, TEXT, URL,
    USER, expect, main, step,
)

store = tempfile.TemporaryDirectory()
config = nio.AsyncClientConfig(encryption_enabled=ENCRYPTS)
client = nio.AsyncClient(URL, USER, store_path=store.name, config=config)
# Every event of a timeline, by its room, in the order of the syncs.
seen = []
# What was written encrypted in the direct chat, of both people.
secrets = []
# Rooms by what they are for, and ids of events.
rooms, events = {}, {}


def done(response):
    """The response, which has to be a success."""
    expect(not isinstance(response, nio.ErrorResponse), response)
    return response


async def until(what, condition):
    """Syncs until the condition holds, and returns what it returns."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not (found := condition()):
        expect(asyncio.get_running_loop().time() < deadline, f"{what}: never seen")
        response = done(await client.sync(timeout=2000))
        for room, joined in response.rooms.join.items():
            seen.extend((room, event.source) for event in joined.timeline.events)
            seen.extend((room, event) for event in joined.ephemeral)
            seen.extend((room, event) for event in joined.account_data)
            secrets.extend(
                it.body for it in joined.timeline.events
                if room == rooms.get("direct") and isinstance(it, nio.RoomMessageText) and it.decrypted
            )
        if ENCRYPTS:
            await keys()
    return found


async def keys():
    """What nio's own loop does after each sync."""
    if client.should_upload_keys:
        done(await client.keys_upload())
    if client.should_query_keys:
        done(await client.keys_query())
    if client.should_claim_keys:
        done(await client.keys_claim(client.get_users_for_key_claiming()))
    await client.send_to_device_messages()


def event(test):
    """An event of the group for which the test holds, or None."""
    return next(
        (it for room, it in seen if room == rooms["group"] and isinstance(it, dict) and test(it)), None
    )


def says(body):
    return lambda it: it["type"] == "m.room.message" and it["content"].get("body") == body


def relates(it):
    return it["content"].get("m.relates_to", {})


async def send(content, room="group", kind="m.room.message"):
    return done(await client.room_send(rooms[room], kind, content, ignore_unverified_devices=True)).event_id


@step("both")
async def discover():
    expect("m.login.password" in done(await client.login_info()).flows, "by password")


@step("both")
async def sign_in():
    response = done(await client.login(PASSWORD, device_name="nio"))
    expect(response.user_id == USER, response)
    again = nio.AsyncClient(URL, USER)
    refused = await again.login(PASSWORD)
    await again.close()
    expect(isinstance(refused, nio.LoginError) and refused.status_code == "M_FORBIDDEN", refused)
    expect(done(await client.whoami()).user_id == USER, "who am I")
    done(await client.sync(timeout=0, full_state=True))
    if ENCRYPTS:
        await keys()


@step("host")
async def direct_chat():
    preset = nio.RoomPreset.trusted_private_chat
    encryption = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
    state = [encryption] if ENCRYPTS else []
    made = done(await client.room_create(is_direct=True, invite=[PEER], preset=preset, initial_state=state))
    rooms["direct"] = made.room_id


@step("host")
async def group():
    preset = nio.RoomPreset.private_chat
    made = done(await client.room_create(name=ROOM, topic="food", invite=[PEER], preset=preset))
    rooms["group"] = made.room_id


@step("guest")
async def invited():
    found = await until("two invitations", lambda: len(of_peer()) >= 2 and of_peer())
    for room in found:
        rooms["group" if room.name == ROOM else "direct"] = room.room_id
    expect(len(rooms) == 2, found)


def of_peer():
    return [room for room in client.invited_rooms.values() if room.inviter == PEER]


@step("guest")
async def join():
    for room in rooms.values():
        done(await client.join(room))
    await until("the rooms", lambda: all(room in client.rooms for room in rooms.values()))


@step("host")
async def joined():
    def is_joined(room):
        users = client.rooms[room].users if room in client.rooms else {}
        return PEER in users and not users[PEER].invited

    await until("the guest", lambda: all(map(is_joined, rooms.values())))
    members = done(await client.joined_members(rooms["group"])).members
    expect({member.user_id for member in members} == {USER, PEER}, members)


@step("host")
async def secret():
    await send({"msgtype": "m.text", "body": SECRET}, room="direct")
    await until("the answer", lambda: SECRET_ANSWER in secrets)


@step("guest")
async def read_secret():
    await until("the secret", lambda: SECRET in secrets)
    await send({"msgtype": "m.text", "body": SECRET_ANSWER}, room="direct")


@step("host")
async def text():
    events["text"] = await send({"msgtype": "m.text", "body": TEXT})


@step("guest")
async def read_text():
    events["text"] = (await until("the text", lambda: event(says(TEXT))))["event_id"]


@step("host")
async def edit():
    await until("the text", lambda: event(says(TEXT)))
    new = {"msgtype": "m.text", "body": EDITED}
    relation = {"rel_type": "m.replace", "event_id": events["text"]}
    await send({"msgtype": "m.text", "body": f"* {EDITED}", "m.new_content": new, "m.relates_to": relation})


@step("guest")
async def read_edit():
    is_edit = lambda it: relates(it).get("rel_type") == "m.replace"
    edit = await until("the edit", lambda: event(is_edit))
    expect(relates(edit)["event_id"] == events["text"], edit)
    found = done(await client.room_get_event(rooms["group"], events["text"])).event.source
    bundled = found["unsigned"]["m.relations"]["m.replace"]
    expect(bundled["event_id"] == edit["event_id"], found)


@step("guest")
async def react():
    relation = {"rel_type": "m.annotation", "event_id": events["text"], "key": EMOJI}
    await send({"m.relates_to": relation}, kind="m.reaction")


@step("guest")
async def reply():
    relation = {"m.in_reply_to": {"event_id": events["text"]}}
    await send({"msgtype": "m.text", "body": ANSWER, "m.relates_to": relation})


@step("host")
async def reaction_and_reply():
    is_reaction = lambda it: it["type"] == "m.reaction" and relates(it).get("key") == EMOJI
    await until("the reaction", lambda: event(is_reaction))
    answer = await until("the reply", lambda: event(says(ANSWER)))
    expect(relates(answer)["m.in_reply_to"]["event_id"] == events["text"], answer)


@step("guest")
async def receipt():
    group = rooms["group"]
    done(await client.update_receipt_marker(group, events["text"], nio.ReceiptType.read))
    done(await client.room_read_markers(group, events["text"], events["text"]))


@step("host")
async def read_receipt():
    def found():
        receipts = [it for room, it in seen if room == rooms["group"] and isinstance(it, nio.ReceiptEvent)]
        return any(one.user_id == PEER for it in receipts for one in it.receipts)

    await until("the receipt", found)


@step("guest")
async def typing():
    done(await client.room_typing(rooms["group"], True, 30_000))


@step("host")
async def sees_typing():
    await until("typing", lambda: any(
        isinstance(it, nio.TypingNoticeEvent) and PEER in it.users for _, it in seen
    ))


@step("host")
async def image():
    sent, _ = await client.upload(lambda *_: io.BytesIO(PNG), "image/png", "dot.png", filesize=len(PNG))
    uri = done(sent).content_uri
    info = {"mimetype": "image/png", "size": len(PNG), "w": 1, "h": 1}
    await send({"msgtype": "m.image", "body": "dot.png", "url": uri, "info": info})


@step("guest")
async def see_image():
    is_image = lambda it: it["content"].get("msgtype") == "m.image"
    uri = (await until("the picture", lambda: event(is_image)))["content"]["url"]
    file = done(await client.download(uri))
    expect((file.body, file.content_type) == (PNG, "image/png"), file)
    server, media = uri.removeprefix("mxc://").split("/")
    expect(done(await client.thumbnail(server, media, width=32, height=32)).body, "a thumbnail")


@step("host")
async def rename():
    await client.room_put_state(rooms["group"], "m.room.name", {"name": RENAMED})
    await until("the name", lambda: client.rooms[rooms["group"]].name == RENAMED)


@step("guest")
async def see_name():
    await until("the name", lambda: client.rooms[rooms["group"]].name == RENAMED)


@step("host")
async def tag():
    path = ["user", USER, "rooms", rooms["group"], "tags", "m.favourite"]
    await put(path, {"order": 0.5})
    await until("the tag", lambda: any(
        isinstance(it, nio.TagEvent) and "m.favourite" in it.tags for _, it in seen
    ))


@step("host")
async def account_data():
    path = ["user", USER, "account_data", "org.example.walk"]
    await put(path, {"steps": 1})
    response = await client.send("GET", nio.Api._build_path(path), headers=bearer())
    expect((await response.json()) == {"steps": 1}, response)


async def put(path, content):
    response = await client.send("PUT", nio.Api._build_path(path), nio.Api.to_json(content), bearer())
    expect(response.status == 200, response)


def bearer():
    return {"Authorization": f"Bearer {client.access_token}"}


@step("host")
async def redact():
    done(await client.room_redact(rooms["group"], events["text"], "a mistake"))


@step("guest")
async def see_redaction():
    is_redaction = lambda it: it["type"] == "m.room.redaction"
    await until("the redaction", lambda: event(is_redaction))
    found = done(await client.room_get_event(rooms["group"], events["text"])).event.source
    expect(found["content"] == {} and "redacted_because" in found["unsigned"], found)
    await send({"msgtype": "m.text", "body": BYE})


@step("both")
async def paginate():
    await until("the last text", lambda: event(says(BYE)))
    found, start = [], client.next_batch
    for _ in range(20):
        page = done(await client.room_messages(rooms["group"], start, limit=5))
        found += [it.source for it in page.chunk]
        if not page.end or not page.chunk:
            break
        start = page.end
    ids = [it["event_id"] for it in found]
    expect(len(set(ids)) == len(ids), "an event comes twice")
    # A guest sees what was before the invitation, too: the history is shared.
    expect(found[-1]["type"] == "m.room.create", found[-1])
    bodies = [it["content"].get("body") for it in found]
    expect(BYE in bodies and ANSWER in bodies and TEXT not in bodies, bodies)


@step("both")
async def sign_out():
    token = client.access_token
    done(await client.logout())
    client.access_token = token
    gone = await client.whoami()
    expect(isinstance(gone, nio.ErrorResponse) and gone.status_code == "M_UNKNOWN_TOKEN", gone)


main(client.close)
