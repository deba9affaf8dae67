"""Ollama's library for Python."""

import ollama
from pydantic import BaseModel

from cases import FOREVER, REAL, SCRIPTED, SCRIPTED_OLLAMA, SLOWLY, URL, case, expect, main, png, refused

client = ollama.Client(host=URL)


def question(text, **more):
    return [{"role": "user", "content": text, **more}]


def weather(city: str) -> str:
    """Tells the weather.

    Args:
      city: The city.
    """
    return f"7 degrees in {city}"


@case
def models():
    names = [model.model for model in client.list().models]
    expect(names[0] == f"{REAL}:latest" and f"{SCRIPTED}:latest" in names, names)
    shown = client.show(SCRIPTED_OLLAMA)
    expect({"tools", "insert", "vision"} <= set(shown.capabilities), shown.capabilities)
    expect(shown.modelinfo["maru.context_length"] == 8192, shown.modelinfo)
    running = {model.model: model.context_length for model in client.ps().models}
    expect(running[f"{SCRIPTED_OLLAMA}:latest"] == 8192, running)


@case
def chat():
    reply = client.chat(REAL, question("Say hello."), options={"num_predict": 8, "temperature": 0})
    expect(reply.message.role == "assistant" and reply.message.content, reply)
    expect(reply.done and 0 < reply.eval_count <= 8, reply)


@case
def stream():
    options = {"num_predict": 12, "temperature": 0}
    parts = list(client.chat(REAL, question("Count."), stream=True, options=options))
    expect(len([part for part in parts if part.message.content]) >= 2, parts)
    expect(parts[-1].done and parts[-1].eval_count > 0, parts[-1])


@case
def tools():
    for model in (SCRIPTED, SCRIPTED_OLLAMA):
        messages = question("What is the weather?")
        reply = client.chat(model, messages, tools=[weather])
        call = reply.message.tool_calls[0].function
        expect((call.name, call.arguments) == ("weather", {"city": "Seoul"}), call)
        result = {"role": "tool", "tool_name": call.name, "content": weather(**call.arguments)}
        messages += [reply.message, result]
        said = client.chat(model, messages, tools=[weather]).message.content
        expect(said == "The tool said 7 degrees in Seoul.", said)


@case
def structured():
    class Place(BaseModel):
        city: str
        number: int

    for model in (SCRIPTED, SCRIPTED_OLLAMA):
        reply = client.chat(model, question("Which city?"), format=Place.model_json_schema())
        expect(Place.model_validate_json(reply.message.content) == Place(city="Seoul", number=7), reply)


@case
def image():
    for model in (SCRIPTED, SCRIPTED_OLLAMA):
        said = client.chat(model, question("What is it?", images=[png()])).message.content
        expect(said == f"1 image of {len(png())} bytes", said)


@case
def embeddings():
    for model in (SCRIPTED, SCRIPTED_OLLAMA):
        made = client.embed(model, ["a", "abc"])
        expect(list(map(list, made.embeddings)) == [[1, -0.5, 0.25], [3, -0.5, 0.25]], made)
    expect(list(client.embeddings(SCRIPTED, "ab").embedding) == [2, -0.5, 0.25], "the older call")


@case
def generate():
    expect(client.generate(REAL, "Say hello.", options={"num_predict": 4}).response, "a text")
    for model in (SCRIPTED, SCRIPTED_OLLAMA):
        expect(client.generate(model, "Once", raw=True).response == "[Once|]", "raw")
        expect(client.generate(model, "Once", suffix="time").response == "[Once|time]", "a gap")


@case
def unknown_model():
    error = refused(ollama.ResponseError, lambda: client.chat("llama9", question("hi")))
    expect(error.status_code == 404 and "llama9" in error.error, error)


@case
def unsupported():
    error = refused(ollama.ResponseError, lambda: client.chat(REAL, question("hi"), tools=[weather]))
    expect(error.status_code == 400 and "does not support tools" in error.error, error)


@case
def changes_nothing():
    error = refused(ollama.ResponseError, lambda: client.pull("llama3.2"))
    expect(error.status_code == 403 and "maru model pull" in error.error, error)
    refused(ollama.ResponseError, lambda: client.delete(REAL))


@case
def cancel():
    for model in (SCRIPTED, SCRIPTED_OLLAMA):
        stream = client.chat(model, question(FOREVER), stream=True)
        next(part for part in stream if part.message.content)
        stream.close()


@case
def waits():
    # What comes before the first token is a line that says nothing.
    parts = [part.message.content for part in client.chat(SCRIPTED, question(SLOWLY), stream=True)]
    expect(parts[0] == "" and "".join(parts) == "one two three", parts)


@case
def any_key():
    other = ollama.Client(host=URL, headers={"Authorization": "Bearer something-else"})
    expect(len(other.list().models) == len(client.list().models), "the same models")


main()
