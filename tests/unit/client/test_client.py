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

from orchestrator.bus.partitioning import partition_of
from orchestrator.bus.ports import Outgoing, Received
from orchestrator.bus.settings import BusSettings
from orchestrator.bus.standalone import all_partitions, read_to_end, session_partition
from orchestrator.client import (
    Client,
    Handle,
    TaskCancelledError,
    TaskError,
    TaskEscalatedError,
    TaskFailedError,
    TaskRefusedError,
)
from orchestrator.client.ids import new_session
from orchestrator.client.settings import ClientSettings
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
    """A story's events, moved to the handle's session."""
    return [replace(event, correlation_id=handle.correlation_id) for event in tell("any").events]


def written(platform: Platform, topic: Topic, session: str) -> list[Received]:
    positions = [session_partition(platform.bus, topic, session)]
    return [one for one in read_to_end(platform.bus, positions, 10) if one.key == session.encode()]


async def test_a_submitted_task_is_in_its_partition_as_it_was_given(
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


async def test_the_result_is_returned(client: Client, platform: Platform) -> None:
    handle = await client.submit("why?")
    platform.writes(*story_of(handle))
    assert await handle.result(10) == "/checkout"
    assert await handle.result(10) == "/checkout"


async def test_events_arrive_until_the_session_settles(client: Client, platform: Platform) -> None:
    handle = await client.submit("why?")
    history = story_of(handle)
    platform.writes(*history)

    seen = [event async for event in handle.events()]

    assert sorted(seen, key=str) == sorted(history, key=str)
    own = [event.sequence for event in seen if isinstance(event, SessionEvent)]
    assert own == list(range(1, 17))


async def test_events_are_seen_while_the_session_runs(client: Client, platform: Platform) -> None:
    handle = await client.submit("why?")
    history = story_of(handle)
    seen = handle.events()

    platform.writes(history[0])
    assert await anext(seen) == history[0]
    platform.writes(history[1])
    assert await anext(seen) == history[1]
    platform.writes(*history[2:])
    assert len([event async for event in seen]) == len(history) - 2


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
    platform.writes(*story_of(handle, tell))

    with pytest.raises(error, match=text) as caught:
        await handle.result(10)

    assert handle.correlation_id in str(caught.value)
    assert [type(event) async for event in handle.events()] == [type(e) for e in tell("x").events]


async def test_a_refused_request_does_not_settle_a_running_session(
    client: Client, platform: Platform
) -> None:
    handle = await client.submit("why?")
    refused = ended(events.RequestRefused, request_type="agents.commands.CancelTask", reason="no")
    platform.writes(*story_of(handle, refused))
    with pytest.raises(TimeoutError):
        await handle.result(0.5)


async def test_a_wait_times_out_and_can_be_repeated(client: Client, platform: Platform) -> None:
    handle = await client.submit("why?")
    with pytest.raises(TimeoutError, match=f"{handle.correlation_id} did not settle within 0.05 s"):
        await handle.result(0.05)
    platform.writes(*story_of(handle))
    assert await handle.result(10) == "/checkout"


async def test_two_may_wait_for_one_session(client: Client, platform: Platform) -> None:
    handle = await client.submit("why?")
    waiting = asyncio.gather(handle.result(10), handle.result(10))
    platform.writes(*story_of(handle))
    assert list(await waiting) == ["/checkout", "/checkout"]


async def test_many_sessions_are_followed_concurrently(client: Client, platform: Platform) -> None:
    handles = await asyncio.gather(*(client.submit(f"task {number}") for number in range(40)))
    for handle in reversed(handles):
        platform.writes(*(event for event in story_of(handle) if isinstance(event, SessionEvent)))
    assert await asyncio.gather(*(handle.result(20) for handle in handles)) == ["/checkout"] * 40


async def test_a_session_submitted_earlier_is_found_again(
    client: Client, platform: Platform, cluster: BusSettings
) -> None:
    first = await client.submit("why?")
    platform.writes(*story_of(first))
    assert await first.result(10) == "/checkout"

    again = await client.follow(first.correlation_id.upper())

    assert await again.result(10) == "/checkout"
    assert len([event async for event in again.events()]) == len(completed_triage().events)


async def test_a_session_of_a_key_is_new_and_in_the_partition_of_the_key(client: Client) -> None:
    handles = [await client.submit("pay", key="order-17", tenant=tenant) for tenant in ("acme", "acme", "b")]

    ids = [UUID(handle.correlation_id) for handle in handles]
    assert len(set(ids)) == 3
    assert {one.version for one in ids} == {7}
    homes = [partition_of(handle.correlation_id, PARTITIONS) for handle in handles]
    keys = [partition_of(identity.claim_of(tenant, "order-17").hex(), PARTITIONS) for tenant in ("acme", "b")]
    assert homes == [keys[0], keys[0], keys[1]]


def repeated(handle: Handle, first: Handle) -> Event:
    refused = sample_of(events.TaskRefused)
    return replace(refused, correlation_id=handle.correlation_id, repeats=first.correlation_id, sequence=1)


async def test_a_task_that_repeats_another_leads_to_its_session(client: Client, platform: Platform) -> None:
    first = await client.submit("pay", key="order-18")
    platform.writes(*story_of(first))
    second = await client.submit("pay", key="order-18")
    third = await client.submit("pay", key="order-18")
    own = second.correlation_id
    platform.writes(repeated(second, first), repeated(third, first))

    assert second.correlation_id == own
    assert await second.result(10) == "/checkout"
    assert second.correlation_id == first.correlation_id
    found = [type(event).__name__ async for event in third.events()]
    assert sorted(found) == sorted(type(event).__name__ for event in completed_triage().events)
    assert third.correlation_id == first.correlation_id


async def test_the_session_of_a_key_is_known_once_the_task_is_accepted(
    client: Client, platform: Platform
) -> None:
    first = await client.submit("pay", key="order-19")
    second = await client.submit("pay", key="order-19")
    with pytest.raises(TimeoutError, match=r"was not accepted within 0.1 s"):
        await first.accepted(0.1)

    platform.writes(*story_of(first)[:1], repeated(second, first))

    assert await first.accepted(10) == first.correlation_id
    assert await second.accepted(10) == first.correlation_id


async def test_a_result_of_another_tenant_is_not_taken(client: Client, platform: Platform) -> None:
    session = new_session()
    handle = await client.submit("why?", correlation_id=session, tenant="acme")
    platform.writes(*story_of(handle))

    with pytest.raises(ConfigurationError, match="is of another tenant than 'acme'"):
        await handle.result(10)


async def test_a_submitter_may_choose_the_session_id(client: Client) -> None:
    session = new_session()
    assert (await client.submit("why?", correlation_id=session)).correlation_id == session
    with pytest.raises(ConfigurationError, match="'nonsense' is not a session id"):
        await client.submit("why?", correlation_id="nonsense")
    with pytest.raises(ConfigurationError, match="not both"):
        await client.submit("why?", correlation_id=session, key="order-17")
    with pytest.raises(ConfigurationError, match="not a session id"):
        await client.follow("nonsense")


async def test_a_large_context_is_in_the_value_store(
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
    platform.writes(*story_of(handle, ended(events.TaskCompleted, result=result, revision=1)))
    assert await handle.result(10) == ["x" * 100_000]


async def test_a_context_that_json_cannot_hold_is_refused_before_anything_is_sent(client: Client) -> None:
    with pytest.raises(ContractError, match="cannot be written as JSON"):
        await client.submit("why?", context={"open": object()})


async def test_cancellation_is_requested_with_its_reason(client: Client, platform: Platform) -> None:
    handle = await client.submit("why?")
    await handle.cancel("no longer needed")
    (record,) = written(platform, Topic.CONTROL, handle.correlation_id)
    asked = platform.codec.decode(record)
    assert isinstance(asked, commands.CancelTask)
    assert asked.reason == "no longer needed"


async def test_unreadable_records_do_not_end_a_subscription(
    client: Client, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    handle = await client.submit("why?")
    garbage = Outgoing(Topic.EVENTS, handle.correlation_id.encode(), b"\x00garbage", ())
    platform.sends(garbage)
    platform.writes(*story_of(handle))
    assert len([event async for event in handle.events()]) == len(completed_triage().events)
    assert "cannot be read" in caplog.text


async def test_dead_letters_are_listed_newest_last(client: Client, platform: Platform) -> None:
    dead_letters = [sample_of(events.MessageDeadLettered, event_id=str(number)) for number in range(5)]
    platform.sends(Outgoing(Topic.DEAD_LETTERS, b"odd", b"not ours", ()))
    platform.writes(*dead_letters)

    assert [found.event for found in await client.dead_letters()] == dead_letters
    assert [found.event.event_id for found in await client.dead_letters(limit=2)] == ["3", "4"]
    found = await client.dead_letter("3")
    assert found is not None
    assert (found.event, found.partition, found.offset) == (dead_letters[3], 0, 4)
    assert await client.dead_letter("none") is None


async def test_nothing_is_read_without_subscriptions(client: Client, platform: Platform) -> None:
    handle = await client.submit("why?")
    platform.writes(*story_of(handle))
    await handle.result(10)
    del handle
    # Errors that earlier tests caught still hold theirs, in circles.
    gc.collect()
    for _ in range(100):
        if not client.follower._at:
            break
        await asyncio.sleep(0.02)
    assert client.follower._at == {}


async def test_session_ids_sort_by_time() -> None:
    before = time.time_ns() // 1_000_000
    one = UUID(new_session())
    assert (one.version, one.variant) == (7, "specified in RFC 4122")
    assert before <= one.int >> 80 <= time.time_ns() // 1_000_000
    assert len({new_session() for _ in range(1000)}) == 1000


async def test_partitions_of_keys_match_librdkafka(platform: Platform) -> None:
    """Readers compute the partition that a producer chooses."""
    keys = ["a", "order-17", "žluťoučký", *(identity.derived_id(number) for number in range(60))]
    for key in keys:
        platform.queues(Outgoing(Topic.PROGRESS, key.encode(), b"x", ()))
    platform.sends(Outgoing(Topic.PROGRESS, b"", b"x", ()))

    lying = {
        (one.key or b"").decode(): (one.topic, one.partition)
        for one in read_to_end(platform.bus, all_partitions(platform.bus, Topic.PROGRESS), 10)
    }

    assert lying == {key: session_partition(platform.bus, Topic.PROGRESS, key) for key in [*keys, ""]}
    assert len(set(lying.values())) == PARTITIONS


async def test_an_unreachable_cluster_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.bus.kafka.bus.METADATA_TIMEOUT_S", 0.5)
    nowhere = ClientSettings(bootstrap_servers="127.0.0.1:1", kafka={"log_level": SecretStr("0")})
    async with Client(nowhere) as client:
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1 does not respond"):
            await client.submit("why?")


async def test_an_unreachable_registry_is_named(cluster: BusSettings) -> None:
    settings = cluster.model_dump() | {"schema_registry_url": "http://127.0.0.1:1"}
    settings["schema_registry"] = {"max.retries": SecretStr("0")}
    async with Client(ClientSettings(**settings)) as client:
        with pytest.raises(
            UnavailableError, match=r"schema registry at http://127\.0\.0\.1:1 does not respond"
        ):
            await client.submit("why?")


async def test_an_installation_without_topics_is_explained(cluster: BusSettings) -> None:
    settings = cluster.model_dump() | {"topic_prefix": "elsewhere."}
    async with Client(ClientSettings(**settings)) as client:
        with pytest.raises(
            ConfigurationError,
            match=r"topic elsewhere\.sessions not found in the cluster at .*: run `orchestrator topics",
        ):
            await client.submit("why?")
