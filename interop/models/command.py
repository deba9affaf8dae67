"""The command `ollama`, as a person types it: `python3 command.py OLLAMA`."""

import os
import signal
import subprocess
import sys
import tempfile

from cases import FOREVER, REAL, SCRIPTED_OLLAMA, URL, case, expect, main

# It asks a model that makes vectors for vectors, so chats go to one that does not.
CHATS = "home/plain"
PROGRAM = sys.argv[1]
environment = {**os.environ, "OLLAMA_HOST": URL, "HOME": tempfile.mkdtemp()}


def ollama(*args, status=0):
    """Runs it; returns all that it said."""
    out = subprocess.run([PROGRAM, *args], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    expect((out.returncode == 0) == (status == 0), f"{args}: {out.returncode} {out.stdout} {out.stderr}")
    return out.stdout + out.stderr


@case
def models():
    listed = ollama("list")
    expect(f"{REAL}:latest" in listed and f"{SCRIPTED_OLLAMA}:latest" in listed, listed)
    expect(f"{SCRIPTED_OLLAMA}:latest" in ollama("ps"), "ps")
    shown = ollama("show", SCRIPTED_OLLAMA)
    expect("tools" in shown and "8192" in shown, shown)


@case
def chat():
    expect(ollama("run", REAL, "Say hello.").strip(), "a reply")
    said = ollama("run", CHATS, "Count.")
    expect("one two three" in said, said)
    said = ollama("run", SCRIPTED_OLLAMA, "Count.")
    expect(said.startswith("[6,"), said)


@case
def structured():
    said = ollama("run", CHATS, "--format", "json", "Which city?")
    expect('"Seoul"' in said, said)


@case
def unknown_model():
    # It would pull what is not there, and says why it cannot.
    expect("maru model pull" in ollama("run", "llama9", "hi", status=1), "it names the command")


@case
def changes_nothing():
    expect("maru model pull" in ollama("pull", "llama3.2", status=1), "pull")
    expect("maru model" in ollama("rm", REAL, status=1), "rm")


@case
def cancel():
    command = [PROGRAM, "run", CHATS, FOREVER]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    expect(process.stdout.read(1), "a first word")
    process.send_signal(signal.SIGINT)
    process.wait()


main()
