"""Strategies with a model server, asked by the client of a real provider."""

from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.testing import Harness
from tests.support.model_server import ModelServer
from tests.unit.services.thinking import add, level

AGENTS = """\
agent: planning
description: Counts fruit.
planner: plan-execute
model: openai-chat:planner
---
agent: criticised
description: Counts apples.
planner: reflexion
model: openai-chat:critic
---
agent: routing
planner: router
model: openai-chat:chooser
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer("tests.unit.services.strategy_scripts") as running:
        yield running


@pytest.mark.parametrize(
    ("agent", "result", "requests"),
    [("planning", {"fruit": 7}, 3), ("criticised", "three apples", 5), ("routing", {"fruit": 7}, 4)],
)
async def test_each_strategy_finishes_a_task(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, agent: str, result: Any, requests: int
) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)

    async with Harness(level, add, documents=[AGENTS]) as harness:
        session = await harness.submit(f"How much fruit, {agent}?", agent=agent)

        assert session.result == result
        assert session.state.used.model_requests == requests
