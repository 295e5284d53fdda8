"""The recipes of CONTRIBUTING.md, as their tables say them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"\| `(?P<place>[^`]+)`(?P<more>[^|]*)\| [^|]* \| `(?P<check>[^`]+)` \|")


@dataclass(frozen=True)
class Place:
    """One place to write something in by hand, and what fails if it is forgotten."""

    file: str
    """Path from the root; NAME stands for the name of what is added."""
    what: str
    """Which place of the file, where a recipe has several in one."""
    check: str
    """A test, as pytest names it, or a target of make."""


def recipes() -> dict[str, tuple[Place, ...]]:
    """The places of each recipe, by its heading."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    _, _, text = text.partition("\n## Recipes\n")
    sections = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    return {section.partition("\n")[0]: tuple(map(_place, _ROW.finditer(section))) for section in sections}


def _place(row: re.Match[str]) -> Place:
    return Place(row["place"], row["more"].strip(" ,:"), row["check"])
