"""Which numbers a field may hold. A number out of its range is refused where a message is written and where it is read:
sums of it would overflow, and times of it never come.
"""

from dataclasses import dataclass
from typing import Any, Final

INT: Final = (1 << 31) - 1
LONG: Final = (1 << 53) - 1
"""The largest integer that every reader of JSON holds exactly."""
LATEST: Final = 253_402_300_799_999_999
"""The end of the year 9999, in microseconds."""
FINITE: Final = 1.7976931348623157e308

_HIGHEST: Final[dict[str, int]] = {"int": INT, "long": LONG, "timestamp-micros": LATEST}


@dataclass(frozen=True, slots=True)
class Range:
    """Both ends included."""

    lowest: float
    highest: float
    optional: bool
    """Whether the field may be null."""

    def __str__(self) -> str:
        return f"may be from {self.lowest:,} to {self.highest:,}"


def range_of(field: Any) -> Range | None:
    """The range of a field of an Avro record; None for one that is no number.

    Numbers are not negative, and no larger than their type or the attributes `minimum` and `maximum` of the field say.
    """
    avro = field["type"]
    optional = isinstance(avro, list)
    kind = avro[1] if optional else avro
    if isinstance(kind, dict):
        kind = kind.get("logicalType") or kind["type"]
    if kind == "double":
        return Range(field.get("minimum", -FINITE), field.get("maximum", FINITE), optional)
    if not isinstance(kind, str) or kind not in _HIGHEST:
        return None
    return Range(field.get("minimum", 0), field.get("maximum", _HIGHEST[kind]), optional)
