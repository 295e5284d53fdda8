"""Numbers and names in YAML mean what is written, or are refused with their line."""

from typing import Any

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.sdk import parse_documents, read_yaml


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("1e400", "the number 1e400 is too large"),
        ("-1e999", "the number -1e999 is too large"),
        ("!!float '" + "9" * 400 + "'", "the number 9{99}… is too large"),
        (
            "1.0000000000000000001",
            "the number 1.0000000000000000001 has more digits than are kept: write it as text",
        ),
        ("+0.1234567890123456789", r"the number \+0.1234567890123456789 has more digits"),
        ("12345678901234567890123.5", "the number 12345678901234567890123.5 has more digits"),
        ("1e-400", "the number 1e-400 has more digits"),
        ("!!float 9007199254740993", "the number 9007199254740993 has more digits"),
        ("!!int '0x10'", "'0x10' is no !!int of YAML 1.2: write it as YAML 1.2 does, or leave out the tag"),
        ("!!int '1:30'", "'1:30' is no !!int"),
        ("!!int '08'", "'08' is no !!int"),
        ("!!int ''", "'' is no !!int"),
        ("!!float 1_0", "'1_0' is no !!float"),
        ("!!float .nan", "'.nan' is no !!float"),
        ("!!float .inf", "'.inf' is no !!float"),
        ("!!bool yes", "'yes' is no !!bool"),
        ("!!null x", "'x' is no !!null"),
    ],
)
def test_a_value_that_would_become_another_is_refused_with_its_line(written: str, reason: str) -> None:
    for text in (f"a: 1\nb: {written}\n", f"a: 1\nb: {{c: [1, {written}]}}\n"):
        with pytest.raises(ConfigurationError, match=f"f.yaml:2: {reason}"):
            read_yaml(text, "f.yaml")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("-0", 0),
        ("+5", 5),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("0.30000000000000004", 0.30000000000000004),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("1.10", 1.1),
        ("1e22", 1e22),
        ("100000000000000000000000.0", 1e23),
        ("!!float 5", 5.0),
        ("!!str 5", "5"),
        ("012.5", "012.5"),
        ("01e3", "01e3"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
    ],
)
def test_other_values_are_what_they_say(written: str, read: Any) -> None:
    found = read_yaml(f"a: {written}\n", "f.yaml")["a"]

    assert (found, type(found)) == (read, type(read))


LONG = "y" * 256


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f"playbook: {LONG}\nsteps: {{s: {{tool: t}}}}\n", "playbook"),
        (f"version: {LONG}\nplaybook: a\nsteps: {{s: {{tool: t}}}}\n", "version"),
        (f"agent: {LONG}\n", "agent"),
        (f"planner: {LONG}\nagent: a\n", "planner"),
        (f"reviewers: [{{name: {LONG}}}]\nagent: a\n", "reviewers.0.name"),
        (f"evaluate: {{evaluator: {LONG}}}\nagent: a\n", "evaluate.evaluator"),
    ],
)
def test_a_name_that_no_task_may_have_is_refused(text: str, key: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"f.yaml:1: {key}: it has 256 characters, and may have 255"
    ):
        parse_documents(text, "f.yaml")

    parse_documents(text.replace(LONG, LONG[1:]), "f.yaml")
