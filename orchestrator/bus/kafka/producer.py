"""`ports.Producer` and `ports.TransactionalProducer` over confluent-kafka."""

# ruff: noqa: SLF001 - the names of librdkafka's own errors begin with an underscore

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import AbortableError, AmbiguousCommit, FatalError
from orchestrator.bus.kafka.call_thread import CallThread, CallTimeoutError
from orchestrator.bus.kafka.callbacks import Callbacks
from orchestrator.bus.kafka.errors import error_of, translated
from orchestrator.bus.kafka.partitions import Partitions
from orchestrator.bus.ports import Commit, GroupMetadata, OnDelivery, Outgoing, Position
from orchestrator.bus.settings import BusSettings
from orchestrator.bus.topic_names import TopicNames
from orchestrator.errors import OrchestratorError, UnavailableError

_QUEUE_WAIT_S: Final = 30.0
"""How long `send` waits for room in the queue: as long as a broker may take to come back."""
_POLL_S: Final = 0.1
_CLOSE_S: Final = 10.0
_GRACE_S: Final = 1.0
"""How much longer than its timeout a call may take before it counts as stuck."""


class _Sender:
    """What both producers do: queue a record, waiting while the queue is full. `config` has all settings of the
    client."""

    def __init__(self, settings: BusSettings, config: Mapping[str, Any]) -> None:
        self._servers = settings.bootstrap_servers
        self._names = TopicNames(settings.topic_prefix)
        self._client = Producer(dict(config))
        self._callbacks = Callbacks()

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
                        f"sending to {outgoing.topic} failed: the queue to the cluster at {self._servers} was full "
                        f"for {_QUEUE_WAIT_S:.0f} s"
                    ) from error
                self._poll(_POLL_S)

    def _flushed(self, deadline: Deadline) -> int:
        try:
            left = self._client.flush(deadline.remaining())
        except (KafkaException, SystemError) as error:
            raise self._failure(error_of(error), "sending") from error
        self._callbacks.raise_error()
        return left

    def _poll(self, timeout_s: float) -> int:
        try:
            served = self._client.poll(timeout_s)
        except (KafkaException, SystemError) as error:
            raise self._failure(error_of(error), "sending") from error
        self._callbacks.raise_error()
        return served

    def _failure(self, error: KafkaError, doing: str) -> OrchestratorError:
        return translated(error, doing, self._servers)

    def close(self) -> None:
        # Purged, not flushed: the owner has flushed what has to be sent. The client ends with its last reference.
        # An error of the client holds on to the error that its thread is handling (confluent-kafka 2.16), and with it
        # to this client. Producers are replaced while an error is handled, so that is another thread.
        closing = CallThread()
        with suppress(KafkaException, CallTimeoutError):
            closing.call(self._purge, _CLOSE_S)
        closing.close()

    def _purge(self) -> None:
        self._client.purge(blocking=False)
        self._client.poll(0)


class KafkaProducer(_Sender):
    """An idempotent producer."""

    def send(self, outgoing: Outgoing, on_delivery: OnDelivery | None = None) -> None:
        try:
            self._queue(outgoing, None if on_delivery is None else self._callback(on_delivery))
        except KafkaException as error:
            raise self._failure(error_of(error), f"sending to {outgoing.topic}") from error

    def _callback(self, on_delivery: OnDelivery) -> Callable[[KafkaError | None, Message], None]:
        def delivered(error: KafkaError | None, message: Message) -> None:
            failure = None if error is None else self._failure(error, f"sending to {message.topic()}")
            self._callbacks.run(lambda: on_delivery(failure))

        return delivered

    def poll(self, timeout_s: float = 0.0) -> int:
        return self._poll(timeout_s)

    def flush(self, deadline: Deadline) -> int:
        return self._flushed(deadline)


class KafkaTransactionalProducer(_Sender):
    """A producer of transactions.

    Offsets are sent from a thread that can be abandoned: librdkafka ignores the timeout while a group's
    coordinator is not found, and may never find one that has left the cluster's metadata (librdkafka#5456, #5511).
    """

    def __init__(self, settings: BusSettings, config: Mapping[str, Any]) -> None:
        super().__init__(settings, config)
        self._partitions = Partitions(self._names)
        self._calls = CallThread()

    def close(self) -> None:
        self._calls.close()
        super().close()

    def init(self, deadline: Deadline) -> None:
        self._until(deadline, "initializing transactions", self._client.init_transactions)

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
                # An earlier record of the transaction failed, so it accepts no more. The error is reported
                # when offsets are sent or the transaction is committed, not here.
                return
            raise self._failure(error_of(error), f"sending to {outgoing.topic}") from error

    def send_offsets(
        self, offsets: Mapping[Position, Commit], group: GroupMetadata, deadline: Deadline
    ) -> None:
        client, commits = self._client, self._partitions.commits(offsets)

        def send(timeout_s: float) -> None:
            def call() -> None:
                client.send_offsets_to_transaction(commits, group, timeout_s)

            self._calls.call(call, timeout_s + _GRACE_S)

        try:
            self._until(deadline, "sending offsets", send)
        except UnavailableError as error:
            raise AbortableError(str(error)) from error
        except CallTimeoutError as error:
            raise FatalError(
                "sending offsets failed: the client did not return by the deadline; close this producer"
            ) from error

    def commit(self, deadline: Deadline) -> None:
        # 1. Flush: while a record is not acknowledged, nothing can have been committed.
        if remaining := self._flushed(deadline):
            raise AbortableError(
                f"{remaining} records of the transaction were not acknowledged by {self._servers} in time"
            )
        # 2. Commit: from here on a missing response leaves the outcome unknown.
        try:
            self._until(deadline, "committing a transaction", self._client.commit_transaction)
        except UnavailableError as error:
            raise AmbiguousCommit(f"{error}; the transaction may or may not be committed") from error

    def abort(self, deadline: Deadline) -> None:
        self._until(deadline, "aborting a transaction", self._client.abort_transaction)

    def _until(self, deadline: Deadline, doing: str, attempt: Callable[[float], None]) -> None:
        """Retries what may be retried. Raises `UnavailableError` at the deadline.

        A call that timed out is never repeated: with no time left a second `commit_transaction` forgets that it
        commits, and the response to the first ends the process by an assertion (librdkafka 2.16,
        `rd_kafka_txn_endtxn_complete`). The client counts milliseconds, so that is before the deadline.
        """
        asked_for_cause = False
        while True:
            try:
                attempt(deadline.remaining())
                return
            except (KafkaException, SystemError) as error:
                failed = error_of(error)
                if failed.code() == KafkaError._STATE and failed.txn_requires_abort() and not asked_for_cause:
                    # A record failed during the call. A second call reports why.
                    asked_for_cause = True
                    continue
                if not failed.retriable() or failed.fatal() or failed.txn_requires_abort():
                    raise self._failure(failed, doing) from error
                if deadline.passed or failed.code() == KafkaError._TIMED_OUT:
                    raise UnavailableError(
                        f"{doing} failed: the cluster at {self._servers} did not respond in time: {failed.str()}"
                    ) from error
            except RuntimeError as error:
                raise FatalError(f"{doing} failed: the producer is closed") from error
