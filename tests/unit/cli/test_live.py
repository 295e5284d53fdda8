"""What models write is shown as it comes, whatever of it is missing, late or repeated."""

import io
from typing import Any

import pytest

from orchestrator.cli.live import LiveText
from orchestrator.messages import events
from orchestrator.messages.types import Call, CallKind
from tests.support.samples import sample_of

START = 1_772_357_400_000_000
CALL = Call(call_id="plan-call", kind=CallKind.PLAN, revision=1, due_at=START)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")


def wrote(text: str, position: int = 0, **fields: Any) -> events.ModelProgressed:
    given = {
        "call": CALL,
        "request": 1,
        "part": 0,
        "tool": "",
        "ended": False,
        "occurred_at": START + position,
    }
    return sample_of(events.ModelProgressed, text=text, position=position, **{**given, **fields})


def shown(*reports: events.ModelProgressed) -> list[str]:
    """Lines, without the time of day."""
    screen = io.StringIO()
    live = LiveText(screen)
    for report in reports:
        live.show(report)
    live.pause()
    return [line.split("        ", 1)[-1] for line in screen.getvalue().splitlines()]


def test_text_grows_on_its_line() -> None:
    assert shown(wrote("There are"), wrote(" three.", 9, ended=True)) == ["plan 1 says: There are three."]


def test_each_part_has_its_block() -> None:
    lines = shown(
        wrote("I look.", ended=True),
        wrote('{"item":', part=1, tool="stock.level"),
        wrote("{}", part=2, tool="price", ended=True),
        wrote('"pear"}', 8, part=1, tool="stock.level", ended=True),
    )

    assert lines == [
        "plan 1 says: I look.",
        'plan 1 calls stock.level: {"item":',
        "plan 1 calls price: {}",
        'plan 1 calls stock.level: "pear"}',
    ]


def test_what_is_missing_is_a_gap() -> None:
    assert shown(wrote("There"), wrote("three.", 10)) == ["plan 1 says: There…three."]
    assert shown(wrote("three.", 10)) == ["plan 1 says: …three."]


def test_what_was_shown_is_not_shown_again() -> None:
    first, second = wrote("There are"), wrote(" three.", 9)

    assert shown(first, second, first, second, wrote(" three. Or four.", 9)) == [
        "plan 1 says: There are three. Or four."
    ]


def test_what_comes_late_is_left_out() -> None:
    assert shown(wrote("There"), wrote(" three.", 9), wrote(" are", 5)) == ["plan 1 says: There… three."]


def test_a_response_that_is_written_again_is_shown_again() -> None:
    again = wrote("Three.", occurred_at=START + 60_000_000)

    assert shown(wrote("There are"), again) == ["plan 1 says: There are", "plan 1 says: Three."]


def test_a_model_does_not_control_the_terminal() -> None:
    assert shown(wrote("one\x1b[2J\ntwo")) == ["plan 1 says: one\\x1b[2J", "    two"]


def test_little_is_remembered() -> None:
    live = LiveText(io.StringIO())

    for request in range(10_000):
        live.show(wrote("words", request=request))

    assert len(live._parts) < 1_000
