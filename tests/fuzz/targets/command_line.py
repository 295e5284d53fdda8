"""Durations and times that people write: in range, or an error that says what to write."""

from datetime import datetime
from random import Random
from typing import Final

import typer

from orchestrator.cli import times
from orchestrator.messages.bounds import LONGEST_MS
from orchestrator.sdk.durations import milliseconds
from tests.fuzz.mutators.texts import PIECES, change_text, dump_text, load_text
from tests.fuzz.target import Target, promise

_SHOWN: Final = 900
"""Sixty characters of others, each escaped, and ours."""
_UNITS: Final = ("ms", "s", "m", "h", "d", "", " ", "w", "T", "Z", "+00:00", "+25:00", "-12:34", ".5", ":")


def check(text: str) -> None:
    try:
        promise(0 <= milliseconds(text) <= LONGEST_MS, "a duration is in its range")
    except ValueError as error:
        _said(error)
    for parse in (times.duration_ms, times.seconds, times.wait_s, times.ago, times.ahead):
        try:
            promise(parse(text) >= -LONGEST_MS * 1_000, "a time is in its range")
        except typer.BadParameter as error:
            _said(error)
    promise("\n" not in times.shown_text(text) or "\n" in text, "a time has no line of its own")


def _said(error: Exception) -> None:
    promise(0 < len(str(error)) <= _SHOWN, f"an error is a line, not {len(str(error))} characters")


def make(random: Random) -> str:
    match random.randrange(4):
        case 0:
            return f"{random.choice((0, 1, 1.5, 90, 10**9, '9' * 400))}{random.choice(_UNITS)}"
        case 1:
            year, month = random.choice((1, 1969, 2026, 9999)), random.randint(1, 12)
            moment = datetime(year, month, random.randint(1, 28), random.randrange(24), random.randrange(60))  # noqa: DTZ001
            return moment.isoformat() + random.choice(_UNITS)
        case 2:
            return random.choice(
                ("2026-03-29T02:30", "2026-W14-7", "20260329T0230", "9999-12-31", "0001-01-01")
            )
        case _:
            return random.choice(PIECES)


def change(text: str, random: Random, other: str) -> str:
    return change_text(text, random, other, (*PIECES, *_UNITS))


TARGETS: Final = (
    Target(
        name="durations",
        modules=("orchestrator.cli.times", "orchestrator.sdk.durations"),
        make=make,
        change=change,
        dump=dump_text,
        load=load_text,
        check=check,
        inputs=16_000,
        reaches=0.69,
    ),
)
