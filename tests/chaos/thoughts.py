"""An agent that thinks in turns, and its tools: some take time and fail once, one must not run twice.

Everything is derived from the task's number, so that the work is the same on every machine.
"""

import asyncio
import json
import os
from pathlib import Path

from orchestrator.sdk import Context, TransientError, tool

LONGEST_MS = 300
TURNS = 4
HELD = 4
"""The task whose charge does not return."""

AGENTS = """
agent: thinker
planner: react
model: {name: "openai-chat:thinker", settings: {max_tokens: 1000}}
instructions: Look at four places, and charge once.
output:
  type: object
  properties:
    sum: {type: integer}
    charged: {enum: ["yes", unknown]}
  required: [sum, charged]
  additionalProperties: false
tools: {allow: ["chaos.*"]}
retry: {attempts: 10, initial: 500ms, max: 4s}
evaluate: {max_revisions: 1}
limits: {deadline: 30m}
"""


def agent_of(_number: int) -> str:
    return "thinker"


def value_at(number: int, place: int) -> int:
    """What a task finds at a place."""
    return (number * 31 + place * 17) % 1_000


def sum_of(number: int) -> int:
    """The right answer of a task."""
    return sum(value_at(number, place) for place in range(4))


@tool("chaos.look", timeout="20s")
async def look(number: int, place: int, context: Context) -> dict[str, int]:
    """Returns what is at a place, after a while. Every fifth look fails the first time."""
    await _work(number + place)
    attempt: int = getattr(context.message, "call").attempt  # noqa: B009 - an ExecuteTool
    if attempt == 1 and (number + place) % 5 == 0:
        raise TransientError("the first attempt of this look fails")
    return {"place": place, "value": value_at(number, place)}


@tool("chaos.charge", timeout="10s", at_most_once=True)
async def charge(number: int, context: Context) -> str:
    """Charges: once for each task, whatever happens. CHAOS_LEDGER is the file of charges."""
    await _work(number)
    entry = {"number": number, "session": context.correlation_id, "key": context.idempotency_key}
    with Path(os.environ["CHAOS_LEDGER"]).open("a", encoding="utf-8") as ledger:  # noqa: ASYNC230 - a line
        ledger.write(json.dumps(entry) + "\n")
    if number == HELD:
        await asyncio.Event().wait()
    return "charged"


async def _work(number: int) -> None:
    await asyncio.sleep(number * 37 % LONGEST_MS / 1_000)
