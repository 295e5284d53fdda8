"""What each answer of a registry means, over real HTTP on loopback."""

import json
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from pydantic import SecretStr

from orchestrator.bus.avro.registry import RegistryIds, registry_client
from orchestrator.bus.avro.subjects import subject_of
from orchestrator.bus.errors import SchemaPending, SchemaUnresolved
from orchestrator.bus.settings import BusSettings
from orchestrator.errors import ConfigurationError, ContractError, UnavailableError
from orchestrator.messages import commands, events
from orchestrator.messages.catalogue import CATALOGUE, Topic, entry_of
from orchestrator.messages.schemas import self_contained
from tests.support.workers import until

ENTRY = entry_of(events.PlanCreated)
SUBMIT = entry_of(commands.SubmitTask)
QUICK = {"max.retries": SecretStr("0"), "timeout": SecretStr("5")}
NO_SUBJECT = (404, {"error_code": 40401, "message": "Subject not found"})


class _Registry(ThreadingHTTPServer):
    status = 200
    content: Any = None
    requests: list[str]
    pages: dict[str, tuple[int, Any]]
    """What pages other than `content` respond with, by path."""


class _Handler(BaseHTTPRequestHandler):
    server: _Registry

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._respond(
            NO_SUBJECT if self.server.content is None else (self.server.status, self.server.content)
        )

    def do_GET(self) -> None:
        self._respond((self.server.status, self.server.content))

    def _respond(self, otherwise: tuple[int, Any]) -> None:
        self.server.requests.append(self.path)
        status, body = self.server.pages.get(self.path.partition("?")[0], otherwise)
        body = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def server() -> Iterator[_Registry]:
    with _Registry(("127.0.0.1", 0), _Handler) as server:
        server.requests, server.pages = [], {}
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def ids(server: _Registry) -> Iterator[RegistryIds]:
    with closing(RegistryIds(settings_of(server))) as ids:
        yield ids


def settings_of(server: _Registry, **fields: Any) -> BusSettings:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    return BusSettings(schema_registry_url=url, schema_registry=QUICK, **fields)


def test_an_id_is_requested_once(server: _Registry, ids: RegistryIds) -> None:
    server.content = {"subject": "s", "id": 7, "version": 1, "schema": "{}"}
    assert [ids.id_of(ENTRY), ids.id_of(ENTRY)] == [7, 7]
    assert len(server.requests) == 1
    assert server.requests[0].startswith("/subjects/agents.events-agents.events.PlanCreated?")


VERSIONS = f"/subjects/{subject_of(SUBMIT, 'agents.')}/versions"
OWN = f"/subjects/{subject_of(SUBMIT, 'agents.')}"


def version(number: int, schema: str, **fields: Any) -> tuple[int, Any]:
    return 200, {"subject": "s", "id": number, "version": 1, "schema": schema, **fields}


def answer(ids: RegistryIds, key: int) -> Any:
    """The schema of an id in the topic of tasks, or why there is none; waits while it is looked up."""
    while True:
        try:
            return ids.schema(key, Topic.TASKS)
        except SchemaPending:
            ids.wait(0.01)
        except (ContractError, SchemaUnresolved) as error:
            return error


def test_ids_are_looked_up_by_the_subjects_of_their_topic(server: _Registry, ids: RegistryIds) -> None:
    server.pages = {
        VERSIONS: (200, [1, 2]),
        f"{VERSIONS}/1": version(7, '{"name": "first"}'),
        f"{VERSIONS}/2": version(8, '{"name": "second"}'),
    }

    assert (answer(ids, 7), answer(ids, 8)) == ({"name": "first"}, {"name": "second"})
    # The schema of a stranger is never fetched, whatever its id would have answered.
    assert "schema 53 is none of the subjects of tasks" in str(answer(ids, 53))
    assert not [path for path in server.requests if path.startswith("/schemas")]
    # What was read once is not read again.
    assert len([path for path in server.requests if path.startswith(f"{VERSIONS}/1")]) == 1


def test_ids_of_a_flood_cost_a_few_requests(server: _Registry, ids: RegistryIds) -> None:
    server.pages = {VERSIONS: (200, [1]), f"{VERSIONS}/1": version(7, '{"name": "first"}')}
    for key in range(100, 1_100):
        with pytest.raises((SchemaPending, ContractError)):
            ids.schema(key, Topic.TASKS)

    assert all(isinstance(answer(ids, key), ContractError) for key in range(100, 1_100))
    assert len(server.requests) < 20


def test_a_version_that_is_registered_later_is_found(server: _Registry, ids: RegistryIds) -> None:
    server.pages = {VERSIONS: NO_SUBJECT}
    assert isinstance(answer(ids, 7), ContractError)

    server.pages = {VERSIONS: (200, [1]), f"{VERSIONS}/1": version(7, '{"name": "first"}')}
    until(lambda: answer(ids, 7) == {"name": "first"}, "an id is foreign for a short time only")


def many_versions(count: int, ours: int) -> dict[str, tuple[int, Any]]:
    """A subject whose version N has the id 10,000 + N; `ours` is the version of this release."""
    pages = {f"{VERSIONS}/{n}": version(10_000 + n, f'{{"name": "v{n}"}}') for n in range(1, count + 1)}
    pages[f"{VERSIONS}/latest"] = version(10_000 + count, f'{{"name": "v{count}"}}', version=count)
    pages[OWN] = version(10_000 + ours, "{}", version=ours)
    pages[VERSIONS] = (200, list(range(1, count + 1)))
    return pages


def test_our_own_schema_is_found_whatever_else_its_subject_holds(server: _Registry, ids: RegistryIds) -> None:
    server.pages = many_versions(2_000, ours=900)

    assert answer(ids, 10_900) == self_contained(SUBMIT.name)
    # And those of the releases before and after it, the first and the newest.
    for beside in (899, 901, 1, 2_000):
        assert answer(ids, 10_000 + beside) == {"name": f"v{beside}"}
    # What is not read may be sound: nobody says that it is a stranger's.
    unread = answer(ids, 10_500)
    assert isinstance(unread, SchemaUnresolved)
    assert "has 2000 versions, of which 201 are read" in str(unread)
    assert len(server.requests) < 300


def test_the_newest_versions_are_found_in_a_registry_that_lists_the_first_ones(
    server: _Registry, ids: RegistryIds
) -> None:
    server.pages = many_versions(1_000, ours=700)
    server.pages[VERSIONS] = (200, list(range(1, 501)))

    for number in (1, 690, 710, 1_000):
        assert answer(ids, 10_000 + number) == {"name": f"v{number}"}


def test_what_is_looked_up_at_the_start_needs_no_registry_afterwards(
    server: _Registry, ids: RegistryIds
) -> None:
    server.pages = many_versions(3, ours=2)
    ids.look_up([Topic.TASKS])
    asked = len(server.requests)

    assert ids.schema(10_002, Topic.TASKS) == self_contained(SUBMIT.name)
    assert ids.schema(10_003, Topic.TASKS) == {"name": "v3"}
    assert len(server.requests) == asked


def test_a_registry_that_does_not_respond_at_the_start_is_reported(
    server: _Registry, ids: RegistryIds
) -> None:
    server.status, server.content = 503, {"error_code": 50301, "message": "starting"}
    with pytest.raises(UnavailableError, match="is unavailable"):
        ids.look_up([Topic.TASKS])


def test_a_subject_of_a_producer_is_accepted_by_setting(server: _Registry) -> None:
    server.pages = {
        VERSIONS: NO_SUBJECT,
        "/subjects/agents.tasks-value/versions": (200, [1]),
        "/subjects/agents.tasks-value/versions/1": version(9, '{"name": "theirs"}'),
    }
    for subjects, expected in (((), ContractError), (("agents.tasks-value",), dict)):
        with closing(RegistryIds(settings_of(server, schema_subjects=subjects))) as ids:
            assert isinstance(answer(ids, 9), expected)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (version(7, 'syntax = "proto3"; message M {}', schemaType="PROTOBUF"), "it is PROTOBUF, not Avro"),
        (
            version(7, "{}", references=[{"name": "a", "subject": "b", "version": 1}]),
            "refers to other subjects",
        ),
        (version(7, "[" * 500 + "]" * 500), "nested deeper"),
        (version(7, "[" * 100_000), "not JSON that can be read"),
        (version(7, json.dumps([0] * 30_000)), "more than 20000 parts"),
        (version(7, " " * 300_000), "of at most 262144"),
    ],
)
def test_a_version_that_cannot_be_used_is_refused(
    server: _Registry, ids: RegistryIds, found: tuple[int, Any], says: str
) -> None:
    server.pages = {VERSIONS: (200, [1]), f"{VERSIONS}/1": found}

    refused = answer(ids, 7)

    assert isinstance(refused, ContractError)
    assert says in str(refused)


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (400, {"error_code": 400, "message": "no"}),
        (401, {"error_code": 401, "message": "no"}),
        (404, "<html>no such page</html>"),
        (422, {"error_code": 42202, "message": "Invalid version"}),
        (429, {"error_code": 429, "message": "slow down"}),
        (500, {"error_code": 50001, "message": "broken"}),
        (200, "<html>sign in</html>"),
    ],
)
def test_while_the_registry_does_not_answer_an_id_is_pending_and_known_ones_go_on(
    server: _Registry, ids: RegistryIds, status: int, content: Any
) -> None:
    server.pages = {VERSIONS: (200, [1, 2]), f"{VERSIONS}/1": version(7, '{"name": "first"}')}
    server.pages[f"{VERSIONS}/2"] = (status, content)
    assert answer(ids, 7) == {"name": "first"}

    for _ in range(3):
        with pytest.raises(SchemaPending):
            ids.schema(8, Topic.TASKS)
        ids.wait(1)

    server.pages[f"{VERSIONS}/2"] = version(8, '{"name": "second"}')
    assert answer(ids, 8) == {"name": "second"}


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
        (
            401,
            {"error_code": 401, "message": "no"},
            ConfigurationError,
            "asks who we are: set basic.auth.user.info",
        ),
        (
            403,
            {"error_code": 403, "message": "no"},
            ConfigurationError,
            "does not allow reading schemas to our user",
        ),
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
