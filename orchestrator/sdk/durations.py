"""Durations as text, such as `10s`."""

import re
from typing import Final

_UNITS_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")


def milliseconds(text: str | int) -> int:
    """`"200ms"`, `"10s"`, `"15m"`, `"1.5h"` or `"2d"` in milliseconds; an integer is milliseconds already.

    Raises `ValueError` for anything else.
    """
    if isinstance(text, int):
        return text
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{text!r} is not a duration: write a number and a unit, such as 200ms, 10s, 15m, 1h, 2d"
        )
    return round(float(match[1]) * _UNITS_MS[match[2]])
