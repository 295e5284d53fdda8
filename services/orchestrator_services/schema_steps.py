"""How much work the check of one content may be.

Schemas are others': with `$ref`, `allOf` or `anyOf`, 2 KB of one can ask for more steps than there are seconds, and
nothing else runs on the event loop meanwhile. So steps are counted, and a check that needs more of them than content
of its size can need ends.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

STEPS_FLOOR: Final = 20_000
"""For the smallest content. A step takes some ten microseconds."""
STEPS_PER_VALUE: Final = 100
"""For a value of the first `MANY_VALUES`: twenty alternatives of five properties each need some fifty."""
STEPS_PER_FURTHER_VALUE: Final = 10
MANY_VALUES: Final = 2_000
STEPS_FOR_A_SCHEMA: Final = 200_000
"""To find that it is one: the largest that are in use need 100,000."""
STEPS_FOR_A_LIST: Final = 2_000_000
"""To find that those of all tools in a list are: some twenty seconds, in a thread."""
_VALUES_A_STEP: Final = 30
"""What a keyword reads of content or schema in the time of a step: messages show the whole content."""
_CHARACTERS_A_VALUE: Final = 500
MOST_ERRORS: Final = 100_000
"""Of one check, also of alternatives that are tried: each is an object of some kilobytes."""
_CHARACTERS_A_STEP: Final = 50
"""Of a message: what does not fit is listed whole, and each item that does not may show a text of the schema."""


class TooManyStepsError(Exception):
    """The steps of a check are used up."""

    def __init__(self) -> None:
        super().__init__(
            "it takes too long to check: give less, or make the schema simpler, with fewer references and alternatives"
        )


def most_steps(values: int) -> int:
    """That the check of so many values may take."""
    few = min(values, MANY_VALUES)
    return STEPS_FLOOR + STEPS_PER_VALUE * few + STEPS_PER_FURTHER_VALUE * (values - few)


class _OfList:
    """The steps that are left for a list."""

    def __init__(self) -> None:
        self.left = STEPS_FOR_A_LIST


_OF_LIST: Final[ContextVar[_OfList | None]] = ContextVar("list", default=None)


class _Steps:
    """The steps that are left for one content."""

    def __init__(self, content: Any, most: int | None) -> None:
        self._sizes = _sizes(content)
        self.left = most_steps(self.size(content)) if most is None else most
        if (of_list := _OF_LIST.get()) is not None:
            self.left = min(self.left, of_list.left)
        self.most = self.left
        self.errors = MOST_ERRORS

    def size(self, content: Any) -> int:
        """Values in it, with a long text for many."""
        return self._sizes.get(id(content)) or _own_size(content)


_STEPS: Final[ContextVar[_Steps]] = ContextVar("steps")


@contextmanager
def steps_for(content: Any, most: int | None = None) -> Iterator[None]:
    """Inside, `content` is checked. More steps than `most`, or than its size allows, raise `TooManyStepsError`."""
    steps = _Steps(content, most)
    token = _STEPS.set(steps)
    try:
        yield
    finally:
        _STEPS.reset(token)
        if (of_list := _OF_LIST.get()) is not None:
            of_list.left -= steps.most - max(0, steps.left)


@contextmanager
def steps_for_list() -> Iterator[None]:
    """Inside, all checks together have `STEPS_FOR_A_LIST` steps."""
    token = _OF_LIST.set(_OfList())
    try:
        yield
    finally:
        _OF_LIST.reset(token)


def spend(instance: Any, read: int = 0) -> None:
    """A step: something of a schema is compared with a part of the content, and reads this many values besides."""
    steps = _STEPS.get()
    steps.left -= 1 + (steps.size(instance) + read) // _VALUES_A_STEP
    if steps.left < 0:
        raise TooManyStepsError


def spend_message(message: str) -> None:
    """An error about what does not fit, and the steps of its message."""
    steps = _STEPS.get()
    steps.left -= len(message) // _CHARACTERS_A_STEP
    steps.errors -= 1
    if steps.left < 0 or steps.errors < 0:
        raise TooManyStepsError


def _sizes(content: Any) -> dict[int, int]:
    """The sizes of all lists and objects in it, by their identity: they stay where they are during the check."""
    # Without recursion: content may be nested as deeply as a parser allows.
    found: list[tuple[Any, int]] = [(content, 0)] if isinstance(content, list | dict) else []
    sizes: list[int] = []
    for place, (one, _) in enumerate(found):
        size = 1
        for part in (*one, *one.values()) if isinstance(one, dict) else one:
            if isinstance(part, list | dict):
                found.append((part, place))
            else:
                size += _own_size(part)
        sizes.append(size)
    for place in range(len(found) - 1, 0, -1):
        sizes[found[place][1]] += sizes[place]
    return {id(one): size for (one, _), size in zip(found, sizes, strict=True)}


def _own_size(content: Any) -> int:
    return 1 + len(content) // _CHARACTERS_A_VALUE if isinstance(content, str) else 1
