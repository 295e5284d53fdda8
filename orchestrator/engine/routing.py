"""Routes records: decodes them, finds their session, and forwards those in another partition than the session's."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Final, TypeAlias

from msgspec.structs import replace

from orchestrator.bus.codec import Codec
from orchestrator.bus.errors import SchemaPending
from orchestrator.bus.partitioning import partition_of
from orchestrator.bus.ports import Outgoing, Received
from orchestrator.delivery.originals import original
from orchestrator.errors import ContractError
from orchestrator.messages import commands, identity
from orchestrator.messages.catalogue import Topic, avro_name
from orchestrator.messages.task_bounds import LONGEST_NAME
from orchestrator.messages.types import AgentProfile, Failure, FailureKind
from orchestrator.saga import Direct, Input, Submission, is_direct
from orchestrator.saga.replies import REPLIES

FORWARDED: Final = "agents_forwarded"
"""Header of a record that was forwarded to its home partition: where it came from."""

_ADDRESSES: Final = 20_000

_ELSEWHERE: Final = Failure(
    kind=FailureKind.INVALID_INPUT,
    code="id_of_another_partition",
    message="all sessions of a business key are in one partition, and the correlation id belongs to another: leave "
    "the id out, or choose one of the key's partition as the client does",
)

_REPLY_NAMES: Final = frozenset(avro_name(kind) for kind in REPLIES)

Routable: TypeAlias = commands.SubmitTask | Direct
"""Messages that sessions handle."""


@dataclass(frozen=True, slots=True)
class Routed:
    """A decoded message and its session."""

    correlation_id: str
    message: Routable
    refusal: Failure | None = None
    """Why a task must not be accepted."""

    def input(self, received: Received, profile: Callable[[str], AgentProfile | None]) -> Input:
        """The session's input. `profile` finds an agent by its name; `received` is its record."""
        if isinstance(self.message, commands.SubmitTask):
            return Submission(
                task=self.message,
                profile=profile(self.message.agent),
                original=original(received),
                refusal=self.refusal,
            )
        return self.message


class Router:
    """Decodes the records of the orchestrator's partitions. Holds no session state."""

    def __init__(self, codec: Codec, partitions: int, installation: str) -> None:
        """`installation` distinguishes ids of this installation from those of others."""
        self._codec = codec
        self._partitions = partitions
        self._installation = installation
        # A session gets a dozen inputs or more, and computing its address costs half as much as decoding one.
        self._known_address = lru_cache(_ADDRESSES)(self._computed_address)

    @property
    def remembered(self) -> int:
        """How many addresses are remembered."""
        return self._known_address.cache_info().currsize

    def route(self, received: Received) -> Routed | Outgoing | None:
        """The decoded message; or the record to forward to its home partition; or None for an event that changes
        no session.

        Raises `ContractError` for a record that can never be handled: it does not decode, the saga has no handler
        for it, or it was forwarded once and is still not in its home partition. Raises `SchemaPending` and
        `SchemaUnresolved` as `Codec.decode_now` does.
        """
        if received.topic is Topic.EVENTS and self._is_for_others(received):
            return None
        message = self._codec.decode_now(received)
        if len(message.message_id) > LONGEST_NAME:
            raise ContractError(
                f"the message's id has {len(message.message_id)} characters, and may have {LONGEST_NAME}"
            )
        if isinstance(message, commands.SubmitTask):
            return self._route_task(message, received)
        if not is_direct(message):
            raise ContractError(f"no session handles {avro_name(type(message))} from topic {received.topic}")
        return self._route_to(message.correlation_id, message, received)

    def _route_to(
        self, text: str, message: Routable, received: Received, refusal: Failure | None = None
    ) -> Routed | Outgoing:
        correlation_id, home = self._address(text)
        if correlation_id is None:
            raise ContractError(f"the correlation id {text!r} is not a UUID")
        if home == received.partition:
            return Routed(correlation_id, message, refusal)
        return self.forwarded(received, correlation_id)

    def _route_task(self, task: commands.SubmitTask, received: Received) -> Routed | Outgoing:
        """All sessions of a business key are in one partition, which knows whether the key is taken."""
        for name, text in _names_of(task):
            if len(text) > LONGEST_NAME:
                raise ContractError(
                    f"the task's {name} has {len(text)} characters, and may have {LONGEST_NAME}"
                )
        task = _with_id(task, received, self._installation)
        if not task.key:
            text = task.correlation_id or _id_in_key(received) or self._session_at(received)
            return self._route_to(text, replace(task, correlation_id=text), received)
        claim = identity.claim_of(task.tenant, task.key).hex()
        if task.correlation_id:
            is_elsewhere = self._address(task.correlation_id)[1] != self.home(claim)
            refusal = _ELSEWHERE if is_elsewhere else None
            return self._route_to(task.correlation_id, task, received, refusal)
        if self.home(claim) != received.partition:
            return self.forwarded(received, claim)
        correlation_id = self._session_at(received, is_home=True)
        return Routed(correlation_id, replace(task, correlation_id=correlation_id))

    def _session_at(self, received: Received, *, is_home: bool = False) -> str:
        """An id for the task of this record; with `is_home`, one whose home is the record's partition."""
        place = (self._installation, received.topic, received.partition, received.offset)
        candidates = (identity.session_at(*place, attempt) for attempt in count())
        return next(one for one in candidates if not is_home or self.home(one) == received.partition)

    def is_pending(self, received: Received) -> bool:
        """Whether the schema of a record has to be looked up, which begins with this call."""
        try:
            self.route(received)
        except SchemaPending:
            return True
        except Exception:  # noqa: BLE001 - it is routed again, and dead-lettered then
            return False
        return False

    def _is_for_others(self, received: Received) -> bool:
        """Whether its type header names something other than a reply. A record without the header is decoded."""
        name = self._codec.type_of(received)
        return name is not None and name not in _REPLY_NAMES

    def home(self, key: str) -> int:
        """The partition that holds all records of a session, or all sessions of a claim."""
        return partition_of(key, self._partitions)

    def _address(self, text: str) -> tuple[str | None, int]:
        """The canonical form of a correlation id, and its home partition; None and -1 if it is not a UUID."""
        # A text of any length may be in its place, and must not be remembered.
        return self._known_address(text) if len(text) == identity.UUID_LENGTH else (None, -1)

    def _computed_address(self, text: str) -> tuple[str | None, int]:
        canonical = identity.canonical_uuid(text)
        return canonical, self.home(canonical) if canonical else -1

    def forwarded(self, received: Received, key: str) -> Outgoing:
        """The record for the home partition of `key`: a correlation id, or a claim. Raises `ContractError` if it was
        forwarded before."""
        if received.header(FORWARDED) is not None:
            raise ContractError(
                f"the record was forwarded once and is still not in partition {self.home(key)}, the home of its "
                "session"
            )
        return Outgoing(
            topic=received.topic,
            key=key.encode(),
            value=received.value,
            headers=(
                *((name, value) for name, value in received.headers if value is not None),
                (FORWARDED, received.location.encode()),
            ),
            partition=self.home(key),
        )


def _names_of(task: commands.SubmitTask) -> Iterator[tuple[str, str]]:
    """Texts of a task that are names or ids."""
    for name in ("causation_id", "agent", "tenant", "key", "playbook"):
        yield name, getattr(task, name)
    yield "parent", task.parent or ""
    if task.reply_to is not None:
        yield "reply_to", task.reply_to.correlation_id
        yield "reply_to", task.reply_to.call_id


def _with_id(task: commands.SubmitTask, received: Received, installation: str) -> commands.SubmitTask:
    """The task with an id of its command. One that its writer left out is derived from what is the same each time."""
    if task.command_id:
        return task
    place = (received.topic, received.partition, received.offset)
    return replace(task, command_id=identity.derived_id("command", *place, installation))


def _id_in_key(received: Received) -> str:
    """The session's id in the key of the record; empty if the key is something else."""
    key = received.key or b""
    return identity.canonical_uuid(key.decode("utf-8", "replace")) or ""
