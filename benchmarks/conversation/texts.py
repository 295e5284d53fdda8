"""What the model and the tool say: the same in each run and for each engine.

Uses the standard library only, because the interpreter of each engine imports it.
"""

from functools import cache
from random import Random
from typing import Final

TOOL_CHARACTERS: Final = 6_000
MODEL_CHARACTERS: Final = 2_000
ANSWER: Final = "All pages are read."
_WORDS: Final = (
    *("pump", "valve", "pressure", "report", "shift", "sensor", "bearing", "oil", "leak", "repair", "crew"),
    *("minute", "hour", "night", "value", "limit", "alarm", "plant", "line", "tank", "level", "drop", "rise"),
    *("check", "note", "order", "part", "store", "motor", "belt", "cooling", "water", "steam", "gauge"),
)


@cache
def page(number: int) -> str:
    """What the tool returns."""
    return _text(f"page {number}", TOOL_CHARACTERS)


@cache
def thought(turn: int) -> str:
    """What the model says beside its call in a turn, from 0."""
    return _text(f"thought {turn}", MODEL_CHARACTERS)


def produced_bytes(turns: int) -> int:
    """Bytes of all that model and tool say in a conversation whose last turn is the answer."""
    said = (len(thought(turn)) + len(page(turn)) for turn in range(turns - 1))
    return sum(said) + len(ANSWER)


def _text(seed: str, characters: int) -> str:
    """Lines of words, in ASCII, which do not compress better than other text."""
    random = Random(seed)  # noqa: S311 - the same text in each run
    text = f"{seed}:"
    while len(text) < characters:
        text += "\n" if random.random() < 0.1 else " "
        text += f"{random.choice(_WORDS)}{random.randrange(100) if random.random() < 0.2 else ''}"
    return text[:characters]
