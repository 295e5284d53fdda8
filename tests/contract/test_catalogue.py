"""The catalogue has the topic, key, schema and writer of every message; everything else follows from it."""

import pytest

from orchestrator.messages import events, types
from orchestrator.messages.base import Command, Definition, SessionEvent
from orchestrator.messages.catalogue import (
    CATALOGUE,
    TOPICS,
    Entry,
    Topic,
    avro_name,
    entry_named,
    entry_of,
    key_of,
    matching,
    topic_spec,
)
from orchestrator.sdk import Service, discover
from tests.support.samples import sample_of

ENTRIES = [pytest.param(entry, id=entry.message.__name__) for entry in CATALOGUE]
MEET_BY_PARTITION = (Topic.TASKS, Topic.CONTROL, Topic.SESSIONS, Topic.EVENTS, Topic.SNAPSHOTS)


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_message_has_one_entry_by_type_and_by_name(entry: Entry) -> None:
    assert entry_named(entry.name) is entry
    assert entry_of(entry.message) is entry
    assert avro_name(entry.message) == entry.name


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_message_has_a_key(entry: Entry) -> None:
    assert key_of(sample_of(entry.message))


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_sessions_messages_have_its_id_as_key(entry: Entry) -> None:
    """With other keys, the messages of a session would be in different partitions."""
    message = sample_of(entry.message)
    if hasattr(message, "correlation_id"):
        assert key_of(message) == message.correlation_id


def test_definitions_replace_each_other_by_name() -> None:
    tool = sample_of(events.ToolDefined)
    agent = sample_of(events.AgentDefined)
    assert key_of(tool) == "tool/name"
    assert key_of(agent) == "agent/name"
    assert key_of(sample_of(events.PlaybookDefined)) == "playbook/name"


def test_what_is_only_part_of_messages_has_no_key() -> None:
    with pytest.raises(TypeError, match="Usage is not sent on its own"):
        key_of(types.Usage())


def test_every_topic_is_declared_once_and_used() -> None:
    assert [spec.topic for spec in TOPICS] == list(Topic)
    assert {entry.topic for entry in CATALOGUE} == set(Topic)
    assert all(topic_spec(topic).doc for topic in Topic)


def test_session_topics_share_the_installations_partition_count() -> None:
    assert all(topic_spec(topic).partitions is None for topic in MEET_BY_PARTITION)


def test_the_orchestrator_alone_writes_history() -> None:
    assert {entry.message for entry in CATALOGUE if issubclass(entry.message, SessionEvent)} == {
        entry.message for entry in CATALOGUE if entry.topic is Topic.SESSIONS
    }
    assert {entry.writer for entry in CATALOGUE if entry.topic is Topic.SESSIONS} == {"orchestrator"}


@pytest.mark.parametrize("entry", ENTRIES)
def test_commands_and_events_have_separate_topics(entry: Entry) -> None:
    for_commands = {
        Topic.TASKS,
        Topic.CONTROL,
        Topic.PLAN_COMMANDS,
        Topic.EXECUTE_COMMANDS,
        Topic.EVALUATE_COMMANDS,
    }
    assert (entry.kind == "command") == (entry.topic in for_commands)


def test_definitions_are_compacted_by_name() -> None:
    for entry in CATALOGUE:
        if issubclass(entry.message, Definition):
            assert entry.topic is Topic.DEFINITIONS
    assert topic_spec(Topic.DEFINITIONS).config["cleanup.policy"] == "compact"


def test_a_command_has_one_handler() -> None:
    for entry in CATALOGUE:
        if issubclass(entry.message, Command):
            handlers = [
                service.name
                for service in discover().by_name(Service).values()
                if entry.message in service.handlers
            ]
            assert len(handlers) <= 1, f"{entry.message.__name__} is handled by {handlers}"


def test_patterns_find_messages_by_short_and_full_name() -> None:
    short = {entry.message.__name__ for entry in matching("*Failed")}
    assert {"ToolFailed", "PlanningFailed", "StepFailed", "TaskFailed"} <= short
    assert matching("agents.events.PlanCreated") == (entry_of(events.PlanCreated),)
    assert matching("NoSuchThing") == ()


def test_unknown_names_have_no_entry() -> None:
    assert entry_named("com.example.Other") is None
