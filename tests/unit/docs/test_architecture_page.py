"""The page about the architecture names every folder there is, in the order of the layers, and classes that exist."""

import re
import tomllib

import pytest

from tests.support.names import PRODUCT, ROOT, defined_names
from tests.support.pages import blocks

PAGE = ROOT / "docs" / "architecture.md"
PACKAGE = ROOT / "orchestrator"
ROW = re.compile(r"^\| ((?:`[a-z_/.]+`(?:, )?)+) \| (.+) \|$", re.MULTILINE)


def listed() -> list[str]:
    """Folders and files in the first column of the table, from its top to its bottom."""
    return [name for cell, _ in ROW.findall(PAGE.read_text()) for name in re.findall(r"`([^`]+)`", cell)]


def layers() -> list[set[str]]:
    """The layers that import-linter checks, from the top down."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = [one for one in project["tool"]["importlinter"]["contracts"] if one["id"] == "layers"]
    return [
        {name.strip().removeprefix("orchestrator.") for name in layer.split("|")}
        for layer in contract["layers"]
    ]


def test_every_folder_has_a_row_and_every_row_a_folder() -> None:
    folders = {
        f"{path.relative_to(PACKAGE).as_posix()}/"
        for path in PACKAGE.rglob("*")
        if path.is_dir() and any(path.glob("*.py"))
    }
    files = {path.name for path in PACKAGE.glob("*.py") if path.name != "__init__.py"}
    assert sorted(listed()) == sorted(folders | files)


def test_rows_are_in_the_order_of_the_layers() -> None:
    order = {name: number for number, layer in enumerate(layers()) for name in layer}
    tops = [name.partition("/")[0].removesuffix(".py") for name in listed()]
    assert [order[top] for top in tops] == sorted(order[top] for top in tops)


def test_a_folder_stands_behind_the_one_it_lies_in() -> None:
    rows = listed()
    for number, name in enumerate(rows):
        parent = name.removesuffix("/").rpartition("/")[0]
        assert not parent or f"{parent}/" in rows[:number], f"{name} stands before {parent}/"


@pytest.mark.parametrize("diagram", [one for one in blocks(PAGE, "mermaid") if "sequenceDiagram" in one])
def test_participants_of_sequences_are_classes(diagram: str) -> None:
    shown = re.findall(r"^ *participant \w+ as ([A-Z]\w+)$", diagram, re.MULTILINE)
    assert shown
    assert not set(shown) - defined_names(*PRODUCT)


def test_the_sequence_has_the_steps_of_the_loop() -> None:
    (diagram,) = [one for one in blocks(PAGE, "mermaid") if "sequenceDiagram" in one]
    loop = (PACKAGE / "engine" / "loop.py").read_text()
    numbers = re.findall(r"^(\d)\. ", loop.split('"""')[1], re.MULTILINE)
    assert re.findall(r"Note over [^:]+: (\d)\. ", diagram) == numbers
