"""`dlq list` and `dlq show`: the reason, and the original message."""

from pathlib import Path

import pytest

from orchestrator.bus.ports import Received
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.commands import SubmitTask
from orchestrator.messages.events import MessageDeadLettered
from orchestrator.messages.types import Failure, FailureKind, Header, OriginalMessage, Value
from orchestrator.messages.values import json_value
from orchestrator.operations.payloads import as_text
from tests.unit.cli.conftest import Ended, Installation, Run

MICROS_2026_03_01 = 1_772_323_200_000_000


def dead_letter(name: str, original: OriginalMessage, **given: object) -> MessageDeadLettered:
    fields: dict[str, object] = {
        "event_id": f"{name}-000-4000-8000-000000000000",
        "correlation_id": "0192f0c0-0000-7000-8000-000000000000",
        "occurred_at": MICROS_2026_03_01,
        "original": original,
        "failure": Failure(kind=FailureKind.PERMANENT, code="not_avro", message="no schema id"),
        "service": "orchestrator",
        "stage": "decode",
    }
    return MessageDeadLettered(**fields | given)  # type: ignore[arg-type]


def original(value: bytes | None, **given: object) -> OriginalMessage:
    return OriginalMessage(topic="tasks", partition=2, offset=7, value=value, **given)  # type: ignore[arg-type]


def found(ended: Ended) -> set[str]:
    return {one["id"].partition("-")[0] for one in ended.document}


@pytest.fixture
def dead_letters(installation: Installation) -> None:
    escalated = dead_letter(
        "bbbbbbbb",
        original(None),
        service="tool-executor",
        stage="handle",
        occurred_at=MICROS_2026_03_01 + 60_000_000,
        state=json_value({"phase": "EXECUTING"}),
        sequence=4,
    )
    installation.writes(dead_letter("aaaaaaaa", original("text ✓".encode(), key=b"\xff\x01")), escalated)


@pytest.mark.usefixtures("dead_letters")
def test_dead_letters_are_listed_as_text(run: Run) -> None:
    heading, *rows = run("dlq", "list").out.splitlines()

    assert heading.split() == ["id", "time", "service", "stage", "from", "why"]
    assert any("tasks/2@7" in row and "no schema id" in row for row in rows)


@pytest.mark.usefixtures("dead_letters")
@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        (("--service", "tool-executor"), {"bbbbbbbb"}),
        (("--stage", "decode"), {"aaaaaaaa"}),
        (("--since", "2026-03-01T00:00:30Z"), {"bbbbbbbb"}),
        (("--limit", "1"), {"bbbbbbbb"}),
        (("--limit", "1", "--stage", "decode"), {"aaaaaaaa"}),
        (("--service", "planner"), set()),
    ],
)
def test_filters_apply_before_the_limit(run: Run, wanted: tuple[str, ...], left: set[str]) -> None:
    assert found(run("dlq", "list", *wanted, "-o", "json")) == left


@pytest.mark.usefixtures("dead_letters")
def test_text_is_shown_as_text(run: Run) -> None:
    shown = run("dlq", "show", "aaaaaaaa", "-o", "json").document

    assert shown["value"] == {"form": "text", "schema": "", "content": "text ✓", "size": 8}
    assert shown["key"] == "ff 01"
    assert shown["failure"] == {"kind": "PERMANENT", "code": "not_avro", "message": "no schema id"}


@pytest.mark.usefixtures("dead_letters")
def test_the_state_of_the_session_is_shown(run: Run) -> None:
    shown = run("dlq", "show", "bbbbbbbb", "-o", "json").document

    assert shown["state"] == {"phase": "EXECUTING"}
    assert shown["sequence"] == 4
    assert shown["value"]["form"] == "none"
    assert '"phase": "EXECUTING"' in run("dlq", "show", "bbbbbbbb").out


def test_a_rejected_message_with_a_registered_schema_is_decoded(run: Run, installation: Installation) -> None:
    """Its header names another type than its schema: services reject it, but it can be read."""
    task = SubmitTask(correlation_id="x", goal="make tea", context=json_value({"cups": 2}))
    written = installation.wiring.codec.encode(task, source="/client")
    refused = Received(
        Topic.TASKS, 2, 7, 0, None, written.value, (("ce_type", b"agents.commands.CancelTask"),)
    )
    headers = tuple(Header(name=name, value=value) for name, value in refused.headers)
    installation.writes(dead_letter("cccccccc", original(written.value, headers=headers)))

    shown = run("dlq", "show", "cccccccc", "-o", "json").document

    assert shown["value"]["form"] == "avro"
    assert shown["value"]["schema"] == "agents.commands.SubmitTask"
    assert shown["value"]["content"]["goal"] == "make tea"
    assert shown["value"]["content"]["context"]["inline"] == '{"cups":2}'
    assert shown["headers"] == [["ce_type", "agents.commands.CancelTask"]]
    assert '"goal": "make tea"' in run("dlq", "show", "cccccccc").out


@pytest.mark.parametrize(
    "value", [b"\x00\x00\x00\xff\xff\x01", b"\x00", b"\xde\xad\xbe\xef", b"\x00\x00\x00\x00\x01"]
)
def test_anything_else_is_shown_in_hexadecimal(run: Run, installation: Installation, value: bytes) -> None:
    name = f"{value.hex():d<8.8}"
    installation.writes(dead_letter(name, original(value)))

    assert run("dlq", "show", name, "-o", "json").document["value"]["content"] == value.hex(" ")
    assert value.hex(" ") in run("dlq", "show", name).out


def test_a_dead_letter_written_twice_is_listed_once(run: Run, installation: Installation) -> None:
    twice = dead_letter("88888888", original(b"x"))
    installation.writes(twice, twice)

    assert [one["id"] for one in run("dlq", "list", "-o", "json").document].count(twice.event_id) == 1
    assert run("dlq", "show", "88888888").code == 0


def test_the_value_is_written_byte_for_byte(run: Run, installation: Installation, place: Path) -> None:
    value = bytes(range(256))
    installation.writes(dead_letter("eeeeeeee", original(value)))

    ended = run("dlq", "show", "eeeeeeee", "--raw", "value.bin")

    assert place.joinpath("value.bin").read_bytes() == value
    assert (ended.code, ended.out) == (0, "")
    assert run("dlq", "show", "eeeeeeee", "--raw", "no/where").code == 1


@pytest.mark.usefixtures("dead_letters")
def test_a_dead_letter_without_a_value_has_nothing_to_write(run: Run) -> None:
    ended = run("dlq", "show", "bbbbbbbb", "--raw", "value.bin")

    assert ended.code == 1
    assert "the message has no value" in ended.err


def test_an_unknown_dead_letter_says_where_to_look(run: Run, installation: Installation) -> None:
    ended = run("dlq", "show", "ffffffff")

    assert ended.code == 1
    assert "`orchestrator dlq list`" in ended.err


def test_an_ambiguous_prefix_is_refused(run: Run, installation: Installation) -> None:
    installation.writes(dead_letter("99999999", original(b"1")), dead_letter("99998888", original(b"2")))

    ended = run("dlq", "show", "9999")

    assert ended.code == 1
    assert "several dead letters begin with 9999" in ended.err


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"tea\r\n", "tea\r\n"), (b"a\x1b[2J", None), (b"", None), (b"\xff", None), ("é\t".encode(), "é\t")],
)
def test_text_is_what_a_terminal_shows_unchanged(content: bytes, text: str | None) -> None:
    assert as_text(content) == text


def test_a_state_in_the_value_store_is_shown_by_its_uri(run: Run, installation: Installation) -> None:
    state = Value(uri="values:sha256/ab/cd/00", size=70_000)
    installation.writes(dead_letter("77777777", original(b"x"), state=state))

    assert run("dlq", "show", "77777777", "-o", "json").document["state"] == {
        "uri": "values:sha256/ab/cd/00",
        "size": 70_000,
    }
