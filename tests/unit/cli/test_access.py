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
from orchestrator.sdk import sink, subscriber
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


WRITES = {
    "orchestrator": {
        "cancellations",
        "control",
        "evaluate.commands",
        "events",
        "plan.commands",
        "sessions",
        "snapshots",
        "tasks",
    },
    "planner": {"definitions", "events", "progress"},
    "tool-selector": {"events", "execute.commands", "progress"},
    "tool-executor": {"definitions", "events", "progress"},
    "evaluator": {"events", "progress"},
    "recovery": {"events", "progress"},
    "safety-monitor": {"events", "progress"},
    "model-reviewer": {"events", "progress"},
    "cost-tracker": set(),
    "session-recorder": set(),
}
"""The topics that each component writes, besides dead letters."""


def test_each_component_writes_what_it_must_and_no_more() -> None:
    found = {name: topics(rights, Operation.WRITE) - {"dead-letters"} for name, rights in SERVICES.items()}

    assert found == WRITES


def test_services_declare_what_the_catalogue_says_of_them() -> None:
    for name, service in discover(()).every_service().items():
        catalogue = {entry.message for entry in CATALOGUE if entry.writer == name}
        declared = set(service.writes or ())
        assert service.writes is not None, name
        if catalogue:
            assert declared - {events.ModelProgressed} == catalogue - {events.ToolDefined}, name


def test_groups_are_joined_by_their_own_service_alone() -> None:
    joined: dict[str, set[str]] = {}
    for name, rights in SERVICES.items():
        joined[name] = {
            f"{right.name}{'*' if right.is_prefix else ''}".removeprefix("agents.")
            for right in rights
            if right.resource is Resource.GROUP and right.operation is not Operation.DESCRIBE
        }
    pools = joined.pop("tool-executor")

    assert pools == {"tool-executor", "tool-executor-*"}
    assert joined.pop("session-recorder") == set()
    assert all(groups == {name} for name, groups in joined.items()), joined


def test_a_sink_reads_no_state() -> None:
    found = components(Plugins.of(sink("everything", "*")(lambda: None)), "agents.")  # type: ignore[arg-type, return-value]

    assert "snapshots" not in topics(found["everything"], Operation.READ)


def test_a_service_of_ones_own_reports_and_a_subscriber_does_not() -> None:
    own, quiet = Service("sms"), Service("quiet", writes=())

    @own.on(events.TaskEscalated)
    async def send(_message: events.TaskEscalated, _context: object) -> None: ...

    @quiet.on(events.TaskEscalated)
    async def count(_message: events.TaskEscalated, _context: object) -> None: ...

    @subscriber("*Failed")
    async def pager(_event: object) -> None: ...

    found = components(Plugins.of(own, quiet, pager), "agents.")

    assert topics(found["sms"], Operation.WRITE) == {"dead-letters", "events", "progress"}
    assert topics(found["quiet"], Operation.WRITE) == {"dead-letters"}
    assert topics(found["pager"], Operation.WRITE) == {"dead-letters"}
    assert Right(Resource.GROUP, "agents.sms", Operation.READ) in found["sms"]
    assert topics(found["pager"], Operation.READ) >= {"events", "sessions", "definitions"}


@pytest.mark.parametrize("name", ["tool-executor", "tool-selector", "reviewer", "user", "any"])
def test_a_name_gives_no_rights(name: str) -> None:
    named = subscriber("*Failed", group=name)(lambda _event: None)  # type: ignore[arg-type]

    assert topics(components(Plugins.of(named), "agents.")[name], Operation.WRITE) == {"dead-letters"}


@pytest.mark.parametrize("name", ["orchestrator", "deployer", "client"])
def test_a_plug_in_cannot_take_the_name_of_other_rights(name: str) -> None:
    named = subscriber("*Failed", group=name)(lambda _event: None)  # type: ignore[arg-type]

    with pytest.raises(ConfigurationError, match=f"rename the subscriber {name}"):
        components(Plugins.of(named), "agents.")


def test_names_are_chosen_and_principals_made() -> None:
    assert list(chosen(SERVICES, ["planner"])) == ["planner"]
    assert chosen(USERS, ()) == USERS
    assert principal("User:{prefix}{name}", "agents.", "planner") == "User:agents.planner"
    with pytest.raises(ConfigurationError, match="there is no plannr: choose of "):
        chosen(SERVICES, ["plannr"])


@pytest.mark.parametrize("template", ["planner", "bogus{x}", "User:", "User:{nam}", ""])
def test_what_is_no_principal_is_refused(template: str) -> None:
    with pytest.raises(ConfigurationError, match="is no principal: write TYPE:NAME"):
        principal(template, "agents.", "planner")
