"""The pages of the documentation, and the examples in them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCES = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
SHELL = ("console", "sh")


def pages() -> list[Path]:
    """Every page that people read."""
    patterns = ("*.md", "docs/**/*.md", "deploy/*.md", "helm/*/*.md", "examples/*/*.md")
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern))


def named(page: Path) -> str:
    """The page as it is called in the checkout."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of these languages."""
    return [body for kind, body in FENCES.findall(page.read_text(encoding="utf-8")) if kind in languages]


def inline(page: Path) -> list[str]:
    """What stands in code quotes in the text, outside blocks."""
    return INLINE.findall(FENCES.sub("", page.read_text(encoding="utf-8")))


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every command in the page's shell blocks. Where a block shows prompts, the rest is output."""
    for block in blocks(page, *SHELL):
        lines = block.replace("\\\n", " ").splitlines()
        if any(line.startswith("$ ") for line in lines):
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        for line in lines:
            yield from _chained(shlex.split(line, comments=True))


def _chained(words: list[str]) -> Iterator[list[str]]:
    """The commands between `&&`."""
    begun: list[str] = []
    for word in [*words, "&&"]:
        if word != "&&":
            begun.append(word)
        elif begun:
            yield begun
            begun = []
