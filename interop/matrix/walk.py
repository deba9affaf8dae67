"""Runs a person's part of a walk, and says of each step on a line how it went: `ok NAME` or `not ok NAME: why`.

Two people walk at a time, each with a process of this kind on a device of their own. They wait for each other by what they
see in their rooms alone.
"""

import asyncio
import base64
import os
import sys
import traceback

# The homeserver as a device sees it.
URL = os.environ["MARU_URL"]
# Who walks: `host`, who makes the rooms, or `guest`.
ROLE = os.environ["MARU_ROLE"]
# The steps of this walk, beyond which a client may know more.
WANTED = set(os.environ["MARU_STEPS"].split(","))
# Whether both people's apps encrypt.
ENCRYPTS = not WANTED.isdisjoint({"secret", "read_secret"})
# The person, a password that works once, and the other person.
USER = os.environ["MARU_USER"]
PASSWORD = os.environ["MARU_PASSWORD"]
PEER = os.environ["MARU_PEER"]
# How long the other person may take for a step, in seconds.
PATIENCE = 60
# What is written, in its order.
TEXT, EDITED, ANSWER, BYE = "good morning", "good evening", "an answer", "bye"
SECRET, SECRET_ANSWER = "between us", "nobody else"
EMOJI = "👍"
ROOM, RENAMED = "Kitchen", "Living room"
# A picture of one dot.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)

steps = []


def step(role):
    """Makes a function a step of this role, of the function's name."""

    def add(run):
        if role in (ROLE, "both") and run.__name__ in WANTED:
            steps.append(run)
        return run

    return add


def expect(condition, what):
    """Fails the step if the condition does not hold."""
    if not condition:
        raise AssertionError(what)


async def walk():
    """Runs the steps, up to the first that fails: the rest needs it."""
    for run in steps:
        try:
            await run()
        except Exception as error:
            traceback.print_exc()
            print(f"not ok {run.__name__}: {type(error).__name__}: {error}".replace("\n", " "), flush=True)
            return False
        print(f"ok {run.__name__}", flush=True)
    return True


def main(close):
    """Runs the walk, then `close`; the exit status is 1 if a step failed."""

    async def run():
        passed = await walk()
        await close()
        return passed

    sys.exit(0 if asyncio.run(run()) else 1)
