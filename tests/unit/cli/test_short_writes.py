"""Standard output that takes a part of a result: never success, however Python was told to buffer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LENGTH = 1_000_000
"""More than a pipe or the file of these tests holds."""
PROGRAM = f"""
import typer
from orchestrator.cli import output
from orchestrator.cli.common import command
from orchestrator.cli.main import app
from orchestrator.cli.shell import Shell

@app.command()
@command
def line(shell: Shell): output.write_line("x" * {LENGTH})

@app.command()
@command
def document(shell: Shell): output.write_json("x" * {LENGTH})

@app.command()
@command
def raw(shell: Shell): output.write_bytes(b"x" * {LENGTH})

@app.command()
def echo(): typer.echo("x" * {LENGTH})

app()
"""

every_command = pytest.mark.parametrize("command", ["line", "document", "raw", "echo"])
every_buffering = pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])


def ends(place: Path, script: str, command: str, unbuffered: str) -> tuple[int, str]:
    """Runs a command in a shell. Returns its exit code, and what it says."""
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered, "PYTHONDONTWRITEBYTECODE": "1"}
    words = ("bash", "-c", script, "bash", sys.executable, "-c", PROGRAM, command)
    ended = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, check=True)
    return int((place / "code").read_text()), ended.stderr


@every_command
@every_buffering
def test_a_disk_that_fills_in_the_middle_is_an_error(place: Path, command: str, unbuffered: str) -> None:
    script = '(ulimit -f 64; "$@" > result; echo $? > code)'

    code, said = ends(place, script, command, unbuffered)

    assert (code, said) == (1, "Error: standard output cannot be written: File too large\n")


@every_command
@every_buffering
def test_a_reader_that_stops_in_the_middle_ends_the_command(
    place: Path, command: str, unbuffered: str
) -> None:
    script = '{ "$@"; echo $? > code; } | head -c 10'

    assert ends(place, script, command, unbuffered) == (141, "")


@every_command
@every_buffering
def test_a_pipe_that_is_read_gets_everything(place: Path, command: str, unbuffered: str) -> None:
    script = '{ "$@"; echo $? > code; } | cat > result'

    assert ends(place, script, command, unbuffered) == (0, "")
    assert (place / "result").read_text().count("x") == LENGTH
