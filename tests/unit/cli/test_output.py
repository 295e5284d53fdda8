"""Output: control characters, tables, markup, and failures as JSON."""

import pytest

from orchestrator.cli.output import write_table, write_warnings
from orchestrator.messages.types import Failure, FailureKind
from orchestrator.operations.errors import failure_document
from orchestrator.telemetry.plain_text import printable


def test_control_characters_are_escaped() -> None:
    assert printable("tea\x1b[2J\x07 and\ttoast\nnow") == "tea\\x1b[2J\\x07 and\ttoast\nnow"


def test_without_a_terminal_nothing_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    write_table(("name", "why"), [("a" * 60, "because " * 60)], folded=("why",))

    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["name", "why"]
    assert row == "a" * 60 + "  " + ("because " * 60).rstrip()


def test_markup_is_written_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    write_table(("goal",), [("[bold]why[/bold]?",)])

    assert "[bold]why[/bold]?" in capsys.readouterr().out


def test_a_failure_says_how_long_to_wait_where_the_other_side_said_so() -> None:
    busy = Failure(kind=FailureKind.TRANSIENT, code="busy", message="not now", retry_after_ms=1_500)
    assert failure_document(busy) == {
        "kind": "TRANSIENT",
        "code": "busy",
        "message": "not now",
        "retry_after_ms": 1_500,
    }
    assert "retry_after_ms" not in failure_document(Failure(code="broken", message="it broke"))


def test_warnings_are_bounded_in_number_and_length(capsys: pytest.CaptureFixture[str]) -> None:
    write_warnings(f"{number} {'x' * 900_000}" for number in range(50))

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 21
    assert lines[0].startswith("warning: 0 xxx")
    assert max(map(len, lines)) < 2_100
    assert lines[-1] == "warning: and 30 more"
