"""OpenClaw's terminal client on a terminal of its own: what a person types and sees.

`python3 tui.py NODE` says of each step on a line how it went: `ok NAME` or `not ok NAME: why`.
"""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

# How long one step may take, in seconds.
LIMIT = 60
# What moves the cursor or colours the text.
CONTROL = re.compile(r"\x1b\[[0-9;?<>]*[A-Za-z]|\x1b\][^\x07]*\x07|\x1b[()][A-Z0-9]|\x1b[=>]")


class Terminal:
    """A program on a terminal, and what it wrote that no step has waited for."""

    def __init__(self, command):
        self.process, self.file = pty.fork()
        if self.process == 0:
            os.execvp(command[0], command)
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.text = ""

    def types(self, text):
        self.text = ""
        os.write(self.file, text.encode())

    def shows(self, words):
        """Waits until it shows these words."""
        end = time.monotonic() + LIMIT
        while words not in self.text:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.file], [], [], left)[0]:
                raise TimeoutError(f"it does not show {words!r}: {self.text[-400:]!r}")
            self.text += CONTROL.sub("", os.read(self.file, 1 << 16).decode(errors="replace"))
        self.text = self.text.split(words, 1)[1]


def command(session):
    program = os.path.join(os.environ["OPENCLAW"], "openclaw.mjs")
    address = os.environ["MARU_ADDRESS"].replace("http", "ws")
    return [sys.argv[1], program, "tui", "--url", address, "--token", "ignored", "--session", session]


terminal = Terminal(command("interop list"))


def connect():
    terminal.shows("gateway connected")


def chat():
    terminal.types("Say hello.\r")
    terminal.shows("streaming")
    terminal.shows("connected | idle")


def abort():
    """In another session, by another client."""
    global terminal
    os.kill(terminal.process, 9)
    terminal = Terminal(command("interop other"))
    terminal.shows("gateway connected")
    terminal.types("Tell me a story that goes on forever.\r")
    terminal.shows("streaming")
    terminal.types("\x1b")
    terminal.shows("run aborted")


def listed():
    terminal.types("/sessions\r")
    terminal.shows("interop list")


for name, step in [("connect", connect), ("chat", chat), ("abort", abort), ("list", listed)]:
    try:
        step()
        print(f"ok {name}", flush=True)
    except OSError as error:
        print(f"not ok {name}: {str(error)!r}", flush=True)
os.kill(terminal.process, 9)
