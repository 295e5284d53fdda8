"""The ports to a cluster. Topics are the catalogue's: adapters add and strip an installation's prefix, which
groups and transactional ids get as well, so that several installations can share a cluster.

Every method may raise `UnavailableError` (no response in time; may be retried), `ConfigurationError` (credentials,
rights, a topic that does not exist) and `FatalError` or `FencedError` (make a new client).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NewType, Protocol, TypeAlias

import msgspec

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import OrchestratorError
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.ranges import LATEST

Position: TypeAlias = tuple[Topic, int]
"""A topic and a partition of it."""
Commit: TypeAlias = tuple[int, str]
"""Next offset to read, and at most 4,096 characters of metadata."""
GroupMetadata = NewType("GroupMetadata", bytes)
"""Our membership of the group when it was captured; opaque."""
Headers: TypeAlias = tuple[tuple[str, bytes], ...]

BEGINNING: Final = -2
"""As an offset: the first record that is still retained."""
END: Final = -1
"""As an offset: behind the last record."""
LATEST_MS: Final = LATEST // 1_000
"""The end of the year 9999: a broker may take any number of 64 bits as the time of a record."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """A record as read from its topic. `timestamp_ms` is Unix time, from 0 to `LATEST_MS`, whatever its writer said.

    A struct, as `Outgoing` is: each record needs one, and a frozen dataclass costs 1.5 us instead of 0.1.
    """

    topic: Topic
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    damage: str = ""
    """Why a part of it could not be read, such as its headers; empty if it is whole. It can only be dead-lettered."""

    def header(self, name: str) -> bytes | None:
        """The first header of that name."""
        for header, value in self.headers:
            if header == name:
                return value
        return None

    @property
    def location(self) -> str:
        """Topic, partition and offset, as one string."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def key_text(self) -> str:
        """The key as text, for names and ids: empty without a key, U+FFFD for what is not UTF-8."""
        return (self.key or b"").decode("utf-8", "replace")


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A record to write. Without `partition` the key decides, by Java's murmur2."""

    topic: Topic
    key: bytes
    value: bytes | None
    headers: Headers
    partition: int | None = None


OnAssign: TypeAlias = Callable[[tuple[Position, ...]], Mapping[Position, int] | None]
"""Gets the newly assigned partitions; returns offsets for those that do not start at the group's commit."""
OnRemoved: TypeAlias = Callable[[tuple[Position, ...]], None]
"""Gets the partitions that are revoked or lost."""


class Consumer(Protocol):
    """A reader of committed records, owned by one thread that makes all calls.

    Records of a partition come in offset order, partitions in any order. Callbacks run inside `poll`, `drain` and
    `close`, on that thread. Partitions are ours until `on_revoke` returns, so finish there what has to be
    finished. At `on_lost` they already belong to another member: commit nothing. Nothing is committed
    automatically.
    """

    def subscribe(
        self, topics: Iterable[Topic], on_assign: OnAssign, on_revoke: OnRemoved, on_lost: OnRemoved
    ) -> None:
        """Joins the group. With `Assignor.RANGE` each rebalance revokes and assigns all partitions, with
        `Assignor.COOPERATIVE` only those that move."""

    def assign(self, offsets: Mapping[Position, int]) -> None:
        """Reads exactly these partitions, from these offsets, without joining the group. Replaces the previous
        assignment."""

    def poll(self, timeout_s: float) -> Received | None:
        """Waits for one record; may return None early. Raises `OffsetLost` if `Start.ERROR` finds no offset."""

    def drain(self, n: int) -> list[Received]:
        """At most `n` records that are already fetched, without waiting. Excludes partitions that are revoked or
        lost during this very call."""

    def commit(self, offsets: Mapping[Position, Commit]) -> None:
        """Commits and waits for the broker's response. Raises `OwnershipLost` after a rebalance."""

    def committed(self, positions: Iterable[Position], deadline: Deadline) -> dict[Position, Commit]:
        """What the group has committed, once pending transactions are decided. Positions without a commit are
        absent."""

    def position(self, positions: Iterable[Position]) -> dict[Position, int]:
        """Next offset to read, past the markers of transactions that follow the last record. Absent before
        anything was read."""

    def watermarks(
        self, positions: Iterable[Position], deadline: Deadline, *, read_uncommitted: bool = False
    ) -> dict[Position, tuple[int, int]]:
        """The first available offset and the one behind the last: of what is committed and stable, or with
        `read_uncommitted` of everything in the log."""

    def seek(self, offsets: Mapping[Position, int]) -> None:
        """Continues reading assigned partitions at these offsets; drops what was prefetched."""

    def group_metadata(self) -> GroupMetadata:
        """Capture it with a batch, after the batch was read and before any further call, for its transaction.
        Raises `OwnershipLost` while we are not a member."""

    def pause(self, positions: Iterable[Position]) -> None:
        """Stops fetching. Drops what was prefetched, so use it for sustained backpressure only."""

    def resume(self, positions: Iterable[Position]) -> None: ...

    def close(self) -> None:
        """Leaves the group (a static member does not), `on_revoke` first. May be called again."""


OnDelivery: TypeAlias = Callable[[OrchestratorError | None], None]
"""Called once: with None when all in-sync replicas have acknowledged the record, else with the error."""


class Producer(Protocol):
    """An idempotent writer; any thread may call. Records of a partition keep the order of their sends."""

    def send(self, outgoing: Outgoing, on_delivery: OnDelivery | None = None) -> None:
        """Queues a record; waits while the queue is full. Raises `ContractError` for a record that is too large.
        `on_delivery` runs inside a later `poll` or `flush` (or a waiting `send`), on the thread that calls it."""

    def poll(self, timeout_s: float = 0.0) -> int:
        """Runs pending delivery callbacks, waiting for the first; returns how many."""

    def flush(self, deadline: Deadline) -> int:
        """Sends at once, without lingering, and waits; returns how many records are still in flight."""

    def close(self) -> None:
        """Discards what is still queued: flush first."""


class TransactionalProducer(Protocol):
    """A writer of transactions, owned by one thread. The order is: `init` once, then for each batch `begin`,
    `send`…, `send_offsets`, `commit` or `abort`.

    Retriable errors are retried until the deadline. After an `AbortableError` from any of them, call `abort`.
    """

    def init(self, deadline: Deadline) -> None:
        """Fences earlier producers of our transactional id and waits for the end of their transactions."""

    def begin(self) -> None: ...

    def send(self, outgoing: Outgoing) -> None:
        """Queues a record; `commit` reports its outcome. Raises `ContractError` if it is too large, without
        effect on the transaction."""

    def send_offsets(
        self, offsets: Mapping[Position, Commit], group: GroupMetadata, deadline: Deadline
    ) -> None:
        """Makes the group's commits part of the transaction. A later call replaces the offsets of an earlier one."""

    def commit(self, deadline: Deadline) -> None:
        """Sends what is queued and commits. Raises `AmbiguousCommit` if the deadline passes before the commit is
        answered."""

    def abort(self, deadline: Deadline) -> None:
        """Aborts the transaction. Raises `UnavailableError` at the deadline: then make a new producer."""

    def close(self) -> None:
        """Closes the client without waiting for a transaction in flight; `abort` it first."""


class Start(StrEnum):
    """Where to start in a partition without a committed offset, or whose offset is no longer retained."""

    ERROR = "error"
    BEGINNING = "earliest"
    END = "latest"


class Assignor(StrEnum):
    """How partitions are assigned: the same partition numbers of all topics to one member, or as few moves as
    possible."""

    RANGE = "range"
    COOPERATIVE = "cooperative-sticky"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a consumer reads. `instance` is the group instance id of a static member; `small_queue` keeps
    prefetching low, for a consumer that is left unpolled while its owner is busy; `to_the_end` reports the end of a
    partition at once, for one that reads up to the end and then stops."""

    group: str
    start: Start
    instance: str = ""
    assignor: Assignor = Assignor.COOPERATIVE
    small_queue: bool = False
    to_the_end: bool = False


class Bus(Protocol):
    """A cluster. Any thread may call; each client belongs to its caller."""

    def consumer(self, reading: Reading) -> Consumer: ...

    def producer(self) -> Producer: ...

    def transactional_producer(self, transactional_id: str) -> TransactionalProducer: ...

    def watermarks(
        self, positions: Iterable[Position], deadline: Deadline, *, read_uncommitted: bool = False
    ) -> dict[Position, tuple[int, int]]:
        """As of a consumer."""

    @property
    def installation(self) -> str:
        """Distinguishes this installation from all others: its cluster and its prefix. Raises `UnavailableError`."""

    def partitions(self, topic: Topic) -> int:
        """How many partitions a topic has. Raises `ConfigurationError` if it does not exist."""

    def topic_ids(self, topics: Collection[Topic]) -> dict[Topic, str]:
        """The id of each of these topics that exists. A topic that is created again under its name has another id."""


class ValueStore(Protocol):
    """Bytes under a URI, written once and never changed. Any thread may call."""

    def write(self, content: bytes) -> str:
        """Stores the bytes durably before it returns; the same bytes get the same URI."""

    def read(self, uri: str, most: int, deadline: Deadline) -> bytes:
        """The bytes, verified. Raises `ContractError` for a URI of another kind, and for bytes that are missing,
        altered or more than `most`; `UnavailableError` if they are not here by the deadline, as far as the store
        can tell."""
