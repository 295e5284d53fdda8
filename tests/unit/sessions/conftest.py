from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.sessions.store import SessionStore


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state' / 'sessions.sqlite'}"


@pytest.fixture
def store(url: str) -> Iterator[SessionStore]:
    store = SessionStore(url)
    yield store
    store.close()
