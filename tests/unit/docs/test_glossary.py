"""The glossary names things that exist, and the words that it rules out are not used as names in code."""

import io
import re
import tokenize
from functools import cache
from pathlib import Path

import pytest

from orchestrator.messages.catalogue import Topic
from tests.support.names import PRODUCT, ROOT, defined_names, sources

PAGE = ROOT / "docs" / "glossary.md"
AVOIDED = "Words we avoid"
QUOTED = re.compile(r"(topic )?`([^`]+)`")

EXCEPTIONS = {
    ("give_up", "orchestrator/saga/"): "`Session.give_up` is a field of the state: snapshots hold it",
    ("give_up", "orchestrator/testing/session.py"): "reads that field",
    ("GIVE_UP", "orchestrator/"): "`NextMove.GIVE_UP` is a symbol of the schema",
    ("GIVE_UP", "services/orchestrator_services/evaluator/judge.py"): "that symbol",
    ("tell", "orchestrator/local/process.py"): "a file's `tell()`",
    ("tell", "orchestrator/bus/avro/resolution.py"): "a stream's `tell()`",
    ("gather", "orchestrator/testing/handlers.py"): "`asyncio.gather`",
    ("gather", "orchestrator/worker/host.py"): "`asyncio.gather`",
    ("gather", "services/orchestrator_services/evaluator/judge.py"): "`asyncio.gather`",
}
"""Names that are not ours to choose, by identifier and the beginning of the path."""


def rows() -> list[tuple[str, list[str]]]:
    """The cells of every row of the page's tables, with the heading above it."""
    found = []
    heading = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith(("| term |", "| say |")):
            found.append((heading, [cell.strip() for cell in line.strip("|").split("|")]))
    assert found
    return found


TERMS = [cells for heading, cells in rows() if heading != AVOIDED]
SAY_NOT = [cells for heading, cells in rows() if heading == AVOIDED]
NAMED = [
    pytest.param(bool(topic), name, id=f"{cells[0]}: {name}")
    for cells in TERMS
    for topic, name in QUOTED.findall(cells[2])
]


@pytest.fixture(scope="module")
def names() -> set[str]:
    return defined_names(*PRODUCT, "tests/support")


@pytest.mark.parametrize(("is_topic", "name"), NAMED)
def test_what_a_term_is_called_in_code_exists(is_topic: bool, name: str, names: set[str]) -> None:
    if is_topic:
        assert name in set(Topic), f"topic {name} is not in the catalogue"
    elif "/" in name or name.endswith(".py"):
        places = (ROOT / name, ROOT / "orchestrator" / name)
        assert any(place.exists() for place in places), f"no such file or folder: {name}"
    else:
        assert name in names, f"{name} is not defined anywhere in {', '.join(PRODUCT)} or tests/support"


def test_each_term_has_its_meaning_and_stands_once() -> None:
    terms = [cells[0] for cells in TERMS]
    assert all(len(cells) == 3 and all(cells) for cells in TERMS)
    assert len(terms) == len(set(terms)), "a term stands twice"


def avoided_words() -> dict[str, str]:
    """Words that are no part of a name, each with what to say instead."""
    words = {word: say for say, no in SAY_NOT for _, word in QUOTED.findall(no)}
    assert words
    return words


def identifiers(path: Path) -> set[str]:
    """The names in a Python file, without comments and strings."""
    text = path.read_text(encoding="utf-8")
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


def as_words(identifier: str) -> str:
    """`_MOST_LETTERS` and `mostLetters` as `_most_letters_`. A dead letter is one word."""
    parts = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])", identifier)
    return f"_{'_'.join(parts).lower()}_".replace("_dead_letter", "_deadletter")


@cache
def uses(folder: str) -> tuple[tuple[str, str, str], ...]:
    """Names that hold an avoided word: the word, the name and the file, each once."""
    words = avoided_words()
    found: dict[tuple[str, str, str], None] = {}
    for path in sources(folder):
        where = path.relative_to(ROOT).as_posix()
        for identifier in identifiers(path):
            split = as_words(identifier)
            found |= {(word, identifier, where): None for word in words if f"_{word}_" in split}
    return tuple(found)


def excepted(identifier: str, where: str) -> tuple[str, str] | None:
    return next((key for key in EXCEPTIONS if key[0] == identifier and where.startswith(key[1])), None)


@pytest.mark.parametrize("folder", PRODUCT)
def test_avoided_words_are_not_names(folder: str) -> None:
    words = avoided_words()
    found = [
        f"{where}: {identifier} has {word!r}, say {words[word]}"
        for word, identifier, where in sorted(uses(folder), key=lambda use: use[1:][::-1])
        if excepted(identifier, where) is None
    ]
    assert not found, "\n".join(["rename these, or add an exception with its reason:", *found])


def test_exceptions_are_still_needed() -> None:
    used = {excepted(identifier, where) for folder in PRODUCT for _, identifier, where in uses(folder)}
    unused = EXCEPTIONS.keys() - used
    assert not unused, f"remove these exceptions, no name needs them: {unused}"


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("_is_told", "_is_told_"),
        ("_MOST_LETTERS", "_most_letters_"),
        ("DeadLetterCap", "_deadletter_cap_"),
        ("list_dead_letters", "_list_deadletters_"),
        ("S3Values", "_s3_values_"),
    ],
)
def test_a_name_is_split_into_its_words(identifier: str, words: str) -> None:
    assert as_words(identifier) == words
