"""Every command with what people and programs give by mistake: one message and an exit code, never a traceback."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from orchestrator.cli.main import app
from tests.unit.cli.conftest import Ended, Run
from tests.unit.cli.streams import Streams, full, unread

SESSION = "0190b5a4-1111-7abc-8def-0123456789ab"
REQUIRED = {
    ("run",): ("planner",),
    ("submit",): ("why?",),
    ("cancel",): (SESSION,),
    ("sessions", "show"): (SESSION,),
    ("sessions", "conversation"): (SESSION,),
    ("dlq", "show"): ("0190b5a4",),
    ("agents", "apply"): (".",),
}
"""What a command cannot do without."""


def _commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(_commands(typer.main.get_command(app)))
OPTIONS = {
    option.opts[0]: (path, option)
    for path, command in COMMANDS.items()
    for option in command.params
    if option.opts[0].startswith("--")
}
"""Every option, with one of the commands that take it."""


def _is_number(option: Any) -> bool:
    return option.type_descriptor.annotation in (int, float) and option.metavar not in ("DURATION", "TIME")


def words(path: tuple[str, ...], *more: str) -> tuple[str, ...]:
    return (*path, *REQUIRED.get(path, ()), *more)


def fails(ended: Ended, *codes: int) -> None:
    """It ended with one of these codes and one error, and wrote no result."""
    assert ended.code in codes, ended
    assert ended.out == ""
    assert ended.err.count("Error: ") == 1, ended.err
    assert "Traceback" not in ended.err


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server responds, and none is waited for."""
    monkeypatch.setenv("ORCHESTRATOR_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("ORCHESTRATOR_SCHEMA_REGISTRY_URL", "http://127.0.0.1:1")


def test_every_command_is_here() -> None:
    assert len(COMMANDS) >= 20
    assert set(REQUIRED) <= set(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("argument", ["\udcff", "caf\udce9"])
def test_an_argument_that_is_not_utf_8(run: Run, path: tuple[str, ...], argument: str) -> None:
    fails(run(*words(path), argument), 2)
    fails(run(*words(path), "--topic-prefix", argument), 2)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_an_argument_that_is_not_utf_8_is_json_with_json_output(run: Run, path: tuple[str, ...]) -> None:
    ended = run(*words(path, "-o", "json"), "\udcff")

    assert (ended.code, ended.out) == (2, "")
    assert ended.error["type"] == "usage"


@pytest.mark.parametrize(
    ("path", "option"),
    [(path, option) for option, (path, one) in OPTIONS.items() if one.metavar == "DURATION"],
    ids=str,
)
@pytest.mark.parametrize("text", ["9" * 400 + "d", "999999999d", "-5s", "nan", "٣s", "", "soon"])
def test_a_duration_that_is_none(run: Run, path: tuple[str, ...], option: str, text: str) -> None:
    fails(run(*words(path, f"{option}={text}")), 2)


@pytest.mark.parametrize(
    ("path", "option"),
    [(path, option) for option, (path, one) in OPTIONS.items() if one.metavar == "TIME"],
    ids=str,
)
@pytest.mark.parametrize(
    "text",
    [
        "9" * 400 + "d",
        "9999-12-31",
        "0001-01-01T00:00:00+14:00",
        "2026-02-30",
        "-5m",
        "",
        "soon",
        "2026-03-29T02:30",
    ],
)
def test_a_time_that_is_none(
    run: Run, monkeypatch: pytest.MonkeyPatch, path: tuple[str, ...], option: str, text: str
) -> None:
    with monkeypatch.context() as berlin:
        berlin.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        ended = run(*words(path, f"{option}={text}"))
    time.tzset()

    fails(ended, 2)


@pytest.mark.parametrize(
    ("path", "option"),
    [(path, option) for option, (path, one) in OPTIONS.items() if _is_number(one)],
    ids=str,
)
@pytest.mark.parametrize("number", ["-1", "99999999999999999999", "9" * 5000, "nan", "inf", "1e400", "x"])
def test_a_number_out_of_range(run: Run, path: tuple[str, ...], option: str, number: str) -> None:
    fails(run(*words(path, f"{option}={number}")), 2)


@pytest.mark.parametrize(
    "path", [("topics", "plan"), ("schemas", "check"), ("submit",), ("run",)], ids=" ".join
)
@pytest.mark.parametrize(
    "address", ["localhost:port", "localhost:99999999", "[::1", "a" * 300, "a..b:1", "\x1b[2J:1", ""]
)
def test_an_address_that_is_none(run: Run, path: tuple[str, ...], address: str) -> None:
    ended = run(*words(path, "--bootstrap-servers", address, "--schema-registry-url", f"http://{address}"))

    assert ended.code in {3, 4}
    assert ended.err.startswith("Error: ")
    assert "Traceback" not in ended.err
    assert "\x1b" not in ended.err


FILES = {
    "is no TOML": b"slot = ",
    "is not text": b"topic_prefix = '\xff'",
    "is nested too deeply": b"slot = " + b"[" * 5000,
    "has a huge number": b"slot = " + b"9" * 5000,
    "has a number for text": b"topic_prefix = 5",
    "has infinity": b"drain_s = inf",
    "has not a number": b"drain_s = nan",
}


@pytest.mark.parametrize("content", FILES, ids=list(FILES))
@pytest.mark.parametrize(
    "path", [("config", "show"), ("topics", "plan"), ("run",), ("submit",), ("dev",)], ids=" ".join
)
def test_a_settings_file_that(run: Run, place: Path, path: tuple[str, ...], content: str) -> None:
    (place / "bad.toml").write_bytes(FILES[content])

    fails(run(*words(path, "--config", "bad.toml")), 3)


@pytest.mark.parametrize("path", [("config", "show"), ("submit",)], ids=" ".join)
def test_a_settings_file_that_is_a_folder(run: Run, place: Path, path: tuple[str, ...]) -> None:
    fails(run(*words(path, "--config", str(place))), 3)


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [*x]",
        "a: &x {b: *x}",
        "a: *nowhere",
        "agent: [",
        "a: b: c",
        "\t- x",
        "agent: !!python/object/apply:os.system [x]",
        "agent: !!timestamp x",
        "agent: !!bool x",
        "agent: !!int x",
        "agent: !!float x",
        "agent: !!null x",
        "agent: !!set {a}",
        "? [a]\n: b",
        "? {a: b}\n: c",
        "a: 1\na: 2",
        "<<: 5",
        "<<: &x {<<: *x}",
        'agent: "\\ud800"',
        "agent: 5",
        "- a",
        "just text",
        "%YAML 9.9\n---\na: b",
        "%TAG ! \n---\na: b",
        "agent: " + "[" * 3000,
        "agent: " + "{a: " * 3000,
        "agent: " + "9" * 5000,
        "\x00",
        "agent: a\x07b",
        "---\n...\n---\n%",
        "agent: a\nplanner: p\nlimits: {deadline: 999999999d}",
    ],
)
def test_yaml_that_is_no_agent(run: Run, place: Path, text: str) -> None:
    (place / "agents").mkdir()
    (place / "agents" / "a.yaml").write_text(text)

    ended = run("agents", "apply", "agents")

    assert (ended.code, ended.out) == (3, "")
    assert all(line.startswith("Error: agents/a.yaml:") for line in ended.err.splitlines()), ended.err


def test_files_that_are_no_definitions(run: Run, place: Path) -> None:
    (place / "agents" / "folder.yaml").mkdir(parents=True)
    (place / "agents" / "latin.yaml").write_bytes(b"agent: caf\xe9\n")
    (place / "agents" / os.fsdecode(b"caf\xe9\n\x1b[2J.yaml")).write_text("agent: [")
    os.mkfifo(place / "agents" / "pipe.yaml")

    ended = run("agents", "apply", "agents")

    assert ended.code == 3
    assert "\x1b" not in ended.err
    assert len([line for line in ended.err.splitlines() if line.startswith("Error: ")]) == 4


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'{"a": ' + b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e400}',
        b'{"a": 1.0000000000000000001}',
        b'{"a": "\\ud800"}',
        b'{"a": 1, "a": 2}',
    ],
)
def test_a_context_that_is_no_json_object(run: Run, place: Path, content: bytes) -> None:
    (place / "context.json").write_bytes(content)

    fails(run("submit", "x", "--context", "context.json"), 2)


@pytest.mark.parametrize("name", [".", "missing.json", "a/b", "x" * 5000])
def test_a_context_that_is_no_file(run: Run, name: str) -> None:
    fails(run("submit", "x", "--context", name), 2)


@pytest.mark.parametrize("words", [("dev", "--data"), ("demo", "--folder")])
@pytest.mark.parametrize("folder", ["file", "file/below", "/proc/nowhere", "/dev/null", "x" * 300])
def test_a_folder_that_cannot_be_written_to(
    run: Run, place: Path, words: tuple[str, ...], folder: str
) -> None:
    (place / "file").write_text("")

    fails(run(*words, folder), 2)


WRITING = [
    ("--help",),
    ("--version",),
    *((*path, "--help") for path in COMMANDS),
    ("config", "show"),
    ("config", "show", "-o", "json"),
    ("config", "check"),
    ("config", "check", "-o", "json"),
    ("sessions", "list", "-o", "json"),
]


@pytest.mark.parametrize("words", WRITING, ids=" ".join)
class TestOutput:
    def test_that_nobody_reads_ends_quietly(self, streams: Streams, words: tuple[str, ...]) -> None:
        assert streams.ends(unread(), *words) == (141, "")

    def test_on_a_full_disk_is_one_error(self, streams: Streams, words: tuple[str, ...]) -> None:
        code, errors = streams.ends(full(), *words)

        assert code == 1
        (line,) = errors.splitlines()
        assert "standard output cannot be written: No space left on device" in line


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        # The reader ends at once; the program begins when it has.
        ('{ cat ended; "$@"; echo $? > code; } | { exec 0<&-; : > ended; }', 141, ""),
        (
            '"$@" > /dev/full; echo $? > code',
            1,
            "Error: standard output cannot be written: No space left on device\n",
        ),
        ('"$@" >&-; echo $? > code', 1, "Error: standard output cannot be written: Bad file descriptor\n"),
        ('"$@" 2>&-; echo $? > code', 0, ""),
        ('"$@" 2> /dev/full; echo $? > code', 0, ""),
    ],
    ids=["unread", "full", "closed", "no stderr", "full stderr"],
)
def test_streams_of_a_shell(place: Path, script: str, code: int, said: str) -> None:
    os.mkfifo(place / "ended")
    program = (sys.executable, "-c", "from orchestrator.cli.main import app; app()", "config", "show")

    ended = subprocess.run(
        ("bash", "-c", script, "bash", *program), cwd=place, capture_output=True, text=True, check=False
    )

    assert (place / "code").read_text().strip() == str(code)
    assert ended.stderr == said
