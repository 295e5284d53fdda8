"""How much work data is, told without doing it."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

MANY_VALUES: Final = 10_000
MUCH_TEXT: Final = 1 << 20
"""Items and entries, and characters, from which on data is large: to write it and to hash it takes tens of
milliseconds and more, for which nothing else should wait."""


def is_large(content: Any) -> bool:
    """Whether plain data is large. Looks at no more of it than says so, also of what contains itself."""
    values, characters = MANY_VALUES, MUCH_TEXT
    left = [content]
    while left:
        value = left.pop()
        if isinstance(value, str | bytes | bytearray):
            characters -= len(value)
        elif isinstance(value, msgspec.Raw):
            characters -= memoryview(value).nbytes
        elif isinstance(value, Mapping | list | tuple | set | frozenset):
            values -= len(value)
            if values < 0:
                return True
            if isinstance(value, Mapping):
                left.extend(value)
            left.extend(value.values() if isinstance(value, Mapping) else value)
        if characters < 0:
            return True
    return False
