"""The program as a whole: help, version, completion, usage errors, and what it loads."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.cli.exits import ExitCode, exit_code_of
from orchestrator.client import TaskEscalatedError
from orchestrator.errors import ConfigurationError, ContractError, UnavailableError
from orchestrator.messages.types import Failure
from orchestrator.operations.errors import NotDoneError, NotFoundError, UsageError, kind_of
from tests.unit.cli.conftest import Run

COMMANDS = (
    "demo",
    "dev",
    "run",
    "submit",
    "cancel",
    "verify",
    "sessions",
    "dlq",
    "agents",
    "tools",
    "topics",
    "acls",
    "schemas",
    "config",
)
HEAVY = ("confluent_kafka", "pydantic", "sqlalchemy", "msgspec", "rich", "orchestrator.sdk")


def test_help_names_every_command(run: Run) -> None:
    shown = run("--help")

    assert shown.code == 0
    listed = [line.split()[0] for line in shown.out.partition("Commands:")[2].splitlines() if line.strip()]
    assert tuple(listed) == COMMANDS
    assert "..." not in shown.out.partition("Commands:")[2], "a help text is cut: shorten its first sentence"


def test_every_command_takes_the_common_options(run: Run) -> None:
    for words in (
        ("submit",),
        ("sessions", "show"),
        ("dlq", "list"),
        ("topics", "apply"),
        ("config", "check"),
    ):
        shown = run(*words, "--help").out
        for option in ("--output", "--config", "--bootstrap-servers", "--connect-timeout", "--log-level"):
            assert option in shown, words


def test_the_version_is_printed(run: Run) -> None:
    assert run("--version").out.startswith("orchestrator 0.")


def test_help_loads_nothing_that_is_slow() -> None:
    """`--help` and completion answer in a fraction of a second."""
    check = f"import sys, orchestrator.cli.main; print([name for name in {HEAVY} if name in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "[]"


def test_the_shell_completes_commands() -> None:
    environment = {
        **os.environ,
        "_ORCHESTRATOR_COMPLETE": "complete_bash",
        "COMP_WORDS": "orchestrator se",
        "COMP_CWORD": "1",
    }
    program = Path(sys.executable).with_name("orchestrator")

    completed = subprocess.run([program], env=environment, capture_output=True, text=True, check=False)

    assert completed.stdout.split() == ["sessions"]


def test_a_wrong_command_line_ends_with_2_and_a_suggestion(run: Run) -> None:
    ended = run("sesions", "list")

    assert ended.code == 2
    assert "Did you mean 'sessions'?" in ended.err


def test_a_wrong_command_line_is_reported_as_json_with_json_output(run: Run) -> None:
    for words in (("-o", "json", "submit"), ("submit", "--output=json"), ("submit", "-ojson")):
        ended = run(*words)
        assert ended.code == 2
        assert ended.error == {"type": "usage", "message": "Missing argument 'GOAL'."}


def test_the_command_line_imports_no_service() -> None:
    """Services are plug-ins, ours as well as those of others."""
    for path in Path(main.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.startswith("orchestrator_services") for name in names), path


def test_the_documentation_has_every_command_and_exit_code() -> None:
    text = Path(__file__).parents[3].joinpath("docs/cli.md").read_text(encoding="utf-8")

    assert [name for name in COMMANDS if f"| `{name}" not in text] == []
    assert [code.name for code in ExitCode if f"| {code.value} |" not in text] == []


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (ConfigurationError("x"), ExitCode.CONFIGURATION, "configuration"),
        (UnavailableError("x"), ExitCode.UNAVAILABLE, "unavailable"),
        (TimeoutError("x"), ExitCode.TIMEOUT, "timeout"),
        (ContractError("x"), ExitCode.NOT_DONE, "contract"),
        (NotFoundError("x"), ExitCode.NOT_DONE, "not_found"),
        (NotDoneError("x"), ExitCode.NOT_DONE, "not_done"),
        (UsageError("x"), ExitCode.USAGE, "usage"),
        (
            TaskEscalatedError("id", "waits", Failure(code="x", message="y")),
            ExitCode.NOT_DONE,
            "task_escalated",
        ),
    ],
)
def test_each_class_of_errors_has_its_code_and_its_name(error: Exception, code: ExitCode, kind: str) -> None:
    assert exit_code_of(error) is code
    assert kind_of(error) == kind
