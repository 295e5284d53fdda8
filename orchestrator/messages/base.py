"""Base classes of the generated models: what every message has."""

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A part of messages. It has no topic of its own, except for snapshots."""


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is sent through a topic under a name of its own."""


class Command(Message, frozen=True, kw_only=True):
    """A request: imperative, may fail, has one handler."""

    command_id: str
    """Identity of this command (UUID); the same when it is produced again."""
    correlation_id: str
    """The session (UUID): key of the message and id of the trace."""
    causation_id: str = ""
    """The message that caused this one."""
    occurred_at: int
    """When it was requested: Unix time in microseconds, by its writer's clock."""
    agent: str = "default"
    """Name of the agent."""
    tenant: str = "default"
    """Whose session it is."""

    @property
    def message_id(self) -> str:
        return self.command_id


class Event(Message, frozen=True, kw_only=True):
    """A fact: past tense, immutable, any number of readers."""

    event_id: str
    """Identity of this event (UUID); the same when it is produced again."""
    correlation_id: str
    """The session (UUID): key of the message and id of the trace."""
    causation_id: str = ""
    """The message that caused this one."""
    occurred_at: int
    """When it happened: Unix time in microseconds, by its writer's clock."""
    agent: str = "default"
    """Name of the agent."""
    tenant: str = "default"
    """Whose session it is."""

    @property
    def message_id(self) -> str:
        return self.event_id


class SessionEvent(Event, frozen=True, kw_only=True):
    """A fact that the orchestrator wrote: part of a session's history."""

    sequence: int
    """Number of the event in its session: 1, 2, 3 without a gap."""


class Definition(Message, frozen=True, kw_only=True):
    """Something that exists: a tool, an agent, a playbook. It belongs to no session."""

    event_id: str
    """Identity of this event (UUID)."""
    occurred_at: int
    """When it was defined: Unix time in microseconds."""

    @property
    def message_id(self) -> str:
        return self.event_id
