"""What all targets have in common whose input is a text."""

from collections.abc import Callable
from random import Random
from typing import Any

from tests.fuzz.mutators.grammar import Grammar, pieces_of, text_of
from tests.fuzz.mutators.texts import PIECES, change_text, dump_text, load_text
from tests.fuzz.target import Target


def text_target(
    name: str,
    grammar: Grammar,
    check: Callable[[str], None],
    modules: tuple[str, ...],
    longest: int = 20_000,
    **options: Any,
) -> Target:
    """A target that takes texts of up to `longest` characters: made by a grammar, changed by its parts and by what has
    made trouble."""
    own = sorted(pieces_of(grammar))
    pieces = (*PIECES, *own, *own)

    def make(random: Random) -> str:
        return text_of(grammar, random)[:longest]

    def change(text: str, random: Random, other: str) -> str:
        return change_text(text, random, other if random.random() < 0.7 else make(random), pieces)[:longest]

    return Target(
        name=name,
        modules=modules,
        make=make,
        change=change,
        dump=dump_text,
        load=load_text,
        check=check,
        **options,
    )
