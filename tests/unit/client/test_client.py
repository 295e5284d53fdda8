"""A program outside the platform: it submits, follows, waits and cancels, over a real broker's protocol."""

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace
from pydantic import SecretStr

from orchestrator.bus.ports import Outgoing, Received
from orchestrator.bus.reading import all_of, home_of, read_to_end
from orchestrator.bus.settings import BusSettings
from orchestrator.client import (
    Client,
    Handle,
    TaskCancelledError,
    TaskError,
    TaskEscalatedError,
    TaskFailedError,
    TaskRefusedError,
)
from orchestrator.client.connection import ClientSettings
from orchestrator.client.ids import new_session
from orchestrator.errors import ConfigurationError, ContractError, UnavailableError
from orchestrator.messages import commands, events, identity
from orchestrator.messages.base import Event, SessionEvent
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import Failure, Limits
from orchestrator.testing.memory import MemoryValues
from tests.support.samples import sample_of
from tests.support.stories import START, Story, completed_triage, received
from tests.unit.client.conftest import PARTITIONS, Platform

# One client for all: what a producer needs before its first record takes half a second.
pytestmark = pytest.mark.asyncio(loop_scope="module")

WHY = Failure(code="no_such_tool", message="there is no tool files.shred: name one that exists")


def story_of(handle: Handle, tell: Callable[[str], Story] = completed_triage) -> list[Event]:
    """A story's events, as if they had happened in the handle's session."""
    return [replace(event, correlation_id=handle.correlation_id) for event in tell("any").events]


def written(platform: Platform, topic: Topic, session: str) -> list[Received]:
    positions = [home_of(platform.bus, topic, session)]
    return [one for one in read_to_end(platform.bus, positions, 10) if one.key == session.encode()]


async def test_a_submitted_task_lies_in_its_home_partition_as_it_was_given(
    client: Client, platform: Platform
) -> None:
    handle = await client.submit(
        "why did latency rise?",
        context={"log": "access.log"},
        agent="triage",
        playbook="incident-triage",
        tenant="acme",
        limits=Limits(tool_calls=7),
    )

    (record,) = written(platform, Topic.TASKS, handle.correlation_id)
    task = platform.codec.decode(record)
    assert isinstance(task, commands.SubmitTask)
    assert task.correlation_id == handle.correlation_id
    assert UUID(task.correlation_id).version == 7
    assert (task.goal, task.agent, task.tenant) == ("why did latency rise?", "triage", "acme")
    assert (task.playbook, task.limits) == ("incident-triage", Limits(tool_calls=7))
    assert task.context is not None
    assert task.context.inline == b'{"log":"access.log"}'
    assert abs(task.occurred_at / 1e6 - time.time()) < 60
    assert record.header("ce_type") == b"agents.commands.SubmitTask"


async def test_the_result_comes_back(client: Client, platform: Platform) -> None:
    handle = await client.submit("why?")
    platform.tells(*story_of(handle))
    assert await handle.result(10) == "/checkout"
    assert await handle.result(10) == "/checkout"


async def test_events_come_as_they_happened_until_the_session_has_settled(
    client: Client, platform: Platform
) -> None:
    handle = await client.submit("why?")
    told = story_of(handle)
    platform.tells(*told)

    seen = [event async for event in handle.events()]

    assert sorted(seen, key=str) == sorted(told, key=str)
    own = [event.sequence for event in seen if isinstance(event, SessionEvent)]
    assert own == list(range(1, 17))


async def test_events_are_seen_while_the_session_runs(client: Client, platform: Platform) -> None:
    handle = await client.submit("why?")
    told = story_of(handle)
    seen = handle.events()

    platform.tells(told[0])
    assert await anext(seen) == told[0]
    platform.tells(told[1])
    assert await anext(seen) == told[1]
    platform.tells(*told[2:])
    assert len([event async for event in seen]) == len(told) - 2


def ended(kind: type[Event], **fields: Any) -> Callable[[str], Story]:
    def tell(name: str) -> Story:
        story = Story(name)
        received(story)
        story.write(kind, 5, **fields)
        return story

    return tell


def never_began(name: str) -> Story:
    story = Story(name)
    story.write(events.TaskRefused, 0, failure=WHY, submitted=received(Story(name)).submitted)
    return story


def never_submitted(name: str) -> Story:
    story = Story(name)
    story.write(events.CancelRequested, 0, reason="typing error")
    story.write(events.RequestRefused, 1, request_type="agents.commands.CancelTask", reason=WHY.message)
    return story


@pytest.mark.parametrize(
    ("tell", "error", "text"),
    [
        (ended(events.TaskFailed, failure=WHY), TaskFailedError, "failed: there is no tool"),
        (ended(events.TaskCancelled, reason="too slow"), TaskCancelledError, "cancelled: too slow"),
        (
            ended(events.TaskEscalated, failure=WHY, dead_letter_id="x", expires_at=START),
            TaskEscalatedError,
            "waits for a person: there is no tool",
        ),
        (never_began, TaskRefusedError, "refused: there is no tool"),
        (never_submitted, TaskRefusedError, "refused: there is no tool"),
    ],
)
async def test_a_task_without_a_result_says_why(
    client: Client, platform: Platform, tell: Callable[[str], Story], error: type[TaskError], text: str
) -> None:
    handle = await client.submit("why?")
    platform.tells(*story_of(handle, tell))

    with pytest.raises(error, match=text) as caught:
        await handle.result(10)

    assert handle.correlation_id in str(caught.value)
    assert [type(event) async for event in handle.events()] == [type(e) for e in tell("x").events]


async def test_a_request_that_was_refused_on_the_way_settles_nothing(
    client: Client, platform: Platform
) -> None:
    handle = await client.submit("why?")
    refused = ended(events.RequestRefused, request_type="agents.commands.CancelTask", reason="no")
    platform.tells(*story_of(handle, refused))
    with pytest.raises(TimeoutError):
        await handle.result(0.5)


async def test_waiting_has_an_end_and_may_begin_again(client: Client, platform: Platform) -> None:
    handle = await client.submit("why?")
    with pytest.raises(TimeoutError, match=f"{handle.correlation_id} has not settled within 0.05 s"):
        await handle.result(0.05)
    platform.tells(*story_of(handle))
    assert await handle.result(10) == "/checkout"


async def test_two_may_wait_for_one_session(client: Client, platform: Platform) -> None:
    handle = await client.submit("why?")
    waiting = asyncio.gather(handle.result(10), handle.result(10))
    platform.tells(*story_of(handle))
    assert list(await waiting) == ["/checkout", "/checkout"]


async def test_many_sessions_are_followed_side_by_side(client: Client, platform: Platform) -> None:
    handles = await asyncio.gather(*(client.submit(f"task {number}") for number in range(40)))
    for handle in reversed(handles):
        platform.tells(*(event for event in story_of(handle) if isinstance(event, SessionEvent)))
    assert await asyncio.gather(*(handle.result(20) for handle in handles)) == ["/checkout"] * 40


async def test_a_session_submitted_earlier_is_found_again(
    client: Client, platform: Platform, cluster: BusSettings
) -> None:
    first = await client.submit("why?")
    platform.tells(*story_of(first))
    assert await first.result(10) == "/checkout"

    again = await client.follow(first.correlation_id.upper())

    assert await again.result(10) == "/checkout"
    assert len([event async for event in again.events()]) == len(completed_triage().events)


async def test_the_same_key_is_the_same_session(client: Client, platform: Platform) -> None:
    first = await client.submit("pay", key="order-17", tenant="acme")
    platform.tells(*story_of(first))
    second = await client.submit("pay", key="order-17", tenant="acme")
    other = await client.submit("pay", key="order-17", tenant="other")

    assert first.correlation_id == identity.session_of_key("acme", "order-17")
    assert second.correlation_id == first.correlation_id
    assert other.correlation_id != first.correlation_id
    assert await second.result(10) == "/checkout"
    ids = [
        platform.codec.decode(one).command_id for one in written(platform, Topic.TASKS, first.correlation_id)
    ]
    assert len(set(ids)) == 1


async def test_a_session_may_be_named_by_its_submitter(client: Client) -> None:
    session = new_session()
    assert (await client.submit("why?", correlation_id=session)).correlation_id == session
    with pytest.raises(ConfigurationError, match="'nonsense' is no session id"):
        await client.submit("why?", correlation_id="nonsense")
    with pytest.raises(ConfigurationError, match="not both"):
        await client.submit("why?", correlation_id=session, key="order-17")
    with pytest.raises(ConfigurationError, match="no session id"):
        await client.follow("nonsense")


async def test_a_large_context_travels_by_the_value_store(
    client: Client, platform: Platform, values: MemoryValues
) -> None:
    handle = await client.submit("read this", context={"text": "x" * 100_000})

    (record,) = written(platform, Topic.TASKS, handle.correlation_id)
    value = platform.codec.decode(record).context
    assert value.inline is None
    assert value.uri in values.stored
    assert await values.load(value) == {"text": "x" * 100_000}


async def test_a_large_result_is_read_from_the_value_store(
    client: Client, platform: Platform, values: MemoryValues
) -> None:
    result = await values.store(["x" * 100_000])
    handle = await client.submit("why?")
    platform.tells(*story_of(handle, ended(events.TaskCompleted, result=result, revision=1)))
    assert await handle.result(10) == ["x" * 100_000]


async def test_a_context_that_json_cannot_hold_is_refused_before_anything_is_sent(client: Client) -> None:
    with pytest.raises(ContractError, match="cannot be written as JSON"):
        await client.submit("why?", context={"open": object()})


async def test_a_cancel_is_asked_for_with_its_reason(client: Client, platform: Platform) -> None:
    handle = await client.submit("why?")
    await handle.cancel("no longer needed")
    (record,) = written(platform, Topic.CONTROL, handle.correlation_id)
    asked = platform.codec.decode(record)
    assert isinstance(asked, commands.CancelTask)
    assert asked.reason == "no longer needed"


async def test_records_that_cannot_be_read_do_not_end_the_following(
    client: Client, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    handle = await client.submit("why?")
    garbage = Outgoing(Topic.EVENTS, handle.correlation_id.encode(), b"\x00garbage", ())
    platform.sends(garbage)
    platform.tells(*story_of(handle))
    assert len([event async for event in handle.events()]) == len(completed_triage().events)
    assert "cannot be read" in caplog.text


async def test_dead_letters_are_listed_newest_last(client: Client, platform: Platform) -> None:
    letters = [sample_of(events.MessageDeadLettered, event_id=str(number)) for number in range(5)]
    platform.sends(Outgoing(Topic.DEAD_LETTERS, b"odd", b"not ours", ()))
    platform.tells(*letters)

    assert [found.letter for found in await client.dead_letters()] == letters
    assert [found.letter.event_id for found in await client.dead_letters(limit=2)] == ["3", "4"]
    found = await client.dead_letter("3")
    assert found is not None
    assert (found.letter, found.partition, found.offset) == (letters[3], 0, 4)
    assert await client.dead_letter("none") is None


async def test_nothing_is_read_once_nobody_follows(client: Client, platform: Platform) -> None:
    handle = await client.submit("why?")
    platform.tells(*story_of(handle))
    await handle.result(10)
    del handle
    # Errors that earlier tests caught still hold theirs, in circles.
    gc.collect()
    for _ in range(100):
        if not client.follower._at:
            break
        await asyncio.sleep(0.02)
    assert client.follower._at == {}


async def test_ids_of_sessions_are_in_the_order_of_time() -> None:
    before = time.time_ns() // 1_000_000
    one = UUID(new_session())
    assert (one.version, one.variant) == (7, "specified in RFC 4122")
    assert before <= one.int >> 80 <= time.time_ns() // 1_000_000
    assert len({new_session() for _ in range(1000)}) == 1000


async def test_keys_lie_where_librdkafka_puts_them(platform: Platform) -> None:
    """The partition computed for readers is the one that a producer chooses by itself."""
    keys = ["a", "order-17", "žluťoučký", *(identity.derived_id(number) for number in range(60))]
    for key in keys:
        platform.queues(Outgoing(Topic.PROGRESS, key.encode(), b"x", ()))
    platform.sends(Outgoing(Topic.PROGRESS, b"", b"x", ()))

    lying = {
        (one.key or b"").decode(): (one.topic, one.partition)
        for one in read_to_end(platform.bus, all_of(platform.bus, Topic.PROGRESS), 10)
    }

    assert lying == {key: home_of(platform.bus, Topic.PROGRESS, key) for key in [*keys, ""]}
    assert len(set(lying.values())) == PARTITIONS


async def test_a_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.bus.kafka.bus.METADATA_TIMEOUT_S", 0.5)
    nowhere = ClientSettings(bootstrap_servers="127.0.0.1:1", kafka={"log_level": SecretStr("0")})
    async with Client(nowhere) as client:
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1 does not answer"):
            await client.submit("why?")


async def test_a_registry_that_is_not_there_is_named(cluster: BusSettings) -> None:
    settings = cluster.model_dump() | {"schema_registry_url": "http://127.0.0.1:1"}
    settings["schema_registry"] = {"max.retries": SecretStr("0")}
    async with Client(ClientSettings(**settings)) as client:
        with pytest.raises(
            UnavailableError, match=r"schema registry at http://127\.0\.0\.1:1 does not answer"
        ):
            await client.submit("why?")


async def test_an_installation_without_topics_is_explained(cluster: BusSettings) -> None:
    settings = cluster.model_dump() | {"topic_prefix": "elsewhere."}
    async with Client(ClientSettings(**settings)) as client:
        with pytest.raises(
            ConfigurationError, match=r"no topic elsewhere\.sessions: run `orchestrator topics"
        ):
            await client.submit("why?")
