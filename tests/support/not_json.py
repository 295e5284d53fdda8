"""What tools return that JSON cannot hold."""

import dataclasses
import math
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pydantic


@dataclasses.dataclass(frozen=True)
class Frozen:
    rows: Any


class Model(pydantic.BaseModel):
    rows: Any


def contains_itself(*others: Any) -> Any:
    found: list[Any] = [*others]
    found.append(found)
    return found


def deep() -> Any:
    found: Any = 1
    for _ in range(100_000):
        found = [found]
    return found


async def asynchronous() -> AsyncIterator[int]:
    yield 1


def counting_to(most: int) -> Iterator[int]:
    yield from range(most)


class Amounts(pydantic.BaseModel):
    rows: list[Any]


NOT_JSON: dict[str, Callable[[], Any]] = {
    "NaN": lambda: math.nan,
    "infinity in a list": lambda: {"rows": [[1.0, -math.inf]]},
    "NaN in a model": lambda: Model(rows=[math.nan]),
    "NaN in a dataclass": lambda: Frozen({"x": math.nan}),
    "NaN of a Decimal": lambda: Decimal("NaN"),
    "infinity of a Decimal in a list": lambda: {"rows": [[Decimal("-Infinity")]]},
    "a signalling NaN beside an iterator": lambda: {"x": counting_to(3), "y": Decimal("sNaN")},
    "NaN of a Decimal in a model": lambda: Amounts(rows=[Decimal("NaN")]),
    "a complex number": lambda: {"rows": [1j]},
    "half a character": lambda: "half \ud800",
    "half a character in a key": lambda: {"half \ud800": 1},
    "an object": object,
    "a list that contains itself": contains_itself,
    "deep lists": deep,
    "NaN in a list that contains itself": lambda: contains_itself(math.nan),
    "NaN in lists that contain themselves": lambda: contains_itself([contains_itself()] * 1_000, math.nan),
    "an asynchronous generator": asynchronous,
    "an open file": lambda: Path("/dev/null").open("rb"),  # noqa: SIM115
    "two keys of one name": lambda: {1: "a", "1": "b"},
}
