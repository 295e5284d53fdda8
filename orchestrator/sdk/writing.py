"""The messages that handling one message leads to."""

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from orchestrator.messages import identity
from orchestrator.messages.base import Command, Event

M = TypeVar("M", bound=Event | Command)


class MessageWriter:
    """Makes messages of the session of `cause`, with ids that follow from the cause.

    `now` returns Unix time in microseconds.
    """

    def __init__(self, service: str, cause: Command | Event, now: Callable[[], int]) -> None:
        self._service = service
        self._cause = cause
        self._now = now
        self._written: Counter[str] = Counter()

    def write(self, kind: type[M], **fields: Any) -> M:
        """A message caused by the one being handled.

        Messages are numbered by kind: a redelivery may send more or fewer heartbeats, and the id of the reply
        stays the same.
        """
        index = self._written[kind.__name__]
        self._written[kind.__name__] += 1
        own_id = "command_id" if issubclass(kind, Command) else "event_id"
        producer = f"{self._service}/{kind.__name__}"
        session, cause = self._cause.correlation_id, self._cause.message_id
        fields[own_id] = identity.output_id(session, cause, producer, index)
        return kind(
            correlation_id=session,
            causation_id=cause,
            occurred_at=self._now(),
            agent=self._cause.agent,
            tenant=self._cause.tenant,
            **fields,
        )
