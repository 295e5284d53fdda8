"""A durable agent that asks its model by a provider's real client; the model is a process of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from orchestrator_services.agents import durable
from pydantic_ai import Agent

from orchestrator.sdk.plugins import load_module
from orchestrator.testing import Harness
from tests.support.model_server import ModelServer
from tests.support.pages import ROOT, blocks

(MODULE,) = (
    block for block in blocks(ROOT / "docs" / "agents.md", "python") if block.startswith("# my_desk.py")
)
(ADDED,) = (block for block in blocks(ROOT / "docs" / "agents.md", "python") if "durable(desk" in block)


@pytest.fixture(scope="module")
def running() -> Iterator[ModelServer]:
    with ModelServer("tests.unit.agents.desk_scripts") as server:
        yield server


@pytest.fixture
def server(running: ModelServer, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    return running


async def test_an_agent_that_exists_becomes_durable_by_two_lines(server: ModelServer, tmp_path: Path) -> None:
    module = tmp_path / "my_desk.py"
    module.write_text(MODULE + ADDED)

    loaded = load_module(str(module))
    # Entered, so that its connections end with the event loop of this test.
    async with loaded.desk, Harness(loaded, timeout_s=60) as harness:
        session = await harness.submit("How many apples?", agent="desk")

        assert session.result == {"item": "apple", "pieces": 3}
        charged, used = server.charged("How many apples?"), session.state.used
        assert (used.model_requests, used.tool_calls) == (3, 1)
        assert (used.tokens_input, used.tokens_output) == (charged.prompt_tokens, charged.completion_tokens)
        assert used.cost_micro_usd > 0
        last = server.last("How many apples?")
        assert last.system.startswith("Answer from the stock alone.")
        assert "lookup" in last.tools


async def test_a_request_that_the_provider_puts_off_is_repeated(server: ModelServer) -> None:
    desk = Agent("openai-chat:limited", name="desk")

    async with desk, Harness(durable(desk), timeout_s=60) as harness:
        session = await harness.submit("Take your time.", agent="desk")

        assert session.result == "at last"
        # Neither the client nor the library repeats it unseen.
        assert len(server.requests("Take your time.")) == 2


async def test_a_model_that_the_profile_names_is_asked_instead(server: ModelServer) -> None:
    profile = "{agent: desk, planner: desk, model: {name: openai-chat:limited, settings: {max_tokens: 50}}}"
    desk = Agent(name="desk", instructions="Be brief.", model_settings={"max_tokens": 90})

    async with Harness(durable(desk), documents=[profile], timeout_s=60) as harness:
        session = await harness.submit("Answer with another model.", agent="desk")

        assert session.result == "at last"
        last = server.last("Answer with another model.")
        assert (last.model, last.most_tokens) == ("limited", 50)
        assert last.system.startswith("Be brief.")
