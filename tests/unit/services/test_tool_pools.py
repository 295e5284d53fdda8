"""Executors of a pool run and announce the tools of that pool, in a consumer group of their own."""

import pytest
from orchestrator_services import tool_executor
from orchestrator_services.tool_executor import handlers
from orchestrator_services.tool_executor.pools import COMMON, Pool, pool_of_this_process

from orchestrator.errors import ConfigurationError
from orchestrator.messages import commands, events
from orchestrator.messages.types import CallKind
from orchestrator.sdk import Tool, document, tool
from tests.unit.services.support import World, call, command


def made(name: str, pool: str = "") -> Tool:
    @tool(name, pool=pool)
    def run() -> None:
        """Does nothing."""

    return run


@pytest.mark.parametrize(
    ("pool", "own", "others"),
    [
        (Pool(), ("", COMMON, "gpu"), ()),
        (Pool(COMMON), ("", COMMON), ("gpu",)),
        (Pool("gpu"), ("gpu",), ("", COMMON, "gp")),
    ],
)
def test_a_pool_has_its_tools_and_no_others(
    pool: Pool, own: tuple[str, ...], others: tuple[str, ...]
) -> None:
    assert all(pool.has(one) for one in own)
    assert not any(pool.has(one) for one in others)


def test_pools_are_groups_apart_and_the_common_one_is_the_one_without_a_name() -> None:
    assert Pool("gpu").group == "tool-executor-gpu"
    assert Pool(COMMON).group == Pool().group == "tool-executor"


def test_the_environment_names_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pool_of_this_process() == Pool()
    monkeypatch.setenv("ORCHESTRATOR_TOOL_EXECUTOR_POOL", "gpu")
    assert pool_of_this_process() == Pool("gpu")


@pytest.mark.parametrize("name", ["", "GPU", "a.b"])
def test_a_name_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("ORCHESTRATOR_TOOL_EXECUTOR_POOL", name)
    with pytest.raises(ConfigurationError, match="ORCHESTRATOR_TOOL_EXECUTOR_POOL"):
        pool_of_this_process()


def test_the_service_takes_and_announces_what_is_its_pool_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "POOL", Pool("gpu"))
    world = World(made("render", "gpu"), made("read"))
    service = tool_executor.service

    def execution(name: str, pool: str) -> commands.ExecuteTool:
        message: commands.ExecuteTool = command(
            commands.ExecuteTool,
            call=call(CallKind.TOOL, tool=name),
            arguments=document({}),
            idempotency_key="key-1",
            timeout_ms=5_000,
            pool=pool,
        )
        return message

    assert service.takes(execution("render", "gpu"))
    assert not service.takes(execution("read", ""))
    announced = list(service.announcement(world.platform))
    assert [one.tool.name for one in announced if isinstance(one, events.ToolDefined)] == ["render"]
