"""YAML that others write: what stands for too much is refused with one line, before it is built."""

import time
from pathlib import Path

import pytest
from orchestrator_services.safety_monitor.rules import read_rules

from orchestrator.errors import ConfigurationError
from orchestrator.operations.definition_files import read_definition_files
from orchestrator.sdk import parse_documents, read_yaml


def nested_aliases(first: str, each: str) -> str:
    """Nine levels, each with nine aliases of the one before."""
    lines = [f"a: &a {first}"]
    for above, name in zip("abcdefgh", "bcdefghi", strict=True):
        aliases = ",".join([f"*{above}"] * 9)
        lines.append(f"{name}: &{name} {each.format(aliases)}")
    return "\n".join(lines)


BOMB = nested_aliases("[x,x,x,x,x,x,x,x,x]", "[{}]")
MERGED = nested_aliases("{x: 1}", "{{<<: [{}]}}")

REFUSED = [
    pytest.param(BOMB, "its aliases stand for more than", id="aliases of aliases"),
    pytest.param(MERGED, "its aliases stand for more than", id="merge keys"),
    pytest.param("a: &a [*a]", "an anchor holds an alias of itself", id="an alias of itself"),
    pytest.param("a: &a {<<: *a}", "an anchor holds an alias of itself", id="a merge of itself"),
    pytest.param("[" * 100_000, "nested more than", id="lists"),
    pytest.param("{" * 100_000, "nested more than", id="mappings"),
    pytest.param("- " * 100_000, "nested more than", id="block lists"),
    pytest.param("? " * 10_000, "nested more than", id="keys"),
    pytest.param(
        "a0: &a0 [1]\n" + "\n".join(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100)),
        "nested more than",
        id="levels by aliases",
    ),
    pytest.param("- 1\n" * 50_000, "more than 20000 values", id="values"),
    pytest.param("---\n" * 50_000, "more than 20000 values", id="documents"),
    pytest.param("x" * 1_000_000, "at most 300000 are allowed", id="characters"),
    pytest.param("\n".join(f"a{n}: &a{n} 1" for n in range(2_000)), "more than 1000 anchors", id="anchors"),
]


def test_the_bomb_is_short() -> None:
    assert len(BOMB) <= 337


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_what_stands_for_too_much_is_refused_with_one_line(text: str, reason: str) -> None:
    began = time.process_time()

    with pytest.raises(ConfigurationError) as caught:
        parse_documents(text, "agents.yaml")

    (problem,) = caught.value.problems
    assert problem.startswith("agents.yaml:")
    assert reason in problem
    assert "\n" not in problem
    assert time.process_time() - began < 20, "seconds of CPU"


def test_every_reader_refuses_it(tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(BOMB)

    for read in (
        lambda: read_definition_files(tmp_path),
        lambda: read_rules(file),
        lambda: read_yaml(BOMB, "file"),
    ):
        with pytest.raises(ConfigurationError, match="its aliases stand for more than"):
            read()


def test_aliases_and_merge_keys_within_bounds_are_read() -> None:
    text = "base: &base {a: 1, b: [1, 2]}\nother: {<<: *base, a: 2}\nlist: [*base, *base]"

    assert read_yaml(text, "file") == {
        "base": {"a": 1, "b": [1, 2]},
        "other": {"a": 2, "b": [1, 2]},
        "list": [{"a": 1, "b": [1, 2]}] * 2,
    }


def test_a_text_is_one_document() -> None:
    assert read_yaml("", "file") is None
    with pytest.raises(ConfigurationError, match="file:3: write one document"):
        read_yaml("a: 1\n---\nb: 1", "file")


@pytest.mark.parametrize(
    "text", ["a: \x00", "a: [", "a: " + "1" * 5000, "a: !!set {x}", "a: !!int ''", "a: !!float ''"]
)
def test_what_is_no_yaml_is_one_line_too(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_yaml(text, "file")
    assert all("\n" not in problem for problem in caught.value.problems)
