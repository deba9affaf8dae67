"""Runs the cases of a client, and says of each on a line how it went: `ok NAME` or `not ok NAME: why`."""

import os
import struct
import sys
import traceback
import zlib

# The gateway as a laptop sees it.
URL = os.environ["MARU_URL"]
# A model that is real, by the household's name, and one that is scripted, behind each kind of provider.
REAL = "maru"
SCRIPTED = "scripted/all"
SCRIPTED_OLLAMA = "home/all"
# A word on which the scripted model says words until whoever asked is gone.
FOREVER = "forever"
# A word on which it says nothing for longer than the gateway waits before it begins to answer.
SLOWLY = "slowly"

found = []


def case(run):
    """Makes a function a case, of the function's name."""
    found.append(run)
    return run


def expect(condition, what):
    """Fails the case if the condition does not hold."""
    if not condition:
        raise AssertionError(what)


def refused(error, run):
    """The error of this kind that `run` has to raise."""
    try:
        run()
    except error as raised:
        return raised
    raise AssertionError(f"no {error.__name__} was raised")


def png():
    """A picture of one dot."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


def main():
    """Runs all of them; the exit status is 1 if one failed."""
    failed = False
    for run in found:
        try:
            run()
        except Exception as error:
            failed = True
            traceback.print_exc()
            print(f"not ok {run.__name__}: {type(error).__name__}: {error}".replace("\n", " "), flush=True)
        else:
            print(f"ok {run.__name__}", flush=True)
    sys.exit(failed)
