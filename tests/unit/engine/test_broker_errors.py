"""What every request of the loop's steps may be answered with, told by librdkafka's built-in broker, and that
sessions complete afterwards. What the broker cannot show, isolation and stored offsets, is tested on a real one.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from orchestrator.bus.errors import FencedError
from orchestrator.errors import ConfigurationError
from orchestrator.local import EmbeddedCluster
from orchestrator.messages.catalogue import TOPICS
from orchestrator.messages.events import TaskRefused
from tests.support.mock_broker import MockBroker, Request
from tests.support.mock_loop import MockLoop
from tests.support.workers import Lab, lab_settings, until

PARTITIONS = 2
Answer = Callable[..., None]

# Which of the loop's steps sends a request; a producer that was given up is made in the step before it begins.
STEP = {
    Request.ADD_PARTITIONS_TO_TXN: "send",
    Request.PRODUCE: "send",
    Request.ADD_OFFSETS_TO_TXN: "send offsets",
    Request.TXN_OFFSET_COMMIT: "send offsets",
    Request.END_TXN: "commit",
}

PASSING = ("COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR", "COORDINATOR_LOAD_IN_PROGRESS")
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
def mock_loop(cluster: EmbeddedCluster, tmp_path: Path) -> MockLoop:
    # The broker lets a group wait for members that are gone until their session is over.
    quick = {"fetch_wait_max_ms": "5", "heartbeat_interval_ms": "100", "session_timeout_ms": "1500"}
    return MockLoop(Lab(lab_settings(cluster.bootstrap_servers, "t.", PARTITIONS, **quick)), tmp_path)


@pytest.fixture
def answer(mock_loop: MockLoop, broker: MockBroker) -> Callable[..., None]:
    """Has a request of the loop's next transaction answered with errors."""

    def answer_next(request: Request, *names: str) -> None:
        errors = [code(name) for name in names]
        mock_loop.once_before(STEP[request], lambda: broker.answer(request, *errors))

    return answer_next


def code(name: str) -> int:
    found: int = getattr(KafkaError, name)
    return found


@pytest.mark.parametrize(
    ("request_kind", "names"),
    [
        (Request.ADD_PARTITIONS_TO_TXN, (*PASSING, "CONCURRENT_TRANSACTIONS")),
        (Request.PRODUCE, ("NOT_LEADER_FOR_PARTITION", "REQUEST_TIMED_OUT", "NOT_ENOUGH_REPLICAS")),
        (Request.ADD_OFFSETS_TO_TXN, (*PASSING, "CONCURRENT_TRANSACTIONS")),
        (Request.TXN_OFFSET_COMMIT, PASSING),
        (Request.END_TXN, (*PASSING, "CONCURRENT_TRANSACTIONS")),
    ],
)
def test_what_asks_to_try_again_is_tried_again_inside_the_transaction(
    mock_loop: MockLoop, answer: Answer, request_kind: Request, names: tuple[str, ...]
) -> None:
    with mock_loop.running():
        for name in names:
            answer(request_kind, name)
            mock_loop.complete()
    assert set(mock_loop.outcomes) == {"committed"}


@pytest.mark.parametrize(
    ("request_kind", "names"),
    [
        (Request.ADD_PARTITIONS_TO_TXN, ("UNKNOWN_PRODUCER_ID", "INVALID_PRODUCER_ID_MAPPING")),
        (Request.PRODUCE, ("OUT_OF_ORDER_SEQUENCE_NUMBER",)),
        (Request.TXN_OFFSET_COMMIT, NOT_OURS),
        (Request.END_TXN, ("UNKNOWN_PRODUCER_ID", "INVALID_PRODUCER_ID_MAPPING")),
    ],
)
def test_what_asks_for_an_abort_is_taken_back_and_done_again(
    mock_loop: MockLoop, answer: Answer, request_kind: Request, names: tuple[str, ...]
) -> None:
    with mock_loop.running():
        for name in names:
            answer(request_kind, name)
            mock_loop.complete()
    assert mock_loop.outcomes["aborted"] == len(names)


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
def test_a_fenced_producer_is_made_anew_while_the_slot_is_ours(
    mock_loop: MockLoop, answer: Answer, request_kind: Request, names: tuple[str, ...]
) -> None:
    with mock_loop.running():
        for name in names:
            answer(request_kind, name)
            mock_loop.complete()
    assert mock_loop.outcomes["aborted"] == len(names)


@pytest.mark.parametrize("name", ["MSG_SIZE_TOO_LARGE", "INVALID_RECORD"])
def test_a_record_that_is_refused_for_itself_is_refused_by_its_session(
    mock_loop: MockLoop, answer: Answer, name: str
) -> None:
    with mock_loop.running():
        answer(Request.PRODUCE, name)
        mock_loop.saga.submit(mock_loop.saga.new_id())
        until(lambda: bool(mock_loop.written), "it is answered")
        [refused] = mock_loop.written
        mock_loop.complete()
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
def test_a_right_that_is_missing_ends_the_loop_and_is_named(
    mock_loop: MockLoop, answer: Answer, request_kind: Request, name: str
) -> None:
    with mock_loop.running():
        answer(request_kind, name)
        with pytest.raises(ConfigurationError, match=name):
            mock_loop.complete()


@pytest.mark.parametrize(
    "names", [PASSING, ("CONCURRENT_TRANSACTIONS",), ("PRODUCER_FENCED",), ("INVALID_PRODUCER_EPOCH",)]
)
def test_a_producer_is_made_as_often_as_it_takes(
    mock_loop: MockLoop, broker: MockBroker, names: tuple[str, ...]
) -> None:
    def lose_the_producer() -> None:
        mock_loop.loop._transactions.give_up()
        broker.answer(Request.INIT_PRODUCER_ID, *map(code, names))

    with mock_loop.running():
        mock_loop.once_before("decide", lose_the_producer)
        mock_loop.complete()


@pytest.mark.parametrize(
    ("request_kind", "names"),
    [
        (Request.OFFSET_FETCH, (*PASSING, "UNSTABLE_OFFSET_COMMIT")),
        (Request.OFFSET_COMMIT, (*PASSING, "REBALANCE_IN_PROGRESS")),
        (Request.INIT_PRODUCER_ID, (*PASSING, "CONCURRENT_TRANSACTIONS")),
    ],
)
def test_what_is_asked_after_a_fence_is_asked_until_it_is_answered(
    mock_loop: MockLoop, broker: MockBroker, request_kind: Request, names: tuple[str, ...]
) -> None:
    def fence(name: str) -> None:
        broker.answer(Request.END_TXN, code("PRODUCER_FENCED"))
        broker.answer(request_kind, code(name))

    with mock_loop.running():
        for name in names:
            mock_loop.once_before("commit", partial(fence, name))
            mock_loop.complete()
    assert mock_loop.outcomes["aborted"] == len(names)


@pytest.mark.parametrize(
    ("request_kind", "names"),
    [
        (Request.FIND_COORDINATOR, ("COORDINATOR_NOT_AVAILABLE",)),
        (Request.JOIN_GROUP, ("NOT_COORDINATOR", "UNKNOWN_MEMBER_ID")),
        (Request.SYNC_GROUP, ("COORDINATOR_LOAD_IN_PROGRESS", "UNKNOWN_MEMBER_ID")),
        (Request.OFFSET_FETCH, (*PASSING, "UNSTABLE_OFFSET_COMMIT")),
        (Request.LIST_OFFSETS, ("LEADER_NOT_AVAILABLE", "NOT_LEADER_FOR_PARTITION", "OFFSET_NOT_AVAILABLE")),
    ],
)
def test_a_loop_starts_whatever_it_is_answered_first(
    mock_loop: MockLoop, broker: MockBroker, request_kind: Request, names: tuple[str, ...]
) -> None:
    broker.answer(request_kind, *map(code, names))
    with mock_loop.running():
        mock_loop.complete()


@pytest.mark.parametrize(
    "name", [*PASSING, "REBALANCE_IN_PROGRESS", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID"]
)
def test_a_member_that_is_sent_away_comes_back(mock_loop: MockLoop, broker: MockBroker, name: str) -> None:
    with mock_loop.running():
        mock_loop.complete()
        until(broker.answer_once(Request.HEARTBEAT, code(name)), "it was told")
        mock_loop.complete()


def test_a_member_that_is_told_once_that_it_was_replaced_joins_anew(
    mock_loop: MockLoop, broker: MockBroker
) -> None:
    """So it is told after its own rejoin whose answer was lost."""
    with mock_loop.running():
        mock_loop.complete()
        broker.answer(Request.HEARTBEAT, code("FENCED_INSTANCE_ID"))
        until(lambda: len(mock_loop.loop.restored) == 2 * PARTITIONS, "it has joined and restored again")
        mock_loop.complete()


def test_a_member_that_is_told_again_and_again_that_it_was_replaced_ends(
    mock_loop: MockLoop, broker: MockBroker
) -> None:
    with mock_loop.running():
        broker.answer(Request.HEARTBEAT, *[code("FENCED_INSTANCE_ID")] * 3)
        mock_loop.await_end()
    assert isinstance(mock_loop.failure, FencedError)
    assert "another process runs as orchestrator-0" in str(mock_loop.failure)
