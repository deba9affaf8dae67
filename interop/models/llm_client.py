"""The command `llm`, as a person types it."""

import json
import os
import subprocess
import sys
import tempfile

from cases import REAL, SCRIPTED, URL, case, expect, main, png

folder = tempfile.mkdtemp()
# What a person writes once, in the folder that `dirname "$(llm logs path)"` prints.
SETTINGS = "".join(
    f"""
- model_id: {name}
  model_name: {model}
  api_base: {URL}/v1
  supports_tools: {tools}
  supports_schema: {tools}
  vision: {tools}
"""
    for name, model, tools in (("maru", REAL, "false"), ("scripted", SCRIPTED, "true"), ("none", "gpt-4", "false"))
)
with open(os.path.join(folder, "extra-openai-models.yaml"), "w") as file:
    file.write(SETTINGS)


def llm(*args, status=0):
    """Runs it; returns what it printed, or, if it has to fail, what it complained of."""
    environment = {**os.environ, "LLM_USER_PATH": folder, "OPENAI_API_KEY": "mesh"}
    out = subprocess.run(
        [sys.executable, "-m", "llm", *args], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    expect((out.returncode == 0) == (status == 0), f"{args}: {out.returncode} {out.stdout} {out.stderr}")
    return out.stdout if status == 0 else out.stderr


@case
def chat():
    expect(llm("-m", "maru", "--no-stream", "-o", "max_tokens", "8", "Say hello.").strip(), "a reply")


@case
def stream():
    expect(llm("-m", "scripted", "Count.").strip() == "one two three", "a reply")


@case
def tools():
    function = "def weather(city: str) -> str:\n    return '7 degrees in ' + city\n"
    said = llm("-m", "scripted", "--functions", function, "What is the weather?")
    expect(said.strip() == "The tool said 7 degrees in Seoul.", said)


@case
def structured():
    said = llm("-m", "scripted", "--schema", "city, number int", "Which city?")
    expect(json.loads(said) == {"city": "Seoul", "number": 7}, said)


@case
def image():
    path = os.path.join(folder, "dot.png")
    with open(path, "wb") as file:
        file.write(png())
    said = llm("-m", "scripted", "-a", path, "What is it?").strip()
    expect(said == f"1 image of {len(png())} bytes", said)


@case
def unknown_model():
    expect("gpt-4" in llm("-m", "none", "hi", status=1), "it names the model")


main()
