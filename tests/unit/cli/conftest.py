"""The command line run in this process, with a session store of its own and on an embedded broker."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.app import wiring
from orchestrator.app.settings import Settings
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Outgoing, Producer
from orchestrator.cli.main import app
from orchestrator.local.embedded import EmbeddedCluster
from orchestrator.messages.base import Message
from orchestrator.messages.catalogue import TOPICS
from orchestrator.sessions.store import SessionStore
from tests.support.environment import clear_settings
from tests.unit.cli.streams import Streams

PARTITIONS = 4


@dataclass(frozen=True)
class Ended:
    """The exit code of a command, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err.splitlines()[-1])["error"]


Run = Callable[..., Ended]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a settings file, and an environment with only the session store's setting."""
    clear_settings(monkeypatch)
    monkeypatch.setenv("ORCHESTRATOR_SESSIONS_URL", f"sqlite:///{tmp_path / 'sessions.sqlite'}")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run() -> Run:
    """Runs a command; raises whatever it raises other than an exit."""
    runner = CliRunner()

    def invoke(*arguments: str, given: str | None = None) -> Ended:
        result = runner.invoke(app, list(arguments), input=given, prog_name="orchestrator")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    return invoke


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Streams:
    return Streams(monkeypatch)


@pytest.fixture
def store(place: Path) -> Iterator[SessionStore]:
    store = SessionStore(f"sqlite:///{place / 'sessions.sqlite'}")
    yield store
    store.close()


class Installation:
    """An embedded cluster that a test writes to as the platform would."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.wiring = wiring.wire_embedded(settings)
        self._producer: Producer = self.wiring.bus.producer()

    def writes(self, *messages: Message) -> None:
        for message in messages:
            self._producer.send(self.wiring.codec.encode(message, source="/test/0"))
        assert self._producer.flush(Deadline.after(10)) == 0

    def sends(self, outgoing: Outgoing) -> None:
        self._producer.send(outgoing)
        assert self._producer.flush(Deadline.after(10)) == 0

    def close(self) -> None:
        self._producer.close()


@pytest.fixture(scope="module")
def _embedded() -> Iterator[Installation]:
    counts = {f"agents.{spec.topic}": spec.partitions or PARTITIONS for spec in TOPICS}
    with EmbeddedCluster(counts) as cluster:
        settings = Settings(
            bootstrap_servers=cluster.bootstrap_servers,
            # Not a registry, but it accepts connections, which commands check first.
            schema_registry_url=f"http://{cluster.bootstrap_servers}",
            partitions=PARTITIONS,
        )
        installation = Installation(settings)
        yield installation
        installation.close()


@pytest.fixture
def installation(_embedded: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """The cluster that commands find in their environment; schema ids come from the catalogue."""
    monkeypatch.setattr(wiring, "wire", wiring.wire_embedded)
    monkeypatch.setenv("ORCHESTRATOR_BOOTSTRAP_SERVERS", _embedded.settings.bootstrap_servers)
    monkeypatch.setenv("ORCHESTRATOR_SCHEMA_REGISTRY_URL", _embedded.settings.schema_registry_url)
    return _embedded
