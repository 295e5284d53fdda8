"""What is fuzzed: a function that takes anybody's input, with the promise that it keeps."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

MOST_STEPS: Final = 1_000_000
"""Lines of the target's modules that one input may run. Larger inputs than these tests make are for tests of bounds."""


@dataclass(frozen=True)
class Target:
    """A consumer or parser under test. A case is an input in the form that its mutator understands."""

    name: str
    modules: tuple[str, ...]
    """Modules whose lines guide the search, and are told."""
    make: Callable[[Random], Any]
    """A new case that is nearly valid."""
    change: Callable[[Any, Random, Any], Any]
    """A case made from one; the last argument is another one, to take parts from."""
    dump: Callable[[Any], bytes]
    load: Callable[[bytes], Any]
    check: Callable[[Any], None]
    """Runs the product on a case. Raises for a promise that is not kept; whatever it raises is a fault."""
    inputs: int
    """How many of the hundred thousand inputs of the short form it gets."""
    reaches: float
    """Share of the lines of its modules that its corpus reaches at least."""
    suffix: str = "txt"
    """Of the files of its corpus."""
    most_steps: int = MOST_STEPS


class BrokenPromise(AssertionError):  # noqa: N818 - named after what is wrong
    """The product ended an input otherwise than it promises."""


def promise(kept: bool, text: str) -> None:
    """Raises `BrokenPromise` unless the promise is kept."""
    if not kept:
        raise BrokenPromise(text)
