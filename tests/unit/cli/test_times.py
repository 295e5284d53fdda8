"""Durations and times as options take them."""

import time

import pytest
import typer

from orchestrator.cli import times


def test_durations_have_units() -> None:
    assert times.duration_ms("1.5h") == 5_400_000
    assert times.seconds("250ms") == 0.25


def test_a_time_is_relative_or_absolute() -> None:
    now = time.time() * 1_000_000

    assert times.ago("2h") == pytest.approx(now - 7_200_000_000, abs=5_000_000)
    assert times.ahead("10m") == pytest.approx(now + 600_000_000, abs=5_000_000)
    assert (
        times.ahead("2026-03-01T09:30:00Z") == times.ago("2026-03-01T10:30:00+01:00") == 1_772_357_400_000_000
    )


@pytest.mark.parametrize("parse", [times.duration_ms, times.seconds, times.ago, times.ahead])
def test_anything_else_says_what_to_write(parse: object) -> None:
    assert callable(parse)
    with pytest.raises(typer.BadParameter, match="write"):
        parse("soon")
