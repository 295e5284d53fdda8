"""Durations and times as options take them and as text shows them."""

from datetime import UTC, datetime, timedelta
from typing import Final

import typer

from orchestrator.clock import unix_micros
from orchestrator.messages.bounds import LONGEST_MS

_LONGEST_WAIT_S: Final = 86_400.0
"""What the clients' timers hold, with room: a wait of more than a day is a mistake."""
_EARLIEST: Final = datetime(1970, 1, 2, tzinfo=UTC)


def duration_ms(text: str) -> int:
    """`90s`, `15m`, `1.5h` in milliseconds."""
    from orchestrator.sdk.durations import milliseconds

    try:
        return milliseconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def seconds(text: str) -> float:
    """`90s`, `15m`, `1.5h` in seconds."""
    return duration_ms(text) / 1000


def wait_s(text: str) -> float:
    """As `seconds`, for a wait: more than nothing, and at most a day."""
    duration = seconds(text)
    if not 0 < duration <= _LONGEST_WAIT_S:
        raise typer.BadParameter(f"{text!r} is no time to wait: write a duration from 1ms to 1d")
    return duration


def ago(text: str) -> int:
    """A past time in Unix microseconds, given as ISO 8601 or as a duration before now (`2h`)."""
    return _instant(text, sign=-1)


def ahead(text: str) -> int:
    """A future time in Unix microseconds, given as ISO 8601 or as a duration from now (`10m`)."""
    return _instant(text, sign=1)


def shown(micros: int) -> str:
    """Local date and time, to the second."""
    moment = _moment(micros)
    return moment.strftime("%Y-%m-%d %H:%M:%S") if moment else _out_of_range(micros)


def shown_clock(micros: int) -> str:
    """Local time of day, to the millisecond."""
    moment = _moment(micros)
    return _clock(moment) if moment else _out_of_range(micros)


def shown_text(text: str) -> str:
    """As `shown_clock`, for a time in ISO 8601."""
    try:
        return _clock(datetime.fromisoformat(text).astimezone())
    except (ValueError, OverflowError):
        return text


def _moment(micros: int) -> datetime | None:
    """Local time; None for what no calendar has: messages hold any number."""
    try:
        return datetime.fromtimestamp(micros / 1_000_000, UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def _out_of_range(micros: int) -> str:
    return f"{micros} µs"


def _clock(local: datetime) -> str:
    return f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"


def _instant(text: str, sign: int) -> int:
    from orchestrator.sdk.durations import milliseconds

    given = text.strip()
    if given[:1].isdigit() and given[-1:] in "smhd":
        try:
            return unix_micros() + sign * milliseconds(given) * 1000
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text[:60]!r} is not a time: write a duration such as 90s or 2h, or a time such as "
            "2026-03-01T09:30:00Z"
        ) from error
    try:
        moment = (moment if moment.tzinfo else _local(moment)).astimezone(UTC)
    except (OverflowError, ValueError):
        moment = datetime.max.replace(tzinfo=UTC)
    latest = datetime.now(UTC) + timedelta(milliseconds=LONGEST_MS)
    if not _EARLIEST <= moment <= latest:
        raise typer.BadParameter(
            f"{text[:60]!r} is too far away: write a time from 1970 to {latest:%Y-%m-%d}"
        )
    return round(moment.timestamp() * 1_000_000)


def _local(moment: datetime) -> datetime:
    """A time without a zone, as it is on clocks here.

    Raises `BadParameter` where clocks were set: for a time that they skip, and for one that they show twice.
    """
    first, second = (moment.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return first
    if first.astimezone().replace(tzinfo=None) != moment:
        # Clocks skip it: each reading is on the other side.
        after = max(first, second).astimezone()
        raise typer.BadParameter(
            f"{moment.isoformat()} does not exist here, because clocks are set forward: write "
            f"{after.replace(tzinfo=None).isoformat()}, or a time with its zone, such as {after.isoformat()}"
        )
    raise typer.BadParameter(
        f"{moment.isoformat()} comes twice here, because clocks are set back: write "
        f"{first.astimezone().isoformat()} or {second.astimezone().isoformat()}"
    )
