"""Patterns of schemas, which are others', compared with others' texts in bounded time."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from math import prod
from time import thread_time
from typing import Final

import regex

PATTERNS_S: Final = 0.2
"""CPU seconds for all patterns over one content, which is checked on an event loop. One takes microseconds."""
LONGEST_PATTERN: Final = 10_000
"""Characters: long ones take seconds to compile."""
MOST_REPEATED: Final = 100_000
"""Characters of all patterns of a schema, those that are repeated as often as they are at least: each such is a node
of the compiled pattern, and takes a few microseconds."""
_SPENT: Final[ContextVar[list[float]]] = ContextVar("spent")

_TOKEN: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*+\]?+|\{(\d++)(?:,\d*+)?\}|.", re.DOTALL)
"""An escape, a class, a count, or any other character."""
_READ_OTHERWISE: Final = re.compile(r"\(\?(?![:=!<>P|]|[ims-]++[:)])")
"""Comments, and flags with which blanks, `#` or classes mean something else. Schemas' own patterns have none."""


class SlowPatternError(Exception):
    """The time for patterns is used up."""


@contextmanager
def time_for_patterns() -> Iterator[None]:
    """Inside, patterns have `PATTERNS_S`. More raises `SlowPatternError`."""
    token = _SPENT.set([0.0])
    try:
        yield
    finally:
        _SPENT.reset(token)


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text. Raises `SlowPatternError`, and `ValueError` for one that is none."""
    compiled = _compiled(pattern)
    spent = _SPENT.get()
    left = PATTERNS_S - spent[0]
    start = thread_time()
    try:
        if left <= 0:
            raise TimeoutError
        return compiled.search(text, timeout=left) is not None
    except TimeoutError:
        raise SlowPatternError(
            f"texts take too long to compare with the pattern {pattern[:200]!r}: give shorter ones, or make the "
            "pattern of the schema simpler"
        ) from None
    finally:
        spent[0] += thread_time() - start


def repeated_length(pattern: str) -> int:
    """Its characters, those that are repeated as often as they are at least: `(?:ab{3}){5}` has 31 or so.

    An upper bound for what compiling it takes. The parts of a pattern that is read in unusual ways count as if all
    were inside each other.
    """
    counts = [int(count) for count in re.findall(r"\{(\d++)", pattern)]
    together = len(pattern) * prod(max(count, 1) for count in counts)
    if together <= MOST_REPEATED or _READ_OTHERWISE.search(pattern):
        return together
    groups, last = [0], 0
    for token in _TOKEN.finditer(pattern):
        match token[0][0]:
            case "(":
                groups.append(0)
                last = 1
            case ")" if len(groups) > 1:
                last = 1 + groups.pop()
            case "{" if token[1] is not None:
                # `last` is counted once.
                groups[-1] -= last
                last *= max(int(token[1]), 1)
            case _:
                last = len(token[0])
        if token[0][0] != "(":
            groups[-1] += last
    return sum(groups)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> "regex.Pattern[str]":
    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
