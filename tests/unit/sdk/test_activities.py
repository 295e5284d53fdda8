"""Tasks that a handler starts belong to it, whatever libraries do with them."""

import asyncio
import inspect
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import pytest
import pytest_asyncio

from orchestrator.sdk import Activity, Watched
from orchestrator.sdk.activities import activity_of, begin, task_factory
from orchestrator.sdk.containment import PluginRaised


@pytest_asyncio.fixture(autouse=True)
async def of_a_handler() -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(task_factory)
    yield
    loop.set_task_factory(None)


async def named() -> str:
    task = asyncio.current_task()
    assert task is not None
    return activity_of(task)


async def test_tasks_of_tasks_belong_to_who_began() -> None:
    async def nested() -> str:
        return await asyncio.create_task(named())

    begin(Activity("tool acme"))

    assert await asyncio.create_task(nested()) == "tool acme"
    assert set(await asyncio.gather(named(), named())) == {"tool acme"}


async def test_what_nobody_began_has_the_name_of_its_task() -> None:
    assert await asyncio.create_task(named(), name="other") == "other"


async def test_groups_of_other_libraries_are_cancelled_as_ever() -> None:
    begin(Activity("tool acme"))
    ended = []

    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(await named())

    async def use() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            group.start_soon(wait)
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        with anyio.move_on_after(0.01):
            await anyio.sleep_forever()

    await asyncio.wait_for(asyncio.create_task(use()), 10)

    assert ended == ["tool acme"] * 2


async def test_a_task_that_would_end_the_loop_fails_alone() -> None:
    begin(Activity("tool acme"))

    async def leave() -> None:
        await asyncio.sleep(0)
        raise SystemExit(3)

    with pytest.raises(PluginRaised) as raised:
        await asyncio.create_task(leave())

    assert isinstance(raised.value.__cause__, SystemExit)


async def test_a_watched_coroutine_is_one_for_those_who_look() -> None:
    watched = Watched(named(), Activity("tool acme"))

    assert inspect.getcoroutinestate(watched) == inspect.CORO_CREATED
    assert asyncio.iscoroutine(watched)
    assert await asyncio.create_task(watched) == "tool acme"
    assert inspect.getcoroutinestate(watched) == inspect.CORO_CLOSED
    assert watched.activity.longest_s > 0
