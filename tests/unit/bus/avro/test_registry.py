"""What each answer of a registry means, over real HTTP on loopback."""

import json
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from pydantic import SecretStr

from orchestrator.bus.avro.registry import RegistryIds, registry_client, subject_of
from orchestrator.bus.settings import BusSettings
from orchestrator.errors import ConfigurationError, ContractError, UnavailableError
from orchestrator.messages import events
from orchestrator.messages.catalogue import CATALOGUE, entry_of

ENTRY = entry_of(events.PlanCreated)
QUICK = {"max.retries": SecretStr("0"), "timeout": SecretStr("5")}


class _Registry(ThreadingHTTPServer):
    status = 200
    content: Any = None
    requests: list[str]


class _Handler(BaseHTTPRequestHandler):
    server: _Registry

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        body = self.server.content
        body = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def server() -> Iterator[_Registry]:
    with _Registry(("127.0.0.1", 0), _Handler) as server:
        server.requests = []
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def ids(server: _Registry) -> Iterator[RegistryIds]:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    with closing(RegistryIds(BusSettings(schema_registry_url=url, schema_registry=QUICK))) as ids:
        yield ids


def test_an_id_is_requested_once(server: _Registry, ids: RegistryIds) -> None:
    server.content = {"subject": "s", "id": 7, "version": 1, "schema": "{}"}
    assert [ids.id_of(ENTRY), ids.id_of(ENTRY)] == [7, 7]
    assert len(server.requests) == 1
    assert server.requests[0].startswith("/subjects/agents.events-agents.events.PlanCreated?")


def test_unknown_ids_are_requested_once(server: _Registry, ids: RegistryIds) -> None:
    server.status, server.content = 404, {"error_code": 40403, "message": "Schema not found"}
    for _ in range(3):
        with pytest.raises(ContractError, match="has no schema 5"):
            ids.schema(5)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "content", "error", "says"),
    [
        (
            404,
            {"error_code": 40401, "message": "Subject not found"},
            ConfigurationError,
            "orchestrator schemas apply",
        ),
        (404, "<html>no such page</html>", ConfigurationError, r"is the URL right\?"),
        (200, "<html>welcome</html>", ConfigurationError, r"is the URL right\?"),
        (401, {"error_code": 401, "message": "no"}, ConfigurationError, "rejects our credentials"),
        (422, {"error_code": 42201, "message": "bad schema"}, ConfigurationError, "bad schema"),
        (503, {"error_code": 50302, "message": "starting"}, UnavailableError, "is unavailable"),
    ],
)
def test_what_an_answer_means(
    server: _Registry, ids: RegistryIds, status: int, content: Any, error: type[Exception], says: str
) -> None:
    server.status, server.content = status, content
    with pytest.raises(error, match=says):
        ids.id_of(ENTRY)


def test_every_missing_schema_is_named_at_once(server: _Registry, ids: RegistryIds) -> None:
    server.status, server.content = 404, {"error_code": 40401, "message": "Subject not found"}
    with pytest.raises(ConfigurationError) as refused:
        ids.require(CATALOGUE)
    assert len(refused.value.problems) == len(CATALOGUE)


def test_subjects_follow_the_topic_and_the_record() -> None:
    assert subject_of(ENTRY, "team-a.") == "team-a.events-agents.events.PlanCreated"


def test_unknown_settings_of_the_registry_are_named() -> None:
    settings = BusSettings(schema_registry={"basic.auth": SecretStr("hunter2")})
    with pytest.raises(ConfigurationError, match=r"Unrecognized properties: basic\.auth") as refused:
        registry_client(settings)
    assert "hunter2" not in str(refused.value)
