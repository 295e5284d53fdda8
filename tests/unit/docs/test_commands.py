"""What the documentation tells people to type exists: commands, their options, targets of make, and files."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from orchestrator.cli.main import app
from tests.support.pages import ROOT, commands, inline, named, pages

PROGRAM = "orchestrator"
PROGRAMS = {PROGRAM, "docker", "export", "helm", "kubectl", "make", "python", "sh"}
"""What blocks may begin a command with: a new one needs a test here, or one in `tests/deploy/`."""
ENDS = {"--help", "--install-completion", "--show-completion"}
"""Options that end the program as soon as they are read."""
BEFORE_OURS = {"kubectl": "--", "docker": "cli"}
"""The word behind which a command of ours begins inside another one."""
PLACEHOLDERS = {"ID": "0190a5b2-7c1e-7d3a-9f00-1234567890ab"}
FOLDERS = ("deploy/", "docs/", "examples/", "helm/")

TYPED = [
    pytest.param(words, id=f"{named(page)}: {shlex.join(words)}")
    for page in pages()
    for words in commands(page)
]
NAMED = [
    pytest.param(shlex.split(text), id=f"{named(page)}: {text}")
    for page in pages()
    for text in dict.fromkeys(inline(page))
    if text.split()[0] in {PROGRAM, "make"} and len(text.split()) > 1
]


def ours(words: list[str]) -> list[str] | None:
    """The words after `orchestrator`; None for a command that is not ours."""
    program, *rest = words
    if program == PROGRAM:
        return rest
    mark = BEFORE_OURS.get(program)
    if mark not in rest:
        return None
    inner = rest[rest.index(mark) + 1 :]
    return inner[1:] if inner[:1] == [PROGRAM] else inner


def parse(words: list[str], *, complete: bool) -> None:
    """Reads a command line as the program does, but runs nothing. Raises what the program would report.

    What is not `complete` may lack arguments.
    """
    command: Any = typer.main.get_command(app)
    context = None
    while True:
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        ends = ENDS & set(words)
        assert ends <= known or "commands" in vars(command), f"{command.name} has no {ends - known}"
        words = [word for word in words if word not in ends]
        if not words and (ends or not complete):
            return
        context = command.make_context(
            command.name, list(words), parent=context, resilient_parsing=not complete
        )
        if "commands" not in vars(command):
            assert complete or not any(word.startswith("-") for word in context.args)
            return
        words = [*context._protected_args, *context.args]
        if not words and not complete:
            return
        _, command, words = command.resolve_command(context, words)


@pytest.fixture
def folder_of_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that commands run in: a checkout's examples, and what a reader has made."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("words", TYPED)
def test_commands_in_blocks_are_accepted(words: list[str], folder_of_a_reader: Path) -> None:
    assert words[0] in PROGRAMS, f"{words[0]} is not among {PROGRAMS}"
    own = ours(words)
    if own is not None:
        for word in own:
            if word.endswith("/"):
                (folder_of_a_reader / word).mkdir()
        parse([PLACEHOLDERS.get(word, word) for word in own], complete=True)


@pytest.mark.parametrize("words", NAMED)
def test_commands_in_the_text_are_accepted(words: list[str]) -> None:
    own = ours(words)
    if own is not None and not own[0].isupper():
        parse(own, complete=False)


@pytest.mark.parametrize("words", [*TYPED, *NAMED])
def test_targets_of_make_exist(words: list[str]) -> None:
    if words[0] == "make":
        targets = set(
            re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        )
        missing = [word for word in words[1:] if word not in targets and not word.startswith("bench-")]
        assert not missing


@pytest.mark.parametrize("words", TYPED)
def test_files_of_the_checkout_exist(words: list[str]) -> None:
    named_files = [word for word in words if word.startswith(FOLDERS) and words[0] != "kubectl"]
    assert not [name for name in named_files if not (ROOT / name).exists()]


def test_examples_are_found() -> None:
    """The tests above are about something on each page that shows commands."""
    shown = {named(page) for page in pages() if any(ours(words) is not None for words in commands(page))}
    assert shown >= {
        "README.md",
        "docs/agents.md",
        "docs/cli.md",
        "docs/containers.md",
        "docs/deploy.md",
        "docs/extending.md",
        "docs/observe.md",
        "examples/incident_triage/README.md",
        "examples/research_desk/README.md",
    }


@pytest.mark.parametrize(
    "line",
    [
        "sesions list",
        "submit",
        "submit goal --wiat",
        "dev --nodes three",
        "agents apply",
        "run --help --slto",
    ],
)
def test_a_wrong_command_is_not_accepted(line: str) -> None:
    with pytest.raises((Exception, SystemExit)):
        parse(shlex.split(line), complete=True)
