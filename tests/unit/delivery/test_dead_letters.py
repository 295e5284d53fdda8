"""Dead letters: the original record byte for byte or in bounded parts, and the session it belongs to."""

from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.codec import Codec
from orchestrator.bus.ports import Received
from orchestrator.delivery.caps import DECODE
from orchestrator.delivery.dead_letters import bounded_dead_letter, dead_letter
from orchestrator.delivery.sizes import size_of
from orchestrator.messages import commands
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


@dataclass(frozen=True)
class Large:
    """A record that a broker takes, and of which no copy fits into a message."""

    key: bytes | None = b"k"
    value: bytes | None = b"v"
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def received(self) -> Received:
        return Received(Topic.TASKS, 3, 41, 1, self.key, self.value, self.headers)


LARGE = [
    Large(headers=(("h", b"x" * 999_600),)),
    Large(headers=(("n" * 999_600, b""),)),
    Large(headers=(("\N{SNOWMAN}" * 333_000, None),)),
    Large(headers=(("", b""),) * 450_000),
    Large(headers=tuple((str(number), b"x" * 900) for number in range(1_000))),
    Large(key=b"x" * 990_000),
    Large(key=None, value=b"x" * 999_000),
    Large(key=b"x" * 300_000, value=b"x" * 300_000, headers=(("h", b"x" * 300_000),)),
]


@pytest.mark.parametrize("large", LARGE, ids=range(len(LARGE)))
def test_the_dead_letter_of_any_record_fits(large: Large) -> None:
    whole = dead_letter(large.received, FAILURE, service="echo", stage=DECODE, now=7)

    made = bounded_dead_letter(whole)

    assert size_of(Codec(CatalogueIds()).encode(made, source="/echo/0")) < 20_000
    assert (made.original.topic, made.original.partition, made.original.offset) == ("tasks", 3, 41)
    assert made.original.cut
    assert made.failure.message.startswith("the body is not a message (only the beginning of its ")
    assert made.failure.message.endswith("read the record at offset 41 of tasks, partition 3)")


def test_each_part_that_is_cut_has_its_size_and_hash() -> None:
    large = Large(b"k" * 2_000, b"v" * 5_000, (("type", b"x"), ("long", b"y" * 10_000), ("after", b"z")))

    made = bounded_dead_letter(
        dead_letter(large.received, FAILURE, service="echo", stage=DECODE, now=7)
    ).original

    assert (made.key, made.value) == (b"k" * 1_024, b"v" * 4_096)
    assert [(header.name, header.value) for header in made.headers] == [
        ("type", b"x"),
        ("long", b"y" * 512),
        ("after", b"z"),
    ]
    headers = b"typex" + b"long" + b"y" * 10_000 + b"afterz"
    assert [(part.part, part.size, part.sha256) for part in made.cut] == [
        ("key", 2_000, sha256(b"k" * 2_000).hexdigest()),
        ("value", 5_000, sha256(b"v" * 5_000).hexdigest()),
        ("headers", len(headers), sha256(headers).hexdigest()),
    ]


def test_a_record_of_usual_size_is_never_cut() -> None:
    whole = dead_letter(record(b"k", ("a", b"1")), FAILURE, service="echo", stage=DECODE, now=7)

    assert bounded_dead_letter(whole) is whole


@given(
    key=st.none() | st.binary(max_size=3_000),
    value=st.none() | st.binary(max_size=9_000),
    headers=st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=()), max_size=300), st.none() | st.binary(max_size=900)
        ),
        max_size=30,
    ),
    reason=st.text(st.characters(exclude_categories=()), max_size=4_000),
)
def test_every_record_has_a_dead_letter_that_can_be_written(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]], reason: str
) -> None:
    failure = Failure(code=reason, message=reason)
    received = Received(Topic.TASKS, 3, 41, -1, key, value, tuple(headers))

    whole = dead_letter(received, failure, service="echo", stage=DECODE, now=7)

    codec = Codec(CatalogueIds())
    assert size_of(codec.encode(whole, source="/echo/0"))
    assert size_of(codec.encode(bounded_dead_letter(whole), source="/echo/0")) < 40_000


def test_names_of_any_length_in_a_message_do_not_make_its_dead_letter_large() -> None:
    long = "\udcff" * 200_000
    message = commands.CancelTask(
        command_id=long, correlation_id=long, occurred_at=1, agent=long, tenant=long, reason=long
    )

    made = dead_letter(record(None), FAILURE, service="echo", stage=DECODE, now=7, message=message)

    assert UUID(made.correlation_id)
    assert size_of(Codec(CatalogueIds()).encode(made, source="/echo/0")) < 5_000
