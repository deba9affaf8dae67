"""A backend that answers as told: OpenAI's and Ollama's API on one port, for what the small model cannot do.

    python3 scripted.py PORT

It prints `ready`. What it answers depends on the request alone (`reply`), so that a client can check every byte.
`GET /state` says how many replies are under way and how many their callers left.
"""

import base64
import http.server
import json
import sys
import threading
import time

# Words of a reply that nobody waits for.
FOREVER = "forever"
# Between two words of it, in seconds: a caller that has left is noticed with one of the next words.
PAUSE = 0.05
# Words of it at most, should nobody leave: ten minutes.
WORDS = 12_000

# A word on which nothing is said for so long, in seconds: as if the prompt were long.
SLOWLY = "slowly"
READING = 3

# Characters of a conversation that the models hold.
CONTEXT = 20_000

MODELS = {
    "all:latest": ["completion", "tools", "insert", "vision", "thinking", "embedding"],
    "plain:latest": ["completion"],
}

state = {"open": 0, "left": 0}
lock = threading.Lock()


def named(model):
    return model if ":" in model else f"{model}:latest"


def reply(messages, tools, shaped):
    """What is said to a conversation: a list of texts, or a call of the first tool."""
    last = messages[-1]
    text, images = last["text"], last["images"]
    if last["role"] == "tool":
        return [f"The tool said {text}."], None
    if tools:
        return [], {"name": tools[0]["function"]["name"], "arguments": {"city": "Seoul"}}
    if shaped:
        return ['{"city": ', '"Seoul", ', '"number": 7}'], None
    if images:
        return [f"{len(images)} image of {len(images[0])} bytes"], None
    if FOREVER in text:
        return (f"word{number} " for number in range(WORDS)), None
    if SLOWLY in text:
        return read_first(["one ", "two ", "three"]), None
    return ["one ", "two ", "three"], None


def read_first(texts):
    time.sleep(READING)
    yield from texts


def vector(text):
    return [float(len(text)), -0.5, 0.25]


def openai_message(message):
    content = message.get("content") or ""
    if isinstance(content, str):
        return {"role": message["role"], "text": content, "images": []}
    text = "".join(part["text"] for part in content if part["type"] == "text")
    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    images = [base64.b64decode(url.split(",", 1)[1]) for url in urls]
    return {"role": message["role"], "text": text, "images": images}


def ollama_message(message):
    images = [base64.b64decode(image) for image in message.get("images", [])]
    return {"role": message["role"], "text": message["content"], "images": images}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def whole(self, body, status=200):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def stream(self, kind, pieces):
        """Sends pieces as chunks; counts a caller who leaves before the last."""
        with lock:
            state["open"] += 1
        left = 1
        try:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Connection", "close")
            self.end_headers()
            for piece in pieces:
                data = piece.encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()
            # Whoever has read the end may be gone before the connection's.
            left = 0
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
        except OSError:
            pass
        finally:
            with lock:
                state["open"] -= 1
                state["left"] += left

    def body(self):
        length = int(self.headers.get("Content-Length", 0))
        return json.loads(self.rfile.read(length) or b"{}")

    def do_GET(self):
        answers = {
            "/state": lambda: dict(state),
            "/health": lambda: {"status": "ok"},
            "/v1/models": lambda: {"data": [{"id": "all", "meta": {"n_ctx": 8192}}]},
            "/api/version": lambda: {"version": "0.17.4"},
            "/api/tags": lambda: {"models": [{"name": name} for name in MODELS]},
        }
        answer = answers.get(self.path)
        if answer is None:
            self.whole({"error": "there is nothing here"}, 404)
            return
        with lock:
            self.whole(answer())

    def do_POST(self):
        request = self.body()
        paths = {
            "/v1/chat/completions": self.openai_chat,
            "/v1/completions": self.openai_text,
            "/v1/embeddings": self.openai_vectors,
            "/api/show": self.ollama_show,
            "/api/chat": self.ollama_chat,
            "/api/generate": self.ollama_generate,
            "/api/embed": self.ollama_vectors,
        }
        answer = paths.get(self.path)
        if answer is None:
            self.whole({"error": "there is nothing here"}, 404)
        else:
            answer(request)

    # OpenAI's.

    def openai_chat(self, request):
        messages = [openai_message(message) for message in request["messages"]]
        shaped = request.get("response_format", {}).get("type", "text") != "text"
        texts, call = reply(messages, request.get("tools"), shaped)
        self.stream("text/event-stream", self.openai_events(texts, call))

    def openai_events(self, texts, call):
        def event(delta, reason=None):
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            return f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"

        words = 0
        for text in texts:
            words += 1
            yield event({"content": text})
            time.sleep(PAUSE)
        if call:
            # In pieces, as llama-server sends them.
            arguments = json.dumps(call["arguments"])
            function = {"name": call["name"], "arguments": ""}
            first = {"index": 0, "id": "call_scripted", "type": "function", "function": function}
            yield event({"tool_calls": [first]})
            for piece in (arguments[:5], arguments[5:]):
                yield event({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
        yield event({}, "tool_calls" if call else "stop")
        usage = {"prompt_tokens": 5, "completion_tokens": words, "total_tokens": 5 + words}
        yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n"

    def openai_text(self, request):
        text = f"[{request['prompt']}|{request.get('suffix', '')}]"

        def events():
            for said, reason in ((text, None), ("", "stop")):
                choice = {"index": 0, "text": said, "logprobs": None, "finish_reason": reason}
                yield f"data: {json.dumps({'choices': [choice]})}\n\n"
            usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
            yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n"

        self.stream("text/event-stream", events())

    def openai_vectors(self, request):
        data = [
            {"object": "embedding", "index": index, "embedding": vector(text)}
            for index, text in enumerate(request["input"])
        ]
        self.whole({"object": "list", "data": data, "usage": {"prompt_tokens": 5, "total_tokens": 5}})

    # Ollama's.

    def ollama_show(self, request):
        name = named(request["model"])
        if name not in MODELS:
            self.whole({"error": f"model '{name}' not found"}, 404)
            return
        info = {"general.architecture": "scripted", "scripted.context_length": 8192}
        self.whole({"capabilities": MODELS[name], "model_info": info, "parameters": "num_ctx 8192"})

    def lacks(self, request, needs):
        """Refuses in Ollama's words what the model cannot do; whether it did."""
        name = named(request["model"])
        for needed, capability in needs:
            if needed and capability not in MODELS.get(name, []):
                words = f'"{request["model"]}" does not support {capability}'
                self.whole({"error": words}, 400)
                return True
        return False

    def ollama_chat(self, request):
        messages = [ollama_message(message) for message in request["messages"]]
        thinks = request.get("think") not in (None, False)
        # Images that a model does not see Ollama leaves out, so a gateway that passes them on loses them.
        if self.lacks(request, [(request.get("tools"), "tools"), (thinks, "thinking")]):
            return
        if sum(len(message["text"]) for message in messages) > CONTEXT:
            self.whole({"error": "the prompt is longer than the context length"}, 400)
            return
        texts, call = reply(messages, request.get("tools"), "format" in request)
        texts, reason = self.few(request, texts)

        def message(text, calls):
            said = {"role": "assistant", "content": text}
            return {"message": {**said, "tool_calls": calls} if calls else said}

        self.stream("application/x-ndjson", self.ollama_lines(texts, call, message, reason))

    def ollama_generate(self, request):
        thinks = request.get("think") not in (None, False)
        if self.lacks(request, [(request.get("suffix"), "insert"), (thinks, "thinking")]):
            return
        texts, reason = self.few(request, [f"[{request['prompt']}|{request.get('suffix', '')}]"])
        lines = self.ollama_lines(texts, None, lambda text, _: {"response": text}, reason)
        self.stream("application/x-ndjson", lines)

    def few(self, request, texts):
        """What the model `plain` says: as many words as it may, whatever was asked."""
        limit = request.get("options", {}).get("num_predict", 0)
        if named(request["model"]) != "plain:latest" or not 0 < limit < 100:
            return texts, "stop"
        return ["word "] * limit, "length"

    def ollama_lines(self, texts, call, said, reason="stop"):
        words = 0
        for text in texts:
            words += 1
            yield json.dumps({**said(text, None), "done": False}) + "\n"
            time.sleep(PAUSE)
        if call:
            calls = [{"function": {"name": call["name"], "arguments": call["arguments"]}}]
            yield json.dumps({**said("", calls), "done": False}) + "\n"
        end = {"done": True, "done_reason": reason, "prompt_eval_count": 5, "eval_count": words}
        yield json.dumps({**said("", None), **end}) + "\n"

    def ollama_vectors(self, request):
        if not self.lacks(request, [(True, "embedding")]):
            vectors = [vector(text) for text in request["input"]]
            self.whole({"embeddings": vectors, "prompt_eval_count": 5})


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


if __name__ == "__main__":
    server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
    print("ready", flush=True)
    server.serve_forever()
