"""What evaluating an expression may cost, known before it is evaluated: an upper bound by its form and its input.

CEL has no loops but macros over collections (`all`, `exists`, `exists_one`, `map`, `filter`), and nothing that grows
but `+` and literals. So an expression of d macros inside each other visits at most n**d elements, where n is the
largest collection that there can be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

MACROS: Final = frozenset({"all", "exists", "exists_one", "map", "filter"})
_COPYING: Final = frozenset({"map", "filter"})
"""Each element that they take is appended to a copy of what they have taken."""
MOST_NESTED: Final = 3
"""Macros inside each other. More are refused: over ten elements each, eight visit a hundred million."""

_READ: Final = 8
"""Steps for a value of the input, which is copied before the evaluation."""
_CHARACTERS: Final = 20_000
"""Characters of text that an operation reads in the time of a step."""
_REGEX: Final = 1_000
_LARGE_REGEX: Final = 300_000
"""Steps for compiling a regular expression: a plain literal, and one that repeats, names classes, or is computed."""
_PLAIN_REGEX: Final = 20
_REPEATING: Final = 400
"""Characters of an expression that repeats something and is cheap, and steps for each one more: its automaton may get
too many states to be kept, and is then followed in all of them at once."""

Token = tuple[str, str]


@dataclass(frozen=True)
class Form:
    """What of an expression determines its cost."""

    tokens: int
    nested: int
    """Macros inside each other, at most."""
    growth: int
    """How much larger than all input a value can get."""
    copies: bool
    literal: int
    """Elements that its literals may have."""
    regex_steps: int


def form_of(tokens: Sequence[Token]) -> Form:
    texts = [text for _, text in tokens]
    levels: list[bool] = []
    """Of each open bracket whether it is a macro's."""
    grown = [0]
    """Of each open macro, and first of what is outside, how many operators or elements could make values grow."""
    nested, growth, copies, regex_steps = 0, 1, False, 0
    for index, (kind, text) in enumerate(tokens):
        if kind != "other":
            regex_steps += _regex_steps(tokens, index)
            continue
        if text in "([{":
            is_macro = text == "(" and index > 1 and texts[index - 2] == "." and texts[index - 1] in MACROS
            levels.append(is_macro)
            if is_macro:
                # The comma behind the name that it binds is none of an element.
                grown.append(-1)
                nested = max(nested, len(grown) - 1)
                copies |= texts[index - 1] in _COPYING
        elif text in ")]}" and levels:
            if levels.pop():
                growth *= max(1, 1 + grown.pop())
        elif text in "+,":
            grown[-1] += 1
    growth *= 1 + grown[0]
    return Form(len(tokens), nested, growth, copies, 1 + texts.count(","), regex_steps)


def _regex_steps(tokens: Sequence[Token], index: int) -> int:
    if tokens[index] != ("name", "matches"):
        return 0
    following = tokens[index + 1 : index + 4]
    # As a function, `matches(text, pattern)`, it counts as computed.
    match following:
        case [("other", "("), ("string" | "raw", pattern), ("other", ")")] if not {"{", "\\"} & set(pattern):
            longer = max(0, len(pattern) - _PLAIN_REGEX) if set("*+?") & set(pattern) else 0
            return _REGEX + _REPEATING * longer
        case _:
            return _LARGE_REGEX


@dataclass(frozen=True)
class Size:
    """How large input is."""

    values: int
    longest: int
    """Elements of its largest collection."""
    characters: int


def size_of(variables: Mapping[str, Any], most: int) -> Size:
    """Counts until there are more than `most` values."""
    values = longest = characters = 0
    waiting: list[Any] = [variables]
    while waiting and values <= most:
        value = waiting.pop()
        values += 1
        if isinstance(value, str):
            characters += len(value)
        elif isinstance(value, Mapping):
            longest = max(longest, len(value))
            characters += sum(map(len, map(str, value)))
            waiting += value.values()
        elif isinstance(value, list | tuple):
            longest = max(longest, len(value))
            waiting += value
    return Size(values, longest, characters)


def steps(form: Form, size: Size) -> int:
    """Most steps, of half a microsecond, that it may take over input of this size."""
    largest = max(size.longest, form.literal) * form.growth
    visits: int = largest**form.nested
    work = (form.tokens + form.regex_steps) * visits
    if form.copies:
        work += visits * (size.values + form.tokens) * form.growth
    return work * (1 + size.characters * form.growth // _CHARACTERS) + _READ * size.values
