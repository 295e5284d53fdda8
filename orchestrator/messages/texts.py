"""Parts of messages for people and models that others make as long as they like: names, and lists of problems."""

from collections.abc import Iterable
from itertools import islice
from typing import Final

MOST_NAMES: Final = 5
MOST_PROBLEMS: Final = 20
LONGEST_NAME: Final = 100


def short(name: str, longest: int = LONGEST_NAME) -> str:
    """The beginning of a name of any length."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def named(names: Iterable[str], most: int = MOST_NAMES) -> str:
    """The first names of a list, and how many follow; "none" for an empty one."""
    found = list(names)
    more = len(found) - most
    return (", ".join(map(short, found[:most])) or "none") + (f" and {more:,} more" if more > 0 else "")


def first_of(problems: Iterable[str], most: int = MOST_PROBLEMS) -> list[str]:
    """The first problems, and whether there are others. Of an iterator, the others are not made."""
    found = list(islice(problems, most + 1))
    return [*found[:most], "there are more problems"] if len(found) > most else found
