"""A folder to read, a folder to write, and a web server on loopback."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.tools.web_server import Web


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that tools may read, beside it one that they may not."""
    folder = tmp_path / "files"
    folder.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.csv").write_text("secret\nhunter2\n")
    monkeypatch.setenv("ORCHESTRATOR_TOOLS_FILES_ROOT", str(folder))
    return folder


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "reports"
    folder.mkdir()
    monkeypatch.setenv("ORCHESTRATOR_TOOLS_OUTPUT_ROOT", str(folder))
    return folder


@pytest.fixture
async def web(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    """A server that http.get may ask."""
    async with Web().serving() as server:
        monkeypatch.setenv("ORCHESTRATOR_TOOLS_HTTP_ALLOW_PRIVATE", server.place)
        yield server


@pytest.fixture
async def forbidden_web() -> AsyncIterator[Web]:
    """Another server, which is not allowed; it must not receive a request."""
    async with Web().serving() as server:
        yield server
        assert server.requests == []
