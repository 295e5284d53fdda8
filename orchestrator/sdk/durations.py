"""Durations as text, such as `10s`."""

import re
from typing import Final

from orchestrator.messages.bounds import LONGEST_DAYS, LONGEST_MS

_UNITS_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)")
_SHOWN: Final = 40


def milliseconds(text: str | int) -> int:
    """`"200ms"`, `"10s"`, `"15m"`, `"1.5h"` or `"2d"` in milliseconds; an integer is milliseconds already.

    Raises `ValueError` for anything else, and for what is negative or longer than `LONGEST_MS`.
    """
    if isinstance(text, int):
        _check(text, f"{text} ms" if abs(text) < 1 << 64 else "the duration")
        return text
    match = _DURATION.fullmatch(text.strip())
    shown = repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
    if match is None:
        raise ValueError(
            f"{shown} is not a duration: write a number and a unit, such as 200ms, 10s, 15m, 1h, 2d"
        )
    # A float of hundreds of digits is infinite; it is compared before it is rounded.
    duration = float(match[1]) * _UNITS_MS[match[2]]
    _check(duration, shown)
    return round(duration)


def _check(duration: float, shown: str) -> None:
    if duration < 0:
        raise ValueError("a duration cannot be negative")
    if duration > LONGEST_MS:
        raise ValueError(f"{shown} is too long: a duration is at most {LONGEST_DAYS}d")
