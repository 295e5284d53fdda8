"""Texts made by a grammar: a name stands for one of several forms, `<name>` in a form for one of its own."""

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

Grammar = Mapping[str, Sequence[str]]

_NAME: Final = re.compile(r"<(\w+)>")
_DEEP: Final = 12
_LONGEST: Final = 4_000


def text_of(grammar: Grammar, random: Random, name: str = "start", depth: int = 0) -> str:
    """A text. Deep inside, the first form of each name is taken, which must end."""
    forms = grammar[name]
    form = forms[0] if depth > _DEEP else random.choice(forms)
    parts: list[str] = []
    at = 0
    for found in _NAME.finditer(form):
        parts.append(form[at : found.start()])
        at = found.end()
        if found[1] in grammar:
            parts.append(text_of(grammar, random, found[1], depth + 1))
        else:
            parts.append(found[0])
    return "".join([*parts, form[at:]])[:_LONGEST]


def pieces_of(grammar: Grammar) -> tuple[str, ...]:
    """The fixed parts of a grammar, to insert anywhere."""
    return tuple(
        {part for forms in grammar.values() for form in forms for part in _NAME.split(form)[::2] if part}
    )
