"""Dead letters: the original record byte for byte, the session it belongs to, and the cap on their rate."""

import asyncio
from uuid import UUID

import pytest

from orchestrator.bus.ports import Received
from orchestrator.delivery.dead_letters import DECODE, DeadLetterCap, dead_letter, without_value
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import Failure, Header

SESSION = str(UUID(int=5))
FAILURE = Failure(code="undecodable", message="the body is not a message")


def record(key: bytes | None, *headers: tuple[str, bytes | None]) -> Received:
    return Received(Topic.EVENTS, 3, 41, 1_700_000_000_000, key, b"\x00\xff", headers)


def test_the_original_is_kept_byte_for_byte() -> None:
    made = dead_letter(
        record(b"\xfe", ("a", b"\x01"), ("a", None)), FAILURE, service="echo", stage=DECODE, now=7
    )

    assert (made.original.topic, made.original.partition, made.original.offset) == ("events", 3, 41)
    assert (made.original.key, made.original.value) == (b"\xfe", b"\x00\xff")
    assert made.original.headers == (Header(name="a", value=b"\x01"), Header(name="a", value=None))
    assert (made.service, made.stage, made.failure, made.occurred_at) == (
        "echo",
        "decode",
        FAILURE,
        7,
    )


@pytest.mark.parametrize(
    "received",
    [
        record(SESSION.encode()),
        record(SESSION.upper().encode()),
        record(None, ("ce_correlationid", SESSION.encode())),
        record(b"order-17", ("ce_correlationid", SESSION.encode())),
    ],
)
def test_it_belongs_to_the_session_in_the_record_key_or_header(received: Received) -> None:
    assert dead_letter(received, FAILURE, service="echo", stage=DECODE, now=7).correlation_id == SESSION


def test_a_record_without_a_session_id_gets_a_derived_one() -> None:
    both = [
        dead_letter(record(key), FAILURE, service="echo", stage=DECODE, now=7) for key in (None, b"\xff\xfe")
    ]

    assert len({each.correlation_id for each in both}) == 1
    assert UUID(both[0].correlation_id)


def test_its_id_is_the_same_when_it_is_written_again_and_differs_by_service() -> None:
    ids = [
        dead_letter(record(None), FAILURE, service=service, stage=DECODE, now=now).event_id
        for service, now in (("echo", 1), ("echo", 2), ("alerts", 1))
    ]

    assert ids[0] == ids[1] != ids[2]


def test_a_record_that_is_too_large_is_referenced_by_its_location() -> None:
    made = without_value(dead_letter(record(None), FAILURE, service="echo", stage=DECODE, now=7))

    assert made.original.value is None
    assert made.original.offset == 41
    assert made.failure.message.startswith("the body is not a message (the record is too large")


async def test_after_a_burst_they_are_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    slept = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(round(seconds, 6))
        now += seconds

    monkeypatch.setattr(asyncio, "sleep", sleep)
    cap = DeadLetterCap(burst=3, per_second=10, clock=lambda: now)

    for _ in range(6):
        await cap.admit()
    assert slept == [0.1, 0.1, 0.1]

    now += 100
    slept.clear()
    for _ in range(4):
        await cap.admit()
    assert slept == [0.1]


def test_records_are_allowed_at_the_rate_of_dead_letters() -> None:
    now = 0.0
    cap = DeadLetterCap(burst=3, per_second=10, clock=lambda: now)

    assert cap.allowed(500) == 500
    cap.spend(2)
    assert cap.allowed(500) == 1
    cap.spend(3)
    assert cap.allowed(500) == 0
    now += 0.35
    assert cap.allowed(500) == 1
    now += 100
    assert cap.allowed(500) == 500
