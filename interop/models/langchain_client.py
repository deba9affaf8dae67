"""LangChain, by its package for OpenAI."""

import base64
import os

from cases import FOREVER, REAL, SCRIPTED, URL, case, expect, main, png, refused

# What a person sets, as the README says.
os.environ["OPENAI_BASE_URL"] = f"{URL}/v1"
os.environ["OPENAI_API_KEY"] = "mesh"

import openai
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel


def model(name=REAL, **more):
    return ChatOpenAI(model=name, max_retries=0, **more)


@tool
def weather(city: str) -> str:
    """Tells the weather."""
    return f"7 degrees in {city}"


@case
def chat():
    reply = model(max_tokens=8, temperature=0).invoke("Say hello.")
    expect(reply.content and reply.usage_metadata["output_tokens"] > 0, reply)


@case
def stream():
    chunks = list(model(max_tokens=12, temperature=0, stream_usage=True).stream("Count."))
    expect(len([chunk for chunk in chunks if chunk.content]) >= 2, chunks)
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    expect(whole.usage_metadata["output_tokens"] > 0, whole)


@case
def tools():
    bound = model(SCRIPTED).bind_tools([weather])
    messages = [HumanMessage("What is the weather?")]
    reply = bound.invoke(messages)
    call = reply.tool_calls[0]
    expect((call["name"], call["args"]) == ("weather", {"city": "Seoul"}), call)
    messages += [reply, ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])]
    said = bound.invoke(messages).content
    expect(said == "The tool said 7 degrees in Seoul.", said)


@case
def structured():
    class Place(BaseModel):
        """A place."""

        city: str
        number: int

    parsed = model(SCRIPTED).with_structured_output(Place).invoke("Which city?")
    expect(parsed == Place(city="Seoul", number=7), parsed)


@case
def image():
    url = "data:image/png;base64," + base64.b64encode(png()).decode()
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    said = model(SCRIPTED).invoke([HumanMessage(parts)]).content
    expect(said == f"1 image of {len(png())} bytes", said)


@case
def embeddings():
    # By default it sends tokens of OpenAI's models, which no other model can read.
    made = OpenAIEmbeddings(model=SCRIPTED, check_embedding_ctx_length=False)
    expect(made.embed_documents(["a", "abc"]) == [[1, -0.5, 0.25], [3, -0.5, 0.25]], "vectors")


@case
def unknown_model():
    error = refused(openai.NotFoundError, lambda: model("gpt-4").invoke("hi"))
    expect(error.code == "model_not_found", error)


@case
def cancel():
    stream = model(SCRIPTED).stream(FOREVER)
    next(chunk for chunk in stream if chunk.content)
    stream.close()


main()
