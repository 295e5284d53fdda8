"""`ports.Producer` and `ports.TransactionalProducer` over confluent-kafka."""

# ruff: noqa: SLF001 - the names of librdkafka's own errors begin with an underscore

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import AbortableError, AmbiguousCommit, FatalError
from orchestrator.bus.kafka.aside import Aside, Stuck
from orchestrator.bus.kafka.errors import error_of, translated
from orchestrator.bus.kafka.reading import commits
from orchestrator.bus.partitioning import PARTITIONER
from orchestrator.bus.ports import Commit, GroupMetadata, OnDelivery, Outgoing, Position
from orchestrator.bus.settings import BusSettings
from orchestrator.bus.topics import TopicNames
from orchestrator.errors import OrchestratorError, UnavailableError

_QUEUE_WAIT_S: Final = 30.0
"""How long `send` waits for room: as long as a broker may take to come back."""
_POLL_S: Final = 0.1
_GRACE_S: Final = 1.0
"""How much longer than its time-out a call may take before it counts as stuck."""

# `flush` and `commit` send at once, so lingering costs an idle loop nothing and a busy one gets big requests:
# 770 sessions a second instead of 480, and less than half the broker's CPU.
LINGER_MS: Final = 10
# A transaction that begins while the broker still writes the last one's markers is asked to try again. That takes
# a few milliseconds; the client's default of 100 would hold up a session that is alone, and a loop under load.
RETRY_MS: Final = 2
_LONGEST_RETRY_MS: Final = 200


Config = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]
"""Completes what a client is set to: what is fixed, and the defaults that an installation may change."""


def producer_config(transactional_id: str = "") -> dict[str, Any]:
    """What a producer is set to, whatever else the installation says."""
    fixed: dict[str, Any] = {"enable.idempotence": True, "partitioner": PARTITIONER}
    if transactional_id:
        # The commit tells of deliveries, so only failures need reporting: half the cost of a callback.
        fixed |= {"transactional.id": transactional_id, "delivery.report.only.error": True}
    return fixed


class _Sender:
    """What both producers do: queue a record, waiting while there is no room."""

    def __init__(self, settings: BusSettings, config: Config, transactional_id: str = "") -> None:
        self._servers = settings.bootstrap_servers
        self._names = TopicNames(settings.topic_prefix)
        defaults = {"linger.ms": LINGER_MS}
        if transactional_id:
            defaults |= {"retry.backoff.ms": RETRY_MS, "retry.backoff.max.ms": _LONGEST_RETRY_MS}
        self._client = Producer(dict(config(producer_config(transactional_id), defaults)))

    def _queue(self, outgoing: Outgoing, on_delivery: Callable[..., None] | None) -> None:
        optional: dict[str, Any] = {} if outgoing.partition is None else {"partition": outgoing.partition}
        if on_delivery is not None:
            optional["on_delivery"] = on_delivery
        deadline: Deadline | None = None
        while True:
            try:
                self._client.produce(
                    self._names.full(outgoing.topic),
                    outgoing.value,
                    outgoing.key,
                    headers=list(outgoing.headers),
                    **optional,
                )
                return
            except BufferError as error:
                deadline = deadline or Deadline.after(_QUEUE_WAIT_S)
                if deadline.passed:
                    raise UnavailableError(
                        f"nothing could be sent to the cluster at {self._servers} for {_QUEUE_WAIT_S:.0f} s"
                    ) from error
                self._client.poll(_POLL_S)

    def _flushed(self, deadline: Deadline) -> int:
        try:
            return self._client.flush(deadline.remaining())
        except KafkaException as error:
            raise self._failure(error_of(error), "sending") from error

    def _failure(self, error: KafkaError, doing: str) -> OrchestratorError:
        return translated(error, doing, self._servers)

    def close(self) -> None:
        # Purged, not flushed: the owner has flushed what shall be sent. The client ends with its last reference.
        with suppress(KafkaException):
            self._client.purge(blocking=False)
            self._client.poll(0)


class KafkaProducer(_Sender):
    """An idempotent producer."""

    def send(self, outgoing: Outgoing, on_delivery: OnDelivery | None = None) -> None:
        try:
            self._queue(outgoing, None if on_delivery is None else self._told(on_delivery))
        except KafkaException as error:
            raise self._failure(error_of(error), f"sending to {outgoing.topic}") from error

    def _told(self, on_delivery: OnDelivery) -> Callable[[KafkaError | None, Message], None]:
        def delivered(error: KafkaError | None, message: Message) -> None:
            on_delivery(None if error is None else self._failure(error, f"sending to {message.topic()}"))

        return delivered

    def poll(self, timeout_s: float = 0.0) -> int:
        return self._client.poll(timeout_s)

    def flush(self, deadline: Deadline) -> int:
        return self._flushed(deadline)


class KafkaTransactionalProducer(_Sender):
    """A producer of transactions.

    Offsets are sent aside: while a group's coordinator is not found, librdkafka heeds no time-out, and where it
    has left the cluster's metadata it may look for it no more (librdkafka#5456, #5511).
    """

    def __init__(self, settings: BusSettings, config: Config, transactional_id: str) -> None:
        super().__init__(settings, config, transactional_id)
        self._aside = Aside()

    def close(self) -> None:
        self._aside.close()
        super().close()

    def init(self, deadline: Deadline) -> None:
        self._until(deadline, "starting transactions", self._client.init_transactions)

    def begin(self) -> None:
        try:
            self._client.begin_transaction()
        except KafkaException as error:
            raise self._failure(error_of(error), "beginning a transaction") from error

    def send(self, outgoing: Outgoing) -> None:
        try:
            self._queue(outgoing, None)
        except UnavailableError as error:
            raise AbortableError(str(error)) from error
        except KafkaException as error:
            if error_of(error).code() == KafkaError._STATE:
                # An earlier record of the transaction failed, and no more are taken. Which error it was is told
                # when offsets are sent, or at the commit: here it is not.
                return
            raise self._failure(error_of(error), f"sending to {outgoing.topic}") from error

    def send_offsets(
        self, offsets: Mapping[Position, Commit], group: GroupMetadata, deadline: Deadline
    ) -> None:
        client, committed = self._client, commits(self._names, offsets)

        def send(timeout_s: float) -> None:
            def call() -> None:
                client.send_offsets_to_transaction(committed, group, timeout_s)

            self._aside.call(call, timeout_s + _GRACE_S)

        try:
            self._until(deadline, "sending offsets", send)
        except UnavailableError as error:
            raise AbortableError(str(error)) from error
        except Stuck as error:
            raise FatalError("sending offsets failed: the client does not come back from it") from error

    def commit(self, deadline: Deadline) -> None:
        # 1. Everything is acknowledged first: while it is not, nothing can have been committed.
        if remaining := self._flushed(deadline):
            raise AbortableError(
                f"{remaining} records of the transaction were not acknowledged by {self._servers} in time"
            )
        # 2. From here on a missing answer leaves the outcome open.
        try:
            self._until(deadline, "committing a transaction", self._client.commit_transaction)
        except UnavailableError as error:
            raise AmbiguousCommit(f"{error}; it may be committed or not") from error

    def abort(self, deadline: Deadline) -> None:
        self._until(deadline, "aborting a transaction", self._client.abort_transaction)

    def _until(self, deadline: Deadline, doing: str, attempt: Callable[[float], None]) -> None:
        """Repeats what may be repeated. Raises `UnavailableError` at the deadline.

        A call that ran out of time is never repeated: with no time left a second `commit_transaction` forgets
        that it commits, and the answer to the first ends the process by an assertion (librdkafka 2.16,
        `rd_kafka_txn_endtxn_complete`). The client counts milliseconds, so that is before the deadline.
        """
        is_asked_why = False
        while True:
            try:
                attempt(deadline.remaining())
                return
            except KafkaException as error:
                failed = error_of(error)
                if failed.code() == KafkaError._STATE and failed.txn_requires_abort() and not is_asked_why:
                    # A record failed while this was under way. Asked again, the client tells how.
                    is_asked_why = True
                    continue
                if not failed.retriable() or failed.fatal() or failed.txn_requires_abort():
                    raise self._failure(failed, doing) from error
                if deadline.passed or failed.code() == KafkaError._TIMED_OUT:
                    raise UnavailableError(
                        f"{doing} failed: the cluster at {self._servers} did not answer in time: {failed.str()}"
                    ) from error
            except RuntimeError as error:
                raise FatalError(f"{doing} failed: the producer is closed") from error
