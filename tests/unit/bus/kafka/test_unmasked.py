"""Errors of the client that Python reports as something else."""

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.errors import FencedError
from orchestrator.bus.kafka.bus import KafkaBus
from orchestrator.bus.kafka.producer import KafkaTransactionalProducer
from orchestrator.bus.settings import BusSettings


def masked(*_: object) -> Any:
    """As the client does if it logs while it raises."""
    fenced = KafkaError(KafkaError._FENCED, "fenced by newer producer instance", fatal=True)
    raise SystemError("<class 'logging.LogRecord'> returned a result with an exception set") from (
        KafkaException(fenced)
    )


class MaskingClient:
    flush = poll = commit_transaction = init_transactions = abort_transaction = staticmethod(masked)

    def purge(self, **_: object) -> None: ...


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaTransactionalProducer]:
    made = KafkaBus(BusSettings(bootstrap_servers="127.0.0.1:1")).transactional_producer("slot-0")
    assert isinstance(made, KafkaTransactionalProducer)
    with monkeypatch.context() as patch:
        patch.setattr(made, "_client", MaskingClient())
        yield made
    made.close()


@pytest.mark.parametrize("call", ["commit", "init", "abort"])
def test_a_fence_is_a_fence_however_it_is_reported(producer: KafkaTransactionalProducer, call: str) -> None:
    with pytest.raises(FencedError):
        getattr(producer, call)(Deadline.after(1))


def test_what_hides_no_error_of_the_client_stays(
    producer: KafkaTransactionalProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise SystemError("something else")

    monkeypatch.setattr(MaskingClient, "flush", staticmethod(broken))
    with pytest.raises(SystemError, match="something else"):
        producer.commit(Deadline.after(1))
