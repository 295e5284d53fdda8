"""Every request of the loop's steps gets every class of error from librdkafka's mock broker, and sessions complete
afterwards. What the mock broker does not have, isolation and stored offsets, is tested on a real one.
"""

import gc
import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, Producer

from orchestrator.bus.errors import FencedError
from orchestrator.errors import ConfigurationError
from orchestrator.local import EmbeddedCluster
from orchestrator.messages.catalogue import TOPICS
from orchestrator.messages.events import TaskRefused
from tests.support.mock_broker import MockBroker, Request
from tests.support.stepped_loop import SteppedLoop
from tests.support.workers import Lab, lab_settings, until

PARTITIONS = 2
Fail = Callable[..., None]

# The step of the loop that sends a request. A discarded producer is replaced before the step "begin".
STEP = {
    Request.ADD_PARTITIONS_TO_TXN: "send",
    Request.PRODUCE: "send",
    Request.ADD_OFFSETS_TO_TXN: "send offsets",
    Request.TXN_OFFSET_COMMIT: "send offsets",
    Request.END_TXN: "commit",
}

RETRIABLE = ("COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR", "COORDINATOR_LOAD_IN_PROGRESS")
NOT_OURS = ("ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID")
FENCED = ("INVALID_PRODUCER_EPOCH", "PRODUCER_FENCED")


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster({f"t.{spec.topic}": spec.partitions or PARTITIONS for spec in TOPICS}) as cluster:
        yield cluster


@pytest.fixture
def broker(cluster: EmbeddedCluster) -> MockBroker:
    return MockBroker(cluster)


@pytest.fixture
def stepped(cluster: EmbeddedCluster, tmp_path: Path) -> SteppedLoop:
    return stepped_on(cluster, tmp_path)


def stepped_on(cluster: EmbeddedCluster, tmp_path: Path) -> SteppedLoop:
    # The broker makes a group wait for a lost member until its session times out.
    quick = {"fetch_wait_max_ms": "5", "heartbeat_interval_ms": "100", "session_timeout_ms": "1500"}
    return SteppedLoop(Lab(lab_settings(cluster.bootstrap_servers, "t.", PARTITIONS, **quick)), tmp_path)


@pytest.fixture
def fail(stepped: SteppedLoop, broker: MockBroker) -> Callable[..., None]:
    """Makes a request of the loop's next transaction fail with errors."""

    def fail_next(request: Request, *names: str) -> None:
        errors = [code(name) for name in names]
        stepped.once_before(STEP[request], lambda: broker.answer(request, *errors))

    return fail_next


def code(name: str) -> int:
    found: int = getattr(KafkaError, name)
    return found


@pytest.mark.parametrize(
    ("request_kind", "names"),
    [
        (Request.ADD_PARTITIONS_TO_TXN, (*RETRIABLE, "CONCURRENT_TRANSACTIONS")),
        (Request.PRODUCE, ("NOT_LEADER_FOR_PARTITION", "REQUEST_TIMED_OUT", "NOT_ENOUGH_REPLICAS")),
        (Request.ADD_OFFSETS_TO_TXN, (*RETRIABLE, "CONCURRENT_TRANSACTIONS")),
        (Request.TXN_OFFSET_COMMIT, RETRIABLE),
        (Request.END_TXN, (*RETRIABLE, "CONCURRENT_TRANSACTIONS")),
    ],
)
def test_a_retriable_error_is_retried_inside_the_transaction(
    stepped: SteppedLoop, fail: Fail, request_kind: Request, names: tuple[str, ...]
) -> None:
    with stepped.running():
        for name in names:
            fail(request_kind, name)
            stepped.complete()
    assert set(stepped.outcomes) == {"committed"}


@pytest.mark.parametrize(
    ("request_kind", "names"),
    [
        (Request.ADD_PARTITIONS_TO_TXN, ("UNKNOWN_PRODUCER_ID", "INVALID_PRODUCER_ID_MAPPING")),
        (Request.PRODUCE, ("OUT_OF_ORDER_SEQUENCE_NUMBER",)),
        (Request.TXN_OFFSET_COMMIT, NOT_OURS),
        (Request.END_TXN, ("UNKNOWN_PRODUCER_ID", "INVALID_PRODUCER_ID_MAPPING")),
    ],
)
def test_an_abortable_error_aborts_the_transaction_and_its_inputs_are_read_again(
    stepped: SteppedLoop, fail: Fail, request_kind: Request, names: tuple[str, ...]
) -> None:
    with stepped.running():
        for name in names:
            fail(request_kind, name)
            stepped.complete()
    assert stepped.outcomes["aborted"] == len(names)


@pytest.mark.parametrize(
    ("request_kind", "names"),
    [
        (Request.ADD_PARTITIONS_TO_TXN, (*FENCED, "INVALID_TXN_STATE")),
        (Request.PRODUCE, ("INVALID_PRODUCER_EPOCH",)),
        (Request.ADD_OFFSETS_TO_TXN, ("INVALID_PRODUCER_EPOCH", "INVALID_TXN_STATE")),
        (Request.TXN_OFFSET_COMMIT, ("INVALID_PRODUCER_EPOCH", "INVALID_TXN_STATE")),
        (Request.END_TXN, (*FENCED, "INVALID_TXN_STATE")),
    ],
)
def test_a_fenced_producer_is_replaced_while_the_slot_is_ours(
    stepped: SteppedLoop, fail: Fail, request_kind: Request, names: tuple[str, ...]
) -> None:
    with stepped.running():
        for name in names:
            fail(request_kind, name)
            stepped.complete()
    assert stepped.outcomes["aborted"] == len(names)


@pytest.mark.parametrize("name", ["MSG_SIZE_TOO_LARGE", "INVALID_RECORD"])
def test_a_task_whose_outputs_the_broker_refuses_is_refused(
    stepped: SteppedLoop, fail: Fail, name: str
) -> None:
    with stepped.running():
        fail(Request.PRODUCE, name)
        stepped.saga.submit(stepped.saga.new_id())
        until(lambda: bool(stepped.written), "its session has written an event")
        [refused] = stepped.written
        stepped.complete()
    assert isinstance(refused, TaskRefused)
    assert refused.failure.code == "too_large"


@pytest.mark.parametrize(
    ("request_kind", "name"),
    [
        (Request.PRODUCE, "TOPIC_AUTHORIZATION_FAILED"),
        (Request.ADD_PARTITIONS_TO_TXN, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"),
        (Request.ADD_OFFSETS_TO_TXN, "GROUP_AUTHORIZATION_FAILED"),
        (Request.TXN_OFFSET_COMMIT, "GROUP_AUTHORIZATION_FAILED"),
        (Request.END_TXN, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"),
    ],
)
def test_a_missing_permission_ends_the_loop_and_is_named(
    stepped: SteppedLoop, fail: Fail, request_kind: Request, name: str
) -> None:
    with stepped.running():
        fail(request_kind, name)
        with pytest.raises(ConfigurationError, match=name):
            stepped.complete()


@pytest.mark.parametrize(
    "names", [RETRIABLE, ("CONCURRENT_TRANSACTIONS",), ("PRODUCER_FENCED",), ("INVALID_PRODUCER_EPOCH",)]
)
def test_a_producer_is_replaced_until_one_works(
    stepped: SteppedLoop, broker: MockBroker, names: tuple[str, ...]
) -> None:
    def lose_the_producer() -> None:
        stepped.loop._transactions.discard()
        broker.answer(Request.INIT_PRODUCER_ID, *map(code, names))

    with stepped.running():
        stepped.once_before("decide", lose_the_producer)
        stepped.complete()


@pytest.mark.parametrize("request_kind", [Request.END_TXN, Request.TXN_OFFSET_COMMIT])
def test_producers_that_were_replaced_leave_no_client_behind(
    cluster: EmbeddedCluster,
    broker: MockBroker,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    request_kind: Request,
) -> None:
    def replace_some() -> None:
        stepped = stepped_on(cluster, tmp_path)
        with stepped.running():
            for name in FENCED:
                stepped.once_before(STEP[request_kind], partial(broker.answer, request_kind, code(name)))
                stepped.complete()

    before = count_clients()
    # Captured log records keep the errors that they report.
    with caplog.at_level(logging.CRITICAL + 1, "orchestrator"):
        replace_some()

    assert count_clients() == before


def count_clients() -> int:
    gc.collect()
    return sum(isinstance(each, Producer | Consumer) for each in gc.get_objects())


@pytest.mark.parametrize(
    ("request_kind", "names"),
    [
        (Request.OFFSET_FETCH, (*RETRIABLE, "UNSTABLE_OFFSET_COMMIT")),
        (Request.OFFSET_COMMIT, (*RETRIABLE, "REBALANCE_IN_PROGRESS")),
        (Request.INIT_PRODUCER_ID, (*RETRIABLE, "CONCURRENT_TRANSACTIONS")),
    ],
)
def test_requests_after_a_fence_are_repeated_until_they_succeed(
    stepped: SteppedLoop, broker: MockBroker, request_kind: Request, names: tuple[str, ...]
) -> None:
    def fence(name: str) -> None:
        broker.answer(Request.END_TXN, code("PRODUCER_FENCED"))
        broker.answer(request_kind, code(name))

    with stepped.running():
        for name in names:
            stepped.once_before("commit", partial(fence, name))
            stepped.complete()
    assert stepped.outcomes["aborted"] == len(names)


@pytest.mark.parametrize(
    ("request_kind", "names"),
    [
        (Request.FIND_COORDINATOR, ("COORDINATOR_NOT_AVAILABLE",)),
        (Request.JOIN_GROUP, ("NOT_COORDINATOR", "UNKNOWN_MEMBER_ID")),
        (Request.SYNC_GROUP, ("COORDINATOR_LOAD_IN_PROGRESS", "UNKNOWN_MEMBER_ID")),
        (Request.OFFSET_FETCH, (*RETRIABLE, "UNSTABLE_OFFSET_COMMIT")),
        (Request.LIST_OFFSETS, ("LEADER_NOT_AVAILABLE", "NOT_LEADER_FOR_PARTITION", "OFFSET_NOT_AVAILABLE")),
    ],
)
def test_a_loop_starts_whatever_errors_it_gets_first(
    stepped: SteppedLoop, broker: MockBroker, request_kind: Request, names: tuple[str, ...]
) -> None:
    broker.answer(request_kind, *map(code, names))
    with stepped.running():
        stepped.complete()


@pytest.mark.parametrize(
    "name", [*RETRIABLE, "REBALANCE_IN_PROGRESS", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID"]
)
def test_a_member_that_loses_its_membership_rejoins(
    stepped: SteppedLoop, broker: MockBroker, name: str
) -> None:
    with stepped.running():
        stepped.complete()
        until(broker.answer_once(Request.HEARTBEAT, code(name)), "its heartbeat has failed")
        stepped.complete()


def test_a_member_that_is_fenced_once_rejoins(stepped: SteppedLoop, broker: MockBroker) -> None:
    """A member also gets this error after its own rejoin, if the response to that was lost."""
    with stepped.running():
        stepped.complete()
        broker.answer(Request.HEARTBEAT, code("FENCED_INSTANCE_ID"))
        until(lambda: len(stepped.loop.restored) == 2 * PARTITIONS, "it has rejoined and restored")
        stepped.complete()


def test_a_member_that_is_fenced_again_and_again_ends(stepped: SteppedLoop, broker: MockBroker) -> None:
    with stepped.running():
        broker.answer(Request.HEARTBEAT, *[code("FENCED_INSTANCE_ID")] * 3)
        stepped.await_end()
    assert isinstance(stepped.failure, FencedError)
    assert "another process runs as orchestrator-0" in str(stepped.failure)
