"""Errors before a command does anything: one clear message, one exit code, no traceback, no long wait."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run

WORLD = (("sessions", "watch"), ("submit", "x"), ("dlq", "list"), ("agents", "list"), ("run", "planner"))


@pytest.fixture
def closed() -> str:
    """An address at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("words", WORLD)
def test_unreachable_servers_are_named_at_once(run: Run, closed: str, words: tuple[str, ...]) -> None:
    began = time.monotonic()
    ended = run(*words, "--bootstrap-servers", closed, "--schema-registry-url", f"http://{closed}")

    assert time.monotonic() - began < 5
    assert ended.code == 4
    assert ended.out == ""
    assert f"Error: Kafka does not respond at {closed} (Connection refused): is it running" in ended.err
    assert f"the schema registry does not respond at http://{closed}" in ended.err
    assert "`orchestrator dev` starts both on this machine" in ended.err
    assert "Traceback" not in ended.err


def test_only_the_servers_that_a_command_needs_are_checked(run: Run, closed: str) -> None:
    topics = run("topics", "plan", "--bootstrap-servers", closed)
    schemas = run("schemas", "check", "--schema-registry-url", f"http://{closed}")

    assert "schema registry" not in topics.err
    assert "Kafka does not respond" not in schemas.err


def test_errors_are_json_with_json_output(run: Run, closed: str) -> None:
    ended = run("topics", "plan", "--bootstrap-servers", closed, "-o", "json")

    assert ended.code == 4
    assert ended.error["type"] == "unavailable"
    assert closed in ended.error["message"]


def test_common_options_may_come_before_the_command(run: Run, closed: str) -> None:
    ended = run("-o", "json", "--bootstrap-servers", closed, "topics", "plan")

    assert closed in ended.error["message"]


def test_options_after_the_command_take_precedence(run: Run, closed: str) -> None:
    ended = run(
        "--bootstrap-servers", "elsewhere:1", "-o", "json", "topics", "plan", "--bootstrap-servers", closed
    )

    assert closed in ended.error["message"]


@pytest.mark.parametrize("words", [("topics", "plan"), ("schemas", "check"), ("schemas", "apply")])
def test_a_silent_server_is_waited_for_until_the_connect_timeout(
    run: Run, silent: str, words: tuple[str, ...]
) -> None:
    began = time.monotonic()
    ended = run(
        *words,
        "--bootstrap-servers",
        silent,
        "--schema-registry-url",
        f"http://{silent}",
        "--connect-timeout",
        "1s",
    )

    assert time.monotonic() - began < 6
    assert ended.code == 4
    assert silent in ended.err


def test_every_mistake_in_the_settings_is_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_PARTITIONS", "none")
    monkeypatch.setenv("ORCHESTRATOR_BOOTSTRAP_SERVER", "kafka:9092")

    ended = run("topics", "plan", "--topic-prefix", "no spaces")

    assert ended.code == 3
    lines = ended.err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("Error: ") for line in lines)
    assert "did you mean ORCHESTRATOR_BOOTSTRAP_SERVERS?" in ended.err
    assert "given as --topic-prefix" in ended.err
    assert "from ORCHESTRATOR_PARTITIONS" in ended.err


def test_every_mistake_in_the_settings_is_reported_as_json(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_PARTITIONS", "none")

    ended = run("topics", "plan", "--topic-prefix", "no spaces", "-o", "json")

    assert ended.error["type"] == "configuration"
    assert len(ended.error["problems"]) == 2


def test_a_missing_settings_file_is_named(run: Run) -> None:
    ended = run("topics", "plan", "--config", "nowhere.toml")

    assert ended.code == 3
    assert "settings file nowhere.toml not found" in ended.err


def test_the_settings_file_of_the_folder_is_read(run: Run, place: Path) -> None:
    place.joinpath("orchestrator.toml").write_text('topic_prefix = "shop."\n')

    assert "shop." in run("config", "show").out
