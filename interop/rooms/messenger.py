"""A scripted messenger: the participant's half of docs/protocols/plugin.md, rooms, written from that page alone.

    messenger.py SOCKET VECTORS first|restarted

It plays those exchanges of the vectors, and prints what differs. The status is 1 if something does.
"""

import http.client
import json
import socket
import sys

HOST = "gateway.plugin"
SETTINGS = "/maru/v1/rooms/settings"
MESSAGES = "/maru/v1/rooms/messages"
# The gateway sends a comment every 15 seconds.
SILENCE_S = 60
# The longest reply.
MAX_REPLY = 16_384


class Connection(http.client.HTTPConnection):
    """One request to the gateway's socket."""

    def __init__(self, path):
        super().__init__(HOST, timeout=SILENCE_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Reply:
    """A reply: its pieces, and its end, if it was not cut."""

    def __init__(self):
        self.deltas, self.final = [], None

    def take(self, name, data):
        if self.final is not None:
            raise ValueError("an event follows the end")
        if name == "delta":
            self.deltas.append(data["text"])
        elif name == "final":
            if data["finish"] not in ("stop", "length", "cut"):
                raise ValueError(f"a reply ends with {data['finish']}")
            if len(data["text"].encode()) > MAX_REPLY:
                raise ValueError("the reply is too long")
            self.final = data
        else:
            raise ValueError(f"an event is called {name}")


class Messenger:
    """A participant without rooms of its own."""

    def __init__(self, path):
        self.path = path

    def request(self, method, path, body=None, host=HOST):
        connection = Connection(self.path)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host)
        payload = b"" if body is None else json.dumps(body).encode()
        if body is not None:
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(len(payload)))
        connection.endheaders(payload)
        return connection, connection.getresponse()

    def get(self, path, host):
        connection, answer = self.request("GET", path, host=host)
        try:
            return outcome(answer)
        finally:
            connection.close()

    def send(self, message, stop=None):
        """Sends a message; with `stop`, closes the connection after so many deltas."""
        connection, answer = self.request("POST", MESSAGES, message)
        try:
            if answer.status != 200:
                return outcome(answer)
            reply = Reply()
            for name, data in events(answer):
                reply.take(name, json.loads(data))
                if stop is not None and len(reply.deltas) >= stop:
                    break
            found = {"status": 200, "deltas": reply.deltas}
            if reply.final is not None:
                found["final"] = reply.final
            return found
        finally:
            # Also the answer, which holds the socket as well.
            answer.close()
            connection.close()


def outcome(answer):
    """The status of an answer that is no reply, with its body or the kind of its problem."""
    body = answer.read()
    found = {"status": answer.status}
    if answer.getheader("content-type") == "application/problem+json":
        found["kind"] = json.loads(body)["type"].removeprefix("urn:maru:problem:")
    elif body:
        found["json"] = json.loads(body)
    return found


def events(answer):
    """The server-sent events of a stream, up to its end or where it breaks off."""
    if answer.getheader("content-type") != "text/event-stream":
        raise ValueError("a reply is no event stream")
    name, data = "", []
    while True:
        try:
            line = answer.readline()
        except (http.client.IncompleteRead, ConnectionError):
            return
        if not line.endswith(b"\n"):
            return
        field, _, value = line.decode().rstrip("\r\n").partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif not field and not value and line.strip() == b"":
            if data:
                yield name, "\n".join(data)
            name, data = "", []


def sends(settings, room, direct, mention):
    """Whether a participant sends a message under these settings, as far as they say."""
    if direct:
        return settings["directPolicy"] != "disabled"
    groups = settings["groups"]
    group = groups.get(room, groups.get("*"))
    allowed = {"open": True, "allowlist": group is not None, "disabled": False}
    if not allowed[settings["groupPolicy"]]:
        return False
    return mention or not (group or {}).get("requireMention", True)


def main(path, vectors, part):
    with open(vectors, encoding="utf-8") as file:
        vectors = json.load(file)
    failures = 0
    for case in vectors["sends"]:
        if sends(case["settings"], case["room"], case["direct"], case["mention"]) != case["sends"]:
            print(f"sends: {case}")
            failures += 1
    messenger = Messenger(path)
    for exchange in vectors["exchanges"]:
        if exchange.get("restarted", False) != (part == "restarted"):
            continue
        if "path" in exchange:
            found = messenger.get(exchange["path"], exchange.get("host", HOST))
        else:
            found = messenger.send(exchange["message"], exchange.get("stop"))
        if found != exchange["answer"]:
            print(f"{exchange['name']}: {found}, not {exchange['answer']}")
            failures += 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
