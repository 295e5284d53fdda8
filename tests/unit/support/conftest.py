"""A model server, and the real client of its protocol."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.model_server import ModelServer


@pytest.fixture(scope="package")
def running_server() -> Iterator[ModelServer]:
    with ModelServer("tests.unit.support.model_scripts") as running:
        yield running


@pytest.fixture
def server(running_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    """One for all tests: each has tasks of its own. Models find it by the environment, as users have it."""
    return _found(running_server, monkeypatch)


@pytest.fixture
def own_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """One that the test may stop. Its log is kept in a file."""
    with ModelServer("tests.unit.support.model_scripts", log=tmp_path / "requests.jsonl") as running:
        yield _found(running, monkeypatch)


def _found(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server
