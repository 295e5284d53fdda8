"""Rights follow from what components read and write."""

import pytest

from orchestrator.bus.kafka.acls import Operation, Resource, Right
from orchestrator.errors import ConfigurationError
from orchestrator.messages import events
from orchestrator.messages.catalogue import CATALOGUE
from orchestrator.operations.access import (
    CLIENT,
    ORCHESTRATOR,
    SUBMITTER,
    chosen,
    components,
    principal,
    users,
)
from orchestrator.sdk import subscriber
from orchestrator.sdk.plugins import Plugins, discover
from orchestrator.sdk.service import Service

SERVICES = components(discover(()), "agents.")
USERS = users("agents.")


def topics(rights: tuple[Right, ...], operation: Operation) -> set[str]:
    return {
        right.name.removeprefix("agents.")
        for right in rights
        if right.resource is Resource.TOPIC and right.operation is operation
    }


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_every_writer_of_the_catalogue_may_write_its_messages(entry) -> None:  # type: ignore[no-untyped-def]
    if entry.writer in SERVICES:
        assert entry.topic in topics(SERVICES[entry.writer], Operation.WRITE)


@pytest.mark.parametrize("name", ["sessions", "snapshots", "cancellations"])
def test_history_is_written_by_the_orchestrator_alone(name: str) -> None:
    writers = {who for who, rights in (SERVICES | USERS).items() if name in topics(rights, Operation.WRITE)}
    assert writers == {ORCHESTRATOR}


def test_commands_are_written_by_who_decides_about_them() -> None:
    def writers(name: str) -> set[str]:
        return {who for who, rights in SERVICES.items() if name in topics(rights, Operation.WRITE)}

    assert writers("execute.commands") == {"tool-selector"}
    assert writers("plan.commands") == writers("evaluate.commands") == {ORCHESTRATOR}
    assert writers("tasks") == writers("control") == {ORCHESTRATOR}


def test_a_submitter_writes_tasks_and_nothing_else() -> None:
    assert USERS[SUBMITTER] == (Right(Resource.TOPIC, "agents.tasks", Operation.WRITE),)
    assert topics(USERS[CLIENT], Operation.WRITE) == {"tasks", "control"}


def test_a_service_of_ones_own_reports_and_a_subscriber_does_not() -> None:
    own = Service("sms")

    @own.on(events.TaskEscalated)
    async def send(_message: events.TaskEscalated, _context: object) -> None: ...

    @subscriber("*Failed")
    async def pager(_event: object) -> None: ...

    found = components(Plugins.of(own, pager), "agents.")

    assert topics(found["sms"], Operation.WRITE) == {"dead-letters", "events", "progress"}
    assert topics(found["pager"], Operation.WRITE) == {"dead-letters", "progress"}
    assert Right(Resource.GROUP, "agents.sms", Operation.READ) in found["sms"]
    assert topics(found["pager"], Operation.READ) >= {"events", "sessions", "definitions"}


def test_names_are_chosen_and_principals_made() -> None:
    assert list(chosen(SERVICES, ["planner"])) == ["planner"]
    assert chosen(USERS, ()) == USERS
    assert principal("User:{prefix}{name}", "agents.", "planner") == "User:agents.planner"
    with pytest.raises(ConfigurationError, match="there is no plannr: choose of "):
        chosen(SERVICES, ["plannr"])
