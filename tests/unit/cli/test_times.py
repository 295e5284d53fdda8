"""Durations and times as options take them."""

import time
from collections.abc import Iterator
from datetime import datetime

import pytest
import typer

from orchestrator.cli import times


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is that of Berlin, by a rule that needs no time zone data."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


def micros(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)


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


@pytest.mark.parametrize("parse", [times.duration_ms, times.seconds, times.wait_s, times.ago, times.ahead])
@pytest.mark.parametrize(
    "text", ["soon", "-5m", "", "٣m", "nan", "inf", "1e9s", "9" * 400 + "d", "x" * 10_000]
)
def test_anything_else_says_what_to_write(parse: object, text: str) -> None:
    assert callable(parse)
    with pytest.raises(typer.BadParameter, match=r"write|at most") as refused:
        parse(text)

    assert len(refused.value.message) < 300


@pytest.mark.parametrize("parse", [times.ago, times.ahead])
@pytest.mark.parametrize(
    "text",
    ["9999-12-31", "9999-12-31T23:59:59.999999-14:00", "0001-01-01", "0001-01-01T00:00+14:00", "1969-12-31"],
)
def test_a_time_beyond_all_use_is_refused(parse: object, text: str) -> None:
    assert callable(parse)
    with pytest.raises(
        typer.BadParameter, match=r"is too far away: write a time from 1970 to 20\d\d-\d\d-\d\d"
    ):
        parse(text)


@pytest.mark.parametrize("text", ["0s", "25h", "366d"])
def test_a_wait_is_at_most_a_day(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="write a duration from 1ms to 1d"):
        times.wait_s(text)


@pytest.mark.usefixtures("berlin")
class TestWhereClocksAreSet:
    def test_a_time_without_a_zone_is_local(self) -> None:
        assert times.ahead("2026-03-29T01:59") == micros("2026-03-29T00:59Z")
        assert times.ahead("2026-03-29T03:00") == micros("2026-03-29T01:00Z")
        assert times.ahead("2026-07-01") == micros("2026-06-30T22:00Z")

    @pytest.mark.parametrize("text", ["2026-03-29T02:00", "2026-03-29T02:30", "2026-03-29 02:59:59"])
    def test_a_time_that_clocks_skip_is_refused_with_the_next_one(self, text: str) -> None:
        with pytest.raises(
            typer.BadParameter, match=r"does not exist here.* write 2026-03-29T03:\d\d:\d\d, or"
        ):
            times.ahead(text)

    def test_a_time_that_clocks_show_twice_is_refused_with_both(self) -> None:
        with pytest.raises(
            typer.BadParameter,
            match=r"comes twice here.* write 2026-10-25T02:30:00\+02:00 or 2026-10-25T02:30:00\+01:00",
        ):
            times.ahead("2026-10-25T02:30")

    def test_what_an_error_says_to_write_is_taken(self) -> None:
        assert times.ahead("2026-10-25T02:30:00+01:00") == micros("2026-10-25T01:30Z")
        assert times.ahead("2026-03-29T03:30:00+02:00") == micros("2026-03-29T01:30Z")


@pytest.mark.parametrize("number", [2**62, -(2**62), 253_402_300_800_000_000, -(10**17), 2**63 - 1])
def test_a_time_of_a_message_that_no_calendar_has_is_shown_as_a_number(number: int) -> None:
    assert times.shown(number) == times.shown_clock(number) == f"{number} µs"


def test_what_is_as_far_ahead_as_a_duration_may_be_is_taken_as_a_time_too() -> None:
    date = times.shown(times.ahead("365d"))[:10]

    assert times.shown(times.ahead(date))[:10] == date
