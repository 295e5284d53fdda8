"""Agents that think, one of each strategy, and their tools: some take time and fail once, one must not run twice.

Everything is derived from the task's number, so that the work is the same on every machine.
"""

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.sdk import Context, TransientError, tool

LONGEST_MS = 300
HELD: Final = frozenset({4, 5, 6, 7})
"""The tasks whose charge does not return: one of each agent."""

_BOUNDS = """
retry: {attempts: 10, initial: 500ms, max: 4s}
evaluate: {max_revisions: 1}
limits: {deadline: 30m}
"""
_IN_YAML = """
agent: %(name)s
planner: %(name)s
model: {name: "openai-chat:%(name)s", settings: {max_tokens: 1000}}
instructions: Look at four places, and charge once.
output:
  type: object
  properties:
    sum: {type: integer}
    charged: {enum: ["yes", unknown]}
  required: [sum, charged]
  additionalProperties: false
tools: {allow: ["chaos.*"]}
"""
PLAIN: Final = "plain-agent"


@dataclass(frozen=True)
class Thinks:
    """How an agent goes about a task."""

    responses: tuple[int, ...]
    """How often its model speaks in each turn."""
    critiques: int = 0
    """How often a critic is asked besides."""

    @property
    def requests(self) -> int:
        return sum(self.responses) + self.critiques


THINKS: Final[Mapping[str, Thinks]] = {
    "react": Thinks((1, 1, 1, 1)),
    "plan-execute": Thinks((1, 1, 1)),
    "reflexion": Thinks((1, 1, 1, 2), critiques=2),
    PLAIN: Thinks((1, 1, 1, 1)),
}
"""By agent."""

AGENTS = "---".join(
    (f"\nagent: {name}\nplanner: {name}" if name == PLAIN else _IN_YAML % {"name": name}) + _BOUNDS
    for name in THINKS
)


def agent_of(number: int) -> str:
    return list(THINKS)[number % len(THINKS)]


def value_at(number: int, place: int) -> int:
    """What a task finds at a place."""
    return (number * 31 + place * 17) % 1_000


def sum_of(number: int) -> int:
    """The right answer of a task."""
    return sum(value_at(number, place) for place in range(4))


@tool("chaos.look", timeout="20s")
async def look(number: int, place: int, context: Context) -> dict[str, int]:
    """Returns what is at a place, and the place after it. Every fifth look fails the first time."""
    attempt: int = getattr(context.message, "call").attempt  # noqa: B009 - an ExecuteTool
    return await looked(number, place, attempt)


@tool("chaos.charge", timeout="10s", at_most_once=True)
async def charge(number: int, context: Context) -> str:
    """Charges: once for each task, whatever happens."""
    return await charged(number, context.correlation_id, context.idempotency_key)


async def looked(number: int, place: int, attempt: int) -> dict[str, int]:
    await _work(number + place)
    if attempt == 1 and (number + place) % 5 == 0:
        raise TransientError("the first attempt of this look fails")
    return {"place": place, "value": value_at(number, place), "next": place + 1}


async def charged(number: int, session: str, key: str) -> str:
    """CHAOS_LEDGER is the file of charges."""
    await _work(number)
    entry = {"number": number, "session": session, "key": key}
    with Path(os.environ["CHAOS_LEDGER"]).open("a", encoding="utf-8") as ledger:  # noqa: ASYNC230 - a line
        ledger.write(json.dumps(entry) + "\n")
    if number in HELD:
        await asyncio.Event().wait()
    return "charged"


async def _work(number: int) -> None:
    await asyncio.sleep(number * 37 % LONGEST_MS / 1_000)
