"""What each answer of a registry means, over real HTTP on loopback."""

import json
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr, ValidationError

from orchestrator.bus.avro.registry import RegistryIds, registry_client, subject_of
from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.bus.settings import BusSettings, passed_through
from orchestrator.errors import ConfigurationError, ContractError, UnavailableError
from orchestrator.messages import events
from orchestrator.messages.catalogue import CATALOGUE, entry_of
from orchestrator.messages.schemas import self_contained

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


def test_ids_of_the_catalogue_need_no_server() -> None:
    ids = CatalogueIds()
    ids.require(CATALOGUE)
    assert len({ids.id_of(entry) for entry in CATALOGUE}) == len(CATALOGUE)
    assert ids.schema(ids.id_of(ENTRY)) == self_contained(ENTRY.name)
    for unknown in (0, len(CATALOGUE) + 1, uuid4()):
        with pytest.raises(ContractError, match="not found: ids are 1 to"):
            ids.schema(unknown)


def test_subjects_follow_the_topic_and_the_record() -> None:
    assert subject_of(ENTRY, "team-a.") == "team-a.events-agents.events.PlanCreated"


def test_settings_never_show_what_is_passed_through() -> None:
    settings = BusSettings(
        kafka={"sasl.password": SecretStr("hunter2")},
        schema_registry={"basic.auth.user.info": SecretStr("user:hunter2")},
    )
    assert "hunter2" not in repr(settings) + str(settings.model_dump_json())
    assert settings.kafka_config()["sasl.password"] == "hunter2"
    assert settings.registry_config()["basic.auth.user.info"] == "user:hunter2"


def test_an_environment_names_a_clients_settings_in_its_own_words() -> None:
    environment = {"ORCHESTRATOR_KAFKA_SASL_MECHANISM": "PLAIN", "ORCHESTRATOR_TOPIC_PREFIX": "x"}
    assert passed_through(environment, "ORCHESTRATOR_KAFKA_") == {"sasl.mechanism": "PLAIN"}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"topic_prefix": "a b"}, "letters, digits, dots"),
        ({"schema_registry_url": "localhost:8081"}, "a URL such as"),
        ({"schema_registry_url": "http://user:hunter2@host"}, "leave credentials out"),
        ({"schema_registry": {"url": "http://x"}}, "set schema_registry_url"),
        ({"schema_registry": {"timeout": "soon"}}, "timeout must be a number"),
        ({"kafka": {"bootstrap.servers": "x"}}, "set bootstrap_servers"),
        ({"partitions": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says) as refused:
        BusSettings(**wrong)
    assert "hunter2" not in str(refused.value)


def test_unknown_settings_of_the_registry_are_named() -> None:
    settings = BusSettings(schema_registry={"basic.auth": SecretStr("hunter2")})
    with pytest.raises(ConfigurationError, match=r"Unrecognized properties: basic\.auth") as refused:
        registry_client(settings)
    assert "hunter2" not in str(refused.value)
