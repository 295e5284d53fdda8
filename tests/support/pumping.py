"""Texts that make a regular expression slow, derived from the expression, and whether time grows out of proportion."""

import gc
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from math import inf
from re import _constants, _parser  # type: ignore[attr-defined]
from time import process_time
from typing import Any, Final

FLOOR_S: Final = 0.02
"""CPU seconds below which nothing is too slow."""
MOST_GROWTH: Final = 24
"""For eight times the text: 8 is linear, 64 quadratic, so the machine and what else it does make no difference."""
LONGEST: Final = 1 << 15
_SHORT: Final = (16, 20, 24, 28)
"""Characters with which an exponential one takes a second or so."""
_FIRST: Final = 256
_FURTHER: Final = 4
"""How much longer the text is with which a growth is looked at again."""
_SUFFIXES: Final = ("", "\0", "\n", "!")
_MOST_TEXTS: Final = 200
_BOUNDED: Final = 256

Run = Callable[[str], object]


@dataclass(frozen=True)
class Pump:
    """A text of any length: a prefix, something repeated, and an end."""

    unit: str
    prefix: str = ""
    suffix: str = ""

    def __call__(self, length: int) -> str:
        return self.prefix + self.unit * (length // len(self.unit) + 1) + self.suffix


def growth(run: Run, pump: Pump) -> float:
    """How many times longer `run` takes for eight times the text; 0 if it takes no time worth speaking of.

    The text grows in small steps until its time can be measured, so that one that is cubic takes no minutes.
    """
    for length in _SHORT:
        if _seconds(run, pump(length)) > FLOOR_S and _seconds(run, pump(length)) > FLOOR_S:
            return inf
    length = _FIRST
    while (took := _seconds(run, pump(length))) < FLOOR_S:
        # Not even if its time grew with the square would it take long.
        if took * (LONGEST / length) ** 2 < FLOOR_S:
            return 0
        length *= 2
    measured = _growth_at(run, pump, length)
    # One with a bound grows with the square up to there, and a busy machine adds to it: further on it is linear.
    return measured if measured <= MOST_GROWTH else min(measured, _growth_at(run, pump, length * _FURTHER))


def _growth_at(run: Run, pump: Pump, length: int) -> float:
    whole = min(_seconds(run, pump(length)) for _ in range(2))
    return whole / max(min(_seconds(run, pump(length // 8)) for _ in range(3)), 1e-6)


def slow_pump(run: Run, pumps: Iterable[Pump]) -> tuple[Pump, float] | None:
    """The first with which time grows faster than the text."""
    for pump in pumps:
        times = growth(run, pump)
        if times > MOST_GROWTH:
            return pump, times
    return None


def pumps_of(pattern: re.Pattern[str]) -> Iterator[Pump]:
    """Texts from the parts of an expression: each repeated, alone and in pairs, behind what comes before it. None of
    an expression that takes a few steps wherever it begins."""
    tree = _parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE & ~re.DEBUG)
    if _longest_steps(tree) <= _BOUNDED:
        return
    parts = list(dict.fromkeys((before, unit) for before, unit in _parts(tree, "") if unit))
    units = list(dict.fromkeys(unit for _, unit in parts))
    befores = list(dict.fromkeys(before for before, _ in parts))
    kinds = [
        [Pump(unit, "") for unit in units],
        [Pump(unit, before, suffix) for before, unit in parts for suffix in _SUFFIXES],
        [Pump(one + other) for other in ["-", " ", "\n", *units] for one in units],
        [Pump(unit, before) for before in befores for unit in units],
    ]
    # Some of each kind, if there are too many.
    found = (pump for together in zip_longest(*kinds) for pump in together if pump)
    yield from islice(dict.fromkeys(found), _MOST_TEXTS)


def _longest_steps(tree: Iterable[tuple[Any, Any]]) -> int:
    """Steps from one beginning, at most."""
    steps = 1
    for operator, argument in tree:
        inner = [_longest_steps(one) for one in _inner(operator, argument)]
        times = min(int(argument[1]), 1 << 32) if str(operator).endswith("REPEAT") else 1
        steps *= sum(inner) ** times if sum(inner) > 1 and times <= _BOUNDED else times
        steps = min(max(steps, times), 1 << 32)
    return steps


def _seconds(run: Run, text: str) -> float:
    # The collector's time grows with what else the process holds.
    gc.disable()
    try:
        start = process_time()
        run(text)
        return process_time() - start
    finally:
        gc.enable()


def _parts(tree: Iterable[tuple[Any, Any]], before: str) -> Iterator[tuple[str, str]]:
    """What comes before a part, and an example of the part; of everything inside too."""
    for operator, argument in tree:
        examples = _examples(operator, argument)
        yield from ((before, example) for example in examples)
        for inner in _inner(operator, argument):
            yield from _parts(inner, before)
        before += examples[0] if examples else ""
        yield "", before


def _inner(operator: Any, argument: Any) -> Sequence[Any]:
    match str(operator):
        case "SUBPATTERN":
            return [argument[3]]
        case "BRANCH":
            return list(argument[1])
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            return [argument[2]]
        case "ASSERT" | "ASSERT_NOT":
            return [argument[1]]
        case "ATOMIC_GROUP":
            return [argument]
        case _:
            return []


def _examples(operator: Any, argument: Any) -> list[str]:
    """Texts that a part of an expression matches, the simplest first."""
    match str(operator):
        case "LITERAL":
            return [chr(argument)]
        case "NOT_LITERAL":
            return [" " if argument != ord(" ") else "a"]
        case "ANY":
            return ["a"]
        case "IN":
            return _members(argument)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least = min(max(argument[0], 1), 100)
            return [example * least for example in _of_sequence(argument[2])]
        case "BRANCH":
            return [example for branch in argument[1] for example in _of_sequence(branch)][:12]
        case "AT" | "GROUPREF" | "GROUPREF_EXISTS":
            return []
        case _:
            return [example for inner in _inner(operator, argument) for example in _of_sequence(inner)]


def _of_sequence(tree: Iterable[tuple[Any, Any]]) -> list[str]:
    """A few texts that a sequence matches: each part in its simplest form, but one."""
    parts = [_examples(*one) for one in tree if str(one[0]) != "ASSERT_NOT"]
    parts = [examples for examples in parts if examples]
    simplest = [examples[0] for examples in parts]
    found = ["".join(simplest)]
    for index, examples in enumerate(parts):
        found += ["".join([*simplest[:index], other, *simplest[index + 1 :]]) for other in examples[1:4]]
    return list(dict.fromkeys(found))[:12]


_CATEGORIES: Final = {
    "CATEGORY_SPACE": " ",
    "CATEGORY_DIGIT": "1",
    "CATEGORY_WORD": "a",
    "CATEGORY_NOT_SPACE": "a",
    "CATEGORY_NOT_DIGIT": "a",
    "CATEGORY_NOT_WORD": " ",
}
_COMMON: Final = " a1?/:-.=&\n\\"


def _members(items: Sequence[tuple[Any, Any]]) -> list[str]:
    """Characters of a class: one for each of its parts; of a negated one those of a few that are in it."""
    if items[0][0] is _constants.NEGATE:
        inside = re.compile(_class(items[1:]))
        return [char for char in _COMMON if not inside.match(char)] or ["é"]
    found = []
    for operator, argument in items:
        match str(operator):
            case "LITERAL":
                found.append(chr(argument))
            case "RANGE":
                found.append(chr(argument[0]))
            case "CATEGORY":
                found.append(_CATEGORIES[str(argument)])
    return found


def _class(items: Sequence[tuple[Any, Any]]) -> str:
    written = []
    for operator, argument in items:
        match str(operator):
            case "LITERAL":
                written.append(re.escape(chr(argument)))
            case "RANGE":
                written.append(f"{re.escape(chr(argument[0]))}-{re.escape(chr(argument[1]))}")
            case "CATEGORY":
                letter = str(argument).removeprefix("CATEGORY_")
                written.append({"SPACE": r"\s", "DIGIT": r"\d", "WORD": r"\w"}.get(letter, ""))
    return f"[{''.join(written)}]"
