"""Routes records: decodes them, finds their session, and forwards those in another partition than the session's."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from msgspec.structs import replace

from orchestrator.bus.codec import Codec
from orchestrator.bus.partitioning import partition_of
from orchestrator.bus.ports import Outgoing, Received
from orchestrator.delivery.dead_letters import original
from orchestrator.errors import ContractError
from orchestrator.messages import commands, identity
from orchestrator.messages.catalogue import Topic, avro_name
from orchestrator.messages.types import AgentProfile
from orchestrator.saga import Direct, Input, Submission, is_direct
from orchestrator.saga.replies import REPLIES

FORWARDED: Final = "agents_forwarded"
"""Header of a record that was forwarded to its home partition: where it came from."""

_ADDRESSES: Final = 20_000

_REPLY_NAMES: Final = frozenset(avro_name(kind) for kind in REPLIES)

Routable: TypeAlias = commands.SubmitTask | Direct
"""Messages that sessions handle."""


@dataclass(frozen=True, slots=True)
class Routed:
    """A decoded message and its session."""

    correlation_id: str
    message: Routable

    def input(self, received: Received, profile: Callable[[str], AgentProfile | None]) -> Input:
        """The session's input. `profile` finds an agent by its name; `received` is its record."""
        if isinstance(self.message, commands.SubmitTask):
            agent = profile(self.message.agent)
            return Submission(task=self.message, profile=agent, original=original(received))
        return self.message


class Router:
    """Decodes the records of the orchestrator's partitions. Holds no session state."""

    def __init__(self, codec: Codec, partitions: int) -> None:
        self._codec = codec
        self._partitions = partitions
        # A session gets a dozen inputs or more, and computing its address costs half as much as decoding one.
        self._address = lru_cache(_ADDRESSES)(self._computed_address)

    def route(self, received: Received) -> Routed | Outgoing | None:
        """The decoded message; or the record to forward to its home partition; or None for an event that changes
        no session.

        Raises `ContractError` for a record that can never be handled: it does not decode, the saga has no handler
        for it, or it was forwarded once and is still not in its home partition.
        """
        if received.topic is Topic.EVENTS and self._is_for_others(received):
            return None
        message = self._codec.decode(received)
        if isinstance(message, commands.SubmitTask):
            message = _identified(message, received)
        elif not is_direct(message):
            raise ContractError(f"no session handles {avro_name(type(message))} from topic {received.topic}")
        correlation_id, home = self._address(message.correlation_id)
        if correlation_id is None:
            raise ContractError(f"the correlation id {message.correlation_id!r} is not a UUID")
        if home == received.partition:
            return Routed(correlation_id, message)
        return self.forwarded(received, correlation_id)

    def _is_for_others(self, received: Received) -> bool:
        """Whether its type header names something other than a reply. A record without the header is decoded."""
        name = self._codec.type_of(received)
        return name is not None and name not in _REPLY_NAMES

    def home(self, correlation_id: str) -> int:
        """The partition that holds all records of a session."""
        return partition_of(correlation_id, self._partitions)

    def _computed_address(self, text: str) -> tuple[str | None, int]:
        """The canonical form of a correlation id, and its home partition; None and -1 if it is not a UUID."""
        canonical = identity.canonical_uuid(text)
        return canonical, self.home(canonical) if canonical else -1

    def forwarded(self, received: Received, correlation_id: str) -> Outgoing:
        """The record for its home partition, under its key. Raises `ContractError` if it was forwarded before."""
        if received.header(FORWARDED) is not None:
            raise ContractError(
                f"the record was forwarded once and is still not in partition {self.home(correlation_id)}, the "
                "home of its session"
            )
        return Outgoing(
            topic=received.topic,
            key=correlation_id.encode(),
            value=received.value,
            headers=(
                *((name, value) for name, value in received.headers if value is not None),
                (FORWARDED, received.location.encode()),
            ),
            partition=self.home(correlation_id),
        )


def _identified(task: commands.SubmitTask, received: Received) -> commands.SubmitTask:
    """The task with the ids that its writer left out, derived from what is the same each time it is read."""
    if task.correlation_id and task.command_id:
        return task
    correlation_id = task.correlation_id
    if not correlation_id and task.key:
        correlation_id = identity.session_of_key(task.tenant, task.key)
    if not correlation_id and received.key is not None:
        correlation_id = identity.canonical_uuid(received.key.decode("utf-8", "replace")) or ""
    if not correlation_id:
        correlation_id = identity.session_at(received.topic, received.partition, received.offset)
    command_id = task.command_id or identity.derived_id(
        "command", received.topic, received.partition, received.offset
    )
    return replace(task, correlation_id=correlation_id, command_id=command_id)
