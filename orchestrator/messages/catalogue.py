"""The catalogue: the topic, key, schema and writer of every message.

Topics, subscriptions, the ids of the embedded registry, documentation and the chart are all made from it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from typing import Final

from orchestrator.messages import commands, events, types
from orchestrator.messages.base import Command, Definition, Event, Message, Record


class Topic(StrEnum):
    """Names of the topics, without the prefix of an installation."""

    TASKS = "tasks"
    CONTROL = "control"
    PLAN_COMMANDS = "plan.commands"
    EXECUTE_COMMANDS = "execute.commands"
    EVALUATE_COMMANDS = "evaluate.commands"
    SESSIONS = "sessions"
    EVENTS = "events"
    CANCELLATIONS = "cancellations"
    PROGRESS = "progress"
    DEFINITIONS = "definitions"
    SNAPSHOTS = "snapshots"
    DEAD_LETTERS = "dead-letters"


HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS


@dataclass(frozen=True)
class TopicSpec:
    """How a topic is created.

    `partitions` None is the installation's count. Tasks, control, sessions, events and snapshots must share it,
    because the messages of a session are in the same partition of each.
    """

    topic: Topic
    doc: str
    partitions: int | None = None
    retention_ms: int | None = None
    config: Mapping[str, str] = field(default_factory=dict)


_COMPACTED: Final = {"cleanup.policy": "compact"}

TOPICS: Final = (
    TopicSpec(Topic.TASKS, "Tasks that wait to be accepted.", retention_ms=7 * DAY_MS),
    TopicSpec(Topic.CONTROL, "Requests to sessions that exist.", retention_ms=7 * DAY_MS),
    TopicSpec(Topic.PLAN_COMMANDS, "Calls of planners.", retention_ms=7 * DAY_MS),
    TopicSpec(Topic.EXECUTE_COMMANDS, "Calls of tools.", retention_ms=7 * DAY_MS),
    TopicSpec(Topic.EVALUATE_COMMANDS, "Calls of evaluators.", retention_ms=7 * DAY_MS),
    TopicSpec(Topic.SESSIONS, "The history of record, by the orchestrator alone.", retention_ms=30 * DAY_MS),
    TopicSpec(Topic.EVENTS, "What services report.", retention_ms=30 * DAY_MS),
    TopicSpec(Topic.CANCELLATIONS, "Calls that are void.", partitions=1, retention_ms=HOUR_MS),
    TopicSpec(
        Topic.PROGRESS, "How far running tools are, and what models are writing.", retention_ms=HOUR_MS
    ),
    TopicSpec(Topic.DEFINITIONS, "Tools, agents and playbooks that exist.", partitions=1, config=_COMPACTED),
    TopicSpec(
        Topic.SNAPSHOTS,
        "States of sessions, to restore from.",
        # The broker compacts closed segments only: small ones, and none left open for long.
        config=_COMPACTED
        | {"segment.bytes": "16777216", "segment.ms": "600000", "max.compaction.lag.ms": "3600000"},
    ),
    TopicSpec(Topic.DEAD_LETTERS, "What could not be processed.", partitions=1, retention_ms=30 * DAY_MS),
)


@dataclass(frozen=True)
class Entry:
    """One message of the catalogue."""

    message: type[Message] | type[Record]
    topic: Topic
    writer: str
    """A user, the orchestrator, or the service that writes it."""

    @property
    def name(self) -> str:
        return avro_name(self.message)

    @property
    def kind(self) -> str:
        """`command`, `event` or `record`."""
        if issubclass(self.message, Command):
            return "command"
        return "event" if issubclass(self.message, Event | Definition) else "record"


def avro_name(message: type[Message] | type[Record]) -> str:
    """Full Avro name of a message, which is its `ce_type` too, such as `agents.events.PlanCreated`."""
    return f"agents.{message.__module__.rpartition('.')[2]}.{message.__name__}"


def _entries(topic: Topic, writer: str, *messages: type[Message] | type[Record]) -> Iterable[Entry]:
    return (Entry(message, topic, writer) for message in messages)


CATALOGUE: Final = (
    *_entries(Topic.TASKS, "user", commands.SubmitTask),
    *_entries(Topic.CONTROL, "user", commands.CancelTask),
    *_entries(Topic.PLAN_COMMANDS, "orchestrator", commands.CreatePlan),
    *_entries(Topic.EXECUTE_COMMANDS, "tool-selector", commands.ExecuteTool),
    *_entries(Topic.EVALUATE_COMMANDS, "orchestrator", commands.EvaluateTask),
    *_entries(
        Topic.SESSIONS,
        "orchestrator",
        events.TaskReceived,
        events.TaskRefused,
        events.RequestRefused,
        events.PlanRequested,
        events.PlanProposed,
        events.ReviewRecorded,
        events.PlanAccepted,
        events.PlanRejected,
        events.PlanStepReady,
        events.StepAssigned,
        events.StepSucceeded,
        events.StepFailed,
        events.CallFailed,
        events.CallTimedOut,
        events.RecoveryRecorded,
        events.EvaluationRequested,
        events.EvaluationRecorded,
        events.UsageRecorded,
        events.CancelRequested,
        events.TaskCompleted,
        events.TaskFailed,
        events.TaskCancelled,
        events.TaskEscalated,
    ),
    *_entries(Topic.EVENTS, "planner", events.PlanCreated, events.PlanningFailed),
    *_entries(Topic.EVENTS, "reviewer", events.PlanReviewed, events.ReviewFailed),
    *_entries(Topic.EVENTS, "tool-selector", events.ToolSelected, events.SelectionFailed),
    *_entries(
        Topic.EVENTS,
        "tool-executor",
        events.ToolStarted,
        events.ToolHeartbeat,
        events.ToolCompleted,
        events.ToolFailed,
    ),
    *_entries(
        Topic.EVENTS, "recovery", events.RetryScheduled, events.FallbackChosen, events.RecoveryExhausted
    ),
    *_entries(Topic.EVENTS, "evaluator", events.TaskEvaluated, events.EvaluationFailed),
    *_entries(Topic.EVENTS, "any", events.UsageReported),
    *_entries(Topic.CANCELLATIONS, "orchestrator", events.CallsVoided),
    *_entries(Topic.PROGRESS, "tool-executor", events.ToolProgressed),
    *_entries(Topic.PROGRESS, "any", events.ModelProgressed),
    *_entries(Topic.DEFINITIONS, "tool-executor", events.ToolDefined),
    *_entries(Topic.DEFINITIONS, "user", events.AgentDefined, events.PlaybookDefined),
    *_entries(
        Topic.SNAPSHOTS,
        "orchestrator",
        types.SessionSnapshot,
        types.QuarantinedSession,
        types.EndedSessions,
        types.PartitionCheckpoint,
    ),
    *_entries(Topic.DEAD_LETTERS, "any", events.MessageDeadLettered),
)

_BY_NAME: Final = {entry.name: entry for entry in CATALOGUE}
_BY_TYPE: Final = {entry.message: entry for entry in CATALOGUE}


def entry_named(name: str) -> Entry | None:
    """The entry of a full Avro name; None for a name that is not in the catalogue."""
    return _BY_NAME.get(name)


def entry_of(message: type[Message] | type[Record]) -> Entry:
    return _BY_TYPE[message]


def topic_spec(topic: Topic) -> TopicSpec:
    return next(spec for spec in TOPICS if spec.topic is topic)


def key_of(message: Message | Record) -> str:
    """Kafka key of a message: the session's id, or the name of what it defines."""
    match message:
        case Command() | Event():
            return message.correlation_id
        case events.ToolDefined():
            return f"tool/{message.tool.name}"
        case events.AgentDefined():
            return f"agent/{message.profile.name}"
        case events.PlaybookDefined():
            return f"playbook/{message.name}"
        case types.PartitionCheckpoint():
            return "checkpoint"
        case types.EndedSessions():
            return f"ended/{message.chunk}"
        case types.SessionSnapshot() | types.QuarantinedSession():
            return message.correlation_id
        case _:
            raise TypeError(f"{type(message).__name__} is not sent on its own")


@cache
def matching(pattern: str) -> tuple[Entry, ...]:
    """Events and commands whose short or full name matches a shell pattern such as `*Failed`."""
    return tuple(
        entry
        for entry in CATALOGUE
        if fnmatchcase(entry.message.__name__, pattern) or fnmatchcase(entry.name, pattern)
    )
