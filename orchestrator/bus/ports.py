"""The ports to a cluster. Topics are the catalogue's: adapters add and strip an installation's prefix, which
groups and transactional ids get as well, so that several installations share a cluster.

Every method may raise `UnavailableError` (no answer in time; may be called again), `ConfigurationError`
(credentials, rights, a topic that is not there) and `FatalError` or `FencedError` (make a new client).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NewType, Protocol, TypeAlias

import msgspec

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import OrchestratorError
from orchestrator.messages.catalogue import Topic

Position: TypeAlias = tuple[Topic, int]
"""A topic and a partition of it."""
Commit: TypeAlias = tuple[int, str]
"""Next offset to read, and at most 4,096 characters of metadata."""
GroupMetadata = NewType("GroupMetadata", bytes)
"""Who we were in the group when it was captured; opaque."""
Headers: TypeAlias = tuple[tuple[str, bytes], ...]

BEGINNING: Final = -2
"""As an offset: the first record that is still there."""
END: Final = -1
"""As an offset: behind the last record."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """A record as it lay in its topic. `timestamp_ms` is Unix time.

    A struct, as `Outgoing` is: each record needs one, and a frozen dataclass costs 1.5 us instead of 0.1.
    """

    topic: Topic
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    def header(self, name: str) -> bytes | None:
        """The first header of that name."""
        for header, value in self.headers:
            if header == name:
                return value
        return None


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A record to write. Without `partition` the key decides, by Java's murmur2."""

    topic: Topic
    key: bytes
    value: bytes | None
    headers: Headers
    partition: int | None = None


OnAssign: TypeAlias = Callable[[tuple[Position, ...]], Mapping[Position, int] | None]
"""Told which partitions are new; returns where to start those that shall not start at the group's commit."""
OnRemoved: TypeAlias = Callable[[tuple[Position, ...]], None]
"""Told which partitions are being given up."""


class Consumer(Protocol):
    """A reader of committed records, by one owner thread; all calls are that thread's.

    Records of a partition come in offset order, partitions in any. Callbacks run inside `poll`, `drain` and
    `close`, on that thread; partitions are ours until `on_revoke` returns, so what has to be finished is
    finished in it. On `on_lost` they are another's already: commit nothing. Nothing commits by itself.
    """

    def subscribe(
        self, topics: Iterable[Topic], on_assign: OnAssign, on_revoke: OnRemoved, on_lost: OnRemoved
    ) -> None:
        """Joins the group. With `Assignor.RANGE` all partitions go and come at each rebalance, with
        `Assignor.COOPERATIVE` only those that move."""

    def assign(self, offsets: Mapping[Position, int]) -> None:
        """Reads exactly these partitions, from these offsets, outside any group session. Replaces all."""

    def poll(self, timeout_s: float) -> Received | None:
        """Waits for one record; None may come early. Raises `OffsetLost` where `Start.ERROR` finds none."""

    def drain(self, n: int) -> list[Received]:
        """At most `n` records that are here already, without waiting. Never those of partitions that this
        very call gave up."""

    def commit(self, offsets: Mapping[Position, Commit]) -> None:
        """Commits and waits for the answer. Raises `OwnershipLost` after a rebalance."""

    def committed(self, positions: Iterable[Position], deadline: Deadline) -> dict[Position, Commit]:
        """What the group has committed, transactions that are being committed waited for. Positions without
        a commit are absent."""

    def position(self, positions: Iterable[Position]) -> dict[Position, int]:
        """Next offset to read, markers of transactions at the end of what was read left behind too. Absent
        before anything was read."""

    def watermarks(
        self, positions: Iterable[Position], deadline: Deadline, *, read_uncommitted: bool = False
    ) -> dict[Position, tuple[int, int]]:
        """First offset that is there and the one behind the last: of what is committed and stable, or with
        `read_uncommitted` of everything in the log."""

    def seek(self, offsets: Mapping[Position, int]) -> None:
        """Goes on reading assigned partitions at these offsets; what was prefetched is dropped."""

    def group_metadata(self) -> GroupMetadata:
        """Captured with a batch, after it was read and before any further call, for its transaction.
        Raises `OwnershipLost` while we are no member."""

    def pause(self, positions: Iterable[Position]) -> None:
        """Stops fetching. Drops what was prefetched, so for sustained pressure only."""

    def resume(self, positions: Iterable[Position]) -> None: ...

    def close(self) -> None:
        """Leaves the group (a static member does not), `on_revoke` first. May be called again."""


OnDelivery: TypeAlias = Callable[[OrchestratorError | None], None]
"""Told once that a record is acknowledged by all in-sync replicas, or why it will not be."""


class Producer(Protocol):
    """An idempotent writer; any thread may call. Records of a partition keep the order they were sent in."""

    def send(self, outgoing: Outgoing, on_delivery: OnDelivery | None = None) -> None:
        """Queues a record; waits while the queue is full. Raises `ContractError` for one that is too large.
        `on_delivery` runs inside a later `poll` or `flush` (or a waiting `send`), on its caller's thread."""

    def poll(self, timeout_s: float = 0.0) -> int:
        """Runs deliveries that are due, waiting for the first; returns how many."""

    def flush(self, deadline: Deadline) -> int:
        """Sends at once, whatever `linger.ms`, and waits; returns how many records are still under way."""

    def close(self) -> None:
        """Gives up what is still queued: flush first."""


class TransactionalProducer(Protocol):
    """A writer of transactions, by one owner thread. In this order: `init` once, then for each batch `begin`,
    `send`…, `send_offsets`, `commit` or `abort`.

    Answers that only ask to try again are tried again until the deadline. `AbortableError` from any of them
    asks for `abort`.
    """

    def init(self, deadline: Deadline) -> None:
        """Fences predecessors of our transactional id and waits for the end of their transactions."""

    def begin(self) -> None: ...

    def send(self, outgoing: Outgoing) -> None:
        """Queues a record; what becomes of it shows at `commit`. Raises `ContractError` if it is too large:
        the transaction is not harmed."""

    def send_offsets(
        self, offsets: Mapping[Position, Commit], group: GroupMetadata, deadline: Deadline
    ) -> None:
        """Makes the group's commits part of the transaction. They replace each other by position."""

    def commit(self, deadline: Deadline) -> None:
        """Sends what is queued and commits. Raises `AmbiguousCommit` once the deadline passes in between."""

    def abort(self, deadline: Deadline) -> None:
        """Takes everything back. Raises `UnavailableError` at the deadline: then make a new producer."""

    def close(self) -> None:
        """Drops the client without waiting for a transaction in flight; `abort` first if there is one."""


class Start(StrEnum):
    """Where to read a partition without a committed offset, or whose offset is no longer there."""

    ERROR = "error"
    BEGINNING = "earliest"
    END = "latest"


class Assignor(StrEnum):
    """Who gets which partition: equal numbers of all topics to one member, or as few moves as possible."""

    RANGE = "range"
    COOPERATIVE = "cooperative-sticky"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a consumer reads. `instance` is the group instance id of a static member; `small_queue` keeps
    prefetching low, for a consumer that is left unpolled while its owner is busy; `to_the_end` tells at once when
    the end of a partition is reached, for one that reads what is there and then no more."""

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

    def partitions(self, topic: Topic) -> int:
        """How many partitions a topic has. Raises `ConfigurationError` if it is not there."""


class ValueStore(Protocol):
    """Bytes under a URI, written once and never changed. Any thread may call."""

    def write(self, content: bytes) -> str:
        """Keeps the bytes, durably before it returns; the same bytes get the same URI."""

    def read(self, uri: str) -> bytes:
        """The bytes, verified. Raises `ContractError` for a URI that is not this store's, missing bytes, and
        bytes that were altered."""
