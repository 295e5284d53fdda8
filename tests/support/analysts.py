"""A session whose planner thinks in turns, with its conversation in a folder, as commands read it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from orchestrator.bus.values.folder import FolderValues
from orchestrator.messages.base import Event
from orchestrator.messages.types import AgentProfile, StepOutcome, Usage, Value
from orchestrator.sdk import Context, Plan, PlanRequest, planner, step, tool
from orchestrator.sdk.registry import Plugin
from orchestrator.testing import Harness, harness
from orchestrator.testing.memory import MemoryValues

INLINE_BYTES = 500
"""Outputs of more bytes are in the value store."""
LOADING_S = 120.0
"""How long a handler may take: the first one that asks a model loads the client's library."""


@tool("shop.rows", capability="rows", timeout="5s")
def shop_rows(rows: int) -> list[dict[str, Any]]:
    """Rows of a table."""
    return [{"row": number, "route": "/checkout"} for number in range(rows)]


def asks(*said: tuple[str, Any]) -> dict[str, Any]:
    """A request in pydantic-ai's form: kinds of parts with their content."""
    return {"kind": "request", "parts": [{"part_kind": kind, "content": content} for kind, content in said]}


def calls(name: str, call_id: str, arguments: Any) -> dict[str, Any]:
    return {"part_kind": "tool-call", "tool_name": name, "args": arguments, "tool_call_id": call_id}


def returns(name: str, call_id: str, content: Any, **fields: Any) -> dict[str, Any]:
    return {
        "part_kind": "tool-return",
        "tool_name": name,
        "content": content,
        "tool_call_id": call_id,
        **fields,
    }


def responds(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "response", "parts": list(parts), "model_name": "scripted"}


def text(content: str) -> dict[str, Any]:
    return {"part_kind": "text", "content": content}


@planner("analyst")
async def analyst(request: PlanRequest, context: Context) -> Plan:
    """Asks for many rows and for few, then answers."""
    context.used = Usage(
        model_requests=1, tokens_input=900, tokens_cached=600, tokens_output=100, cost_micro_usd=2500
    )
    if request.turn == 1:
        return Plan(
            [step("turn1-1", shop_rows, rows=100), step("turn1-2", shop_rows, rows=1)],
            open=True,
            messages=[
                asks(("system-prompt", "You are an analyst."), ("user-prompt", request.goal)),
                responds(
                    text("I look at both tables."),
                    calls("shop.rows", "call_a", {"rows": 100}),
                    calls("shop.rows", "call_b", '{"rows": 1}'),
                ),
            ],
        )
    many, few = request.outcomes
    returned = [
        returns("shop.rows", "call_a", written(many)),
        returns("shop.rows", "call_b", await context.values.load(few.output)),
    ]
    return Plan(
        result="/checkout",
        messages=[{"kind": "request", "parts": returned}, responds(text("It is\nthe checkout."))],
    )


def written(outcome: StepOutcome) -> dict[str, Any]:
    """An output as a conversation holds it: by reference."""
    return {"$value": to_builtins(outcome.output), "step": outcome.step_id, "tool": outcome.tool}


@planner("quiet")
async def quiet(_request: PlanRequest) -> Plan:
    """Says nothing."""
    return Plan(result="done")


class _FolderValues(MemoryValues):
    """Large values in a folder as well."""

    folder = Path()

    def _stored(self, value: Value) -> Value:
        if value.inline is None:
            return value
        uri = FolderValues(self.folder).write(value.inline)
        self.stored[uri] = value.inline
        return replace(value, inline=None, uri=uri)


async def history_of(
    agent: str, folder: Path, *plugins: Plugin, documents: Iterable[str] = ()
) -> tuple[str, list[Event]]:
    """The id and the events of a session; its values are in the folder.

    `agent` is a planner of this module, or an agent of the documents.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_FolderValues, "folder", folder)
        patch.setattr(harness, "MemoryValues", _FolderValues)
        agents = [AgentProfile(name=name, planner=name) for name in ("analyst", "quiet")]
        async with Harness(
            shop_rows,
            analyst,
            quiet,
            *plugins,
            agents=agents,
            documents=documents,
            inline_bytes=INLINE_BYTES,
            timeout_s=LOADING_S,
        ) as platform:
            session = await platform.submit("Which route is slow?", {"shop": "web"}, agent=agent)
    assert session.outcome == "COMPLETED", session.reason
    return session.correlation_id, session.events
