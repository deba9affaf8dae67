"""Asks a server of Ollama's API the same requests as every other time, and writes down the shape of what it answers.

    MARU_URL=http://127.0.0.1:11434 python3 compare.py MODEL VECTORS

MODEL is a model that chats and does nothing else, VECTORS one that makes vectors. What a model says differs each time:
of an answer the status, the content type, the fields and the kinds of their values are kept, and the values of the few
fields that clients branch on.
"""

import http.client
import json
import os
import sys
import urllib.parse

URL = urllib.parse.urlsplit(os.environ["MARU_URL"])
MODEL, VECTORS = sys.argv[1:]

# Fields whose values are compared.
EXACT = {"done", "done_reason", "role", "object", "finish_reason", "type", "index"}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}}
HI = [{"role": "user", "content": "Say hello."}]
FEW = {"num_predict": 6, "temperature": 0}


def chat(**more):
    return {"model": MODEL, "messages": HI, "options": FEW, "stream": False, **more}


def generation(**more):
    return {"model": MODEL, "prompt": "Say hello.", "options": FEW, "stream": False, **more}


def openai(**more):
    return {"model": MODEL, "messages": HI, "max_tokens": 6, "temperature": 0, **more}


REQUESTS = {
    "root": ("GET", "/", None),
    "root, HEAD": ("HEAD", "/", None),
    "version": ("GET", "/api/version", None),
    "tags": ("GET", "/api/tags", None),
    "show": ("POST", "/api/show", {"model": MODEL}),
    "show, older name": ("POST", "/api/show", {"name": MODEL}),
    "show, unknown": ("POST", "/api/show", {"model": "llama9"}),
    "show, nothing": ("POST", "/api/show", {}),
    "chat": ("POST", "/api/chat", chat()),
    "chat, streamed": ("POST", "/api/chat", chat(stream=True)),
    "chat, default": ("POST", "/api/chat", {"model": MODEL, "messages": HI, "options": FEW}),
    "chat, load": ("POST", "/api/chat", {"model": MODEL}),
    "chat, load of an empty list": ("POST", "/api/chat", {"model": MODEL, "messages": []}),
    "chat, unload": ("POST", "/api/chat", {"model": MODEL, "messages": [], "keep_alive": 0}),
    "chat, keep alive": ("POST", "/api/chat", chat(keep_alive="5m")),
    "chat, system and history": ("POST", "/api/chat", chat(messages=[
        {"role": "system", "content": "Be brief."}, *HI, {"role": "assistant", "content": "Hello."}, *HI])),
    "chat, unknown model": ("POST", "/api/chat", {**chat(), "model": "llama9"}),
    "chat, no model": ("POST", "/api/chat", {"messages": HI}),
    "chat, no JSON": ("POST", "/api/chat", "{"),
    "chat, messages of a wrong kind": ("POST", "/api/chat", chat(messages="hi")),
    "chat, tools": ("POST", "/api/chat", chat(tools=[TOOL])),
    "chat, an image": ("POST", "/api/chat", chat(messages=[{**HI[0], "images": [PNG]}])),
    "chat, think": ("POST", "/api/chat", chat(think=True)),
    "chat, think false": ("POST", "/api/chat", chat(think=False)),
    "chat, format of a wrong kind": ("POST", "/api/chat", chat(format="yaml")),
    "chat, format json": ("POST", "/api/chat", chat(format="json")),
    "chat, an unknown field": ("POST", "/api/chat", chat(speed=1)),
    "chat, an unknown option": ("POST", "/api/chat", chat(options={**FEW, "speed": 1})),
    "chat, mirostat": ("POST", "/api/chat", chat(options={**FEW, "mirostat": 2})),
    "chat, stop": ("POST", "/api/chat", chat(options={**FEW, "stop": ["~"]})),
    "chat, too long": ("POST", "/api/chat", chat(truncate=False, messages=[{"role": "user", "content": "word " * 12_000}])),
    "chat, GET": ("GET", "/api/chat", None),
    "generate": ("POST", "/api/generate", generation()),
    "generate, streamed": ("POST", "/api/generate", generation(stream=True)),
    "generate, raw": ("POST", "/api/generate", generation(raw=True)),
    "generate, raw with system": ("POST", "/api/generate", generation(raw=True, system="Be brief.")),
    "generate, suffix": ("POST", "/api/generate", generation(suffix="Goodbye.")),
    "generate, load": ("POST", "/api/generate", {"model": MODEL}),
    "generate, unload": ("POST", "/api/generate", {"model": MODEL, "keep_alive": 0}),
    "generate, unknown model": ("POST", "/api/generate", {**generation(), "model": "llama9"}),
    "generate, template": ("POST", "/api/generate", generation(template="{{ .Prompt }}")),
    "generate, an image": ("POST", "/api/generate", generation(images=[PNG])),
    "ps": ("GET", "/api/ps", None),
    "embed": ("POST", "/api/embed", {"model": VECTORS, "input": "a"}),
    "embed, two": ("POST", "/api/embed", {"model": VECTORS, "input": ["a", "b"]}),
    "embed, none": ("POST", "/api/embed", {"model": VECTORS, "input": []}),
    "embed, unknown model": ("POST", "/api/embed", {"model": "llama9", "input": "a"}),
    "embeddings": ("POST", "/api/embeddings", {"model": VECTORS, "prompt": "a"}),
    "delete, unknown": ("DELETE", "/api/delete", {"model": "llama9"}),
    "a path that is not": ("GET", "/api/nothing", None),
    "OpenAI: models": ("GET", "/v1/models", None),
    "OpenAI: a model": ("GET", f"/v1/models/{MODEL}", None),
    "OpenAI: chat": ("POST", "/v1/chat/completions", openai()),
    "OpenAI: chat, streamed": ("POST", "/v1/chat/completions", openai(stream=True)),
    "OpenAI: chat, usage": ("POST", "/v1/chat/completions", openai(stream=True, stream_options={"include_usage": True})),
    "OpenAI: chat, unknown model": ("POST", "/v1/chat/completions", {**openai(), "model": "llama9"}),
    "OpenAI: chat, no JSON": ("POST", "/v1/chat/completions", "{"),
    "OpenAI: chat, no messages": ("POST", "/v1/chat/completions", {"model": MODEL, "messages": []}),
    "OpenAI: chat, tools": ("POST", "/v1/chat/completions", openai(tools=[TOOL])),
    "OpenAI: completion": ("POST", "/v1/completions", {"model": MODEL, "prompt": "Once", "max_tokens": 6}),
    "OpenAI: completion, streamed": ("POST", "/v1/completions", {"model": MODEL, "prompt": "Once", "max_tokens": 6, "stream": True}),
    "OpenAI: completion, suffix": ("POST", "/v1/completions", {"model": MODEL, "prompt": "Once", "suffix": "time"}),
    "OpenAI: embeddings": ("POST", "/v1/embeddings", {"model": VECTORS, "input": ["a", "b"]}),
    "OpenAI: embeddings, base64": ("POST", "/v1/embeddings", {"model": VECTORS, "input": "a", "encoding_format": "base64"}),
}


def shapes(value, at, found):
    """The paths below a value, each with the kind of what is there, or what it is."""
    name = at.rsplit(".", 1)[-1]
    if isinstance(value, dict):
        found.setdefault(at, set()).add("object")
        for key, inner in value.items():
            # Architectures have names of their own, and so have their numbers.
            if at.endswith("model_info") and not key.startswith("general."):
                key = f"*.{key.rsplit('.', 1)[-1]}"
            shapes(inner, f"{at}.{key}", found)
    elif isinstance(value, list):
        found.setdefault(at, set()).add("list")
        for inner in value:
            shapes(inner, f"{at}[]", found)
    elif name in EXACT or value is None:
        found.setdefault(at, set()).add(json.dumps(value))
    else:
        kinds = {bool: "true or false", int: "number", float: "number", str: "text"}
        found.setdefault(at, set()).add(kinds[type(value)])


def objects(kind, body):
    """The JSON values of an answer, each under the name of its place."""
    text = body.decode()
    if kind == "application/x-ndjson":
        lines = [json.loads(line) for line in text.splitlines() if line]
        return [("line", line) for line in lines[:-1]] + [("last", lines[-1])]
    if kind == "text/event-stream":
        events = [event.removeprefix("data: ") for event in text.split("\n\n") if event]
        parsed = [json.loads(event) for event in events[:-1]]
        return [("event", event) for event in parsed] + [("last", events[-1])]
    if kind == "application/json":
        return [("body", json.loads(text))]
    return [("body", text)] if text else []


def ask(method, path, body):
    """One answer's shape: a dictionary of paths."""
    connection = http.client.HTTPConnection(URL.hostname, URL.port, timeout=120)
    data = body if isinstance(body, str) or body is None else json.dumps(body)
    connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
    answer = connection.getresponse()
    kind = (answer.getheader("Content-Type") or "").split(";")[0]
    found = {}
    for place, value in objects(kind, answer.read()):
        shapes(value, place, found)
    connection.close()
    flat = {at: " or ".join(sorted(kinds)) for at, kinds in found.items()}
    return {"status": str(answer.status), "content type": kind or "none", **flat}


if __name__ == "__main__":
    answers = {name: ask(*request) for name, request in REQUESTS.items()}
    json.dump(answers, sys.stdout, indent=1, sort_keys=True)
    print()
