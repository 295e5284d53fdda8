"""Durations and times as options take them and as text shows them."""

from datetime import UTC, datetime

import typer

from orchestrator.clock import unix_micros


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


def ago(text: str) -> int:
    """A past time in Unix microseconds, given as ISO 8601 or as a duration before now (`2h`)."""
    return _instant(text, sign=-1)


def ahead(text: str) -> int:
    """A future time in Unix microseconds, given as ISO 8601 or as a duration from now (`10m`)."""
    return _instant(text, sign=1)


def shown(micros: int) -> str:
    """Local date and time, to the second."""
    return datetime.fromtimestamp(micros / 1_000_000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def shown_clock(micros: int) -> str:
    """Local time of day, to the millisecond."""
    return _clock(datetime.fromtimestamp(micros / 1_000_000, UTC))


def shown_text(text: str) -> str:
    """As `shown_clock`, for a time in ISO 8601."""
    return _clock(datetime.fromisoformat(text))


def _clock(moment: datetime) -> str:
    local = moment.astimezone()
    return f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"


def _instant(text: str, sign: int) -> int:
    from orchestrator.sdk.durations import milliseconds

    try:
        return unix_micros() + sign * milliseconds(text) * 1000
    except ValueError:
        pass
    try:
        # A time without a zone is local.
        return round(datetime.fromisoformat(text).astimezone().timestamp() * 1_000_000)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is not a time: write a duration such as 90s or 2h, or a time such as "
            "2026-03-01T09:30:00Z"
        ) from error
