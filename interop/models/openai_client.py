"""OpenAI's SDK for Python."""

import base64
import json

import openai
from pydantic import BaseModel

from cases import FOREVER, REAL, SCRIPTED, SLOWLY, URL, case, expect, main, png, refused

client = openai.OpenAI(base_url=f"{URL}/v1", api_key="mesh", max_retries=0)
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def ask(text, model=REAL, **more):
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(model=model, messages=messages, **more)


@case
def models():
    ids = [model.id for model in client.models.list()]
    expect(ids[0] == REAL and SCRIPTED in ids, ids)
    expect(client.models.retrieve(SCRIPTED).owned_by == "scripted", "by name")


@case
def chat():
    reply = ask("Say hello.", max_tokens=8, temperature=0)
    choice = reply.choices[0]
    expect(choice.message.role == "assistant" and choice.message.content, choice)
    expect(choice.finish_reason in ("stop", "length"), choice.finish_reason)
    expect(0 < reply.usage.completion_tokens <= 8, reply.usage)


@case
def stream():
    more = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(ask("Count.", max_tokens=12, temperature=0, **more))
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    expect(len([text for text in texts if text]) >= 2, texts)
    expect(chunks[-1].usage.completion_tokens > 0, chunks[-1])


@case
def tools():
    messages = [{"role": "user", "content": "What is the weather?"}]
    ask = lambda: client.chat.completions.create(model=SCRIPTED, messages=messages, tools=[TOOL])
    first = ask().choices[0]
    expect(first.finish_reason == "tool_calls", first.finish_reason)
    call = first.message.tool_calls[0]
    expect((call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Seoul"}), call)
    messages += [first.message, {"role": "tool", "tool_call_id": call.id, "content": "7 degrees"}]
    expect(ask().choices[0].message.content == "The tool said 7 degrees.", "the tool's answer")


@case
def tools_streamed():
    messages = [{"role": "user", "content": "What is the weather?"}]
    with client.chat.completions.stream(model=SCRIPTED, messages=messages, tools=[TOOL]) as stream:
        stream.until_done()
        call = stream.get_final_completion().choices[0].message.tool_calls[0]
    expect(json.loads(call.function.arguments) == {"city": "Seoul"}, call)


@case
def structured():
    class Place(BaseModel):
        city: str
        number: int

    messages = [{"role": "user", "content": "Which city?"}]
    parsed = client.chat.completions.parse(model=SCRIPTED, messages=messages, response_format=Place)
    expect(parsed.choices[0].message.parsed == Place(city="Seoul", number=7), parsed)


@case
def image():
    url = "data:image/png;base64," + base64.b64encode(png()).decode()
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    said = ask(parts, SCRIPTED).choices[0].message.content
    expect(said == f"1 image of {len(png())} bytes", said)


@case
def embeddings():
    # The SDK asks for base64 by itself, and reads it.
    made = client.embeddings.create(model=SCRIPTED, input=["a", "abc"])
    expect([item.embedding for item in made.data] == [[1, -0.5, 0.25], [3, -0.5, 0.25]], made)
    plain = client.embeddings.create(model=SCRIPTED, input="ab", encoding_format="float")
    expect(plain.data[0].embedding == [2, -0.5, 0.25], plain)


@case
def completion():
    expect(client.completions.create(model=REAL, prompt="Once", max_tokens=4).choices[0].text, "a text")
    filled = client.completions.create(model=SCRIPTED, prompt="Once", suffix="time", max_tokens=4)
    expect(filled.choices[0].text == "[Once|time]", filled)


@case
def unknown_model():
    error = refused(openai.NotFoundError, lambda: ask("hi", "gpt-4"))
    expect((error.code, error.param, error.status_code) == ("model_not_found", "model", 404), error)


@case
def unsupported():
    error = refused(openai.BadRequestError, lambda: ask("hi", tools=[TOOL]))
    expect(error.code == "unsupported_parameter", error)


@case
def cancel():
    stream = ask(FOREVER, SCRIPTED, stream=True)
    next(chunk for chunk in stream if chunk.choices[0].delta.content)
    stream.close()


@case
def waits():
    # What comes before the first token is a comment, which the SDK leaves out.
    body = {"model": SCRIPTED, "messages": [{"role": "user", "content": SLOWLY}], "stream": True}
    with client.chat.completions.with_streaming_response.create(**body) as response:
        lines = list(response.iter_lines())
    expect(lines[0] == ":" and "data: [DONE]" in lines, lines)
    texts = [chunk.choices[0].delta.content for chunk in ask(SLOWLY, SCRIPTED, stream=True) if chunk.choices]
    expect("".join(text or "" for text in texts) == "one two three", texts)


@case
def any_key():
    other = openai.OpenAI(base_url=f"{URL}/v1", api_key="sk-something-else", max_retries=0)
    expect([it.id for it in other.models.list()] == [it.id for it in client.models.list()], "the same models")


main()
