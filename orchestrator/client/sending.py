"""Sending one record and knowing what became of it."""

from threading import Event

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Outgoing, Producer
from orchestrator.errors import OrchestratorError, UnavailableError


def send(producer: Producer, outgoing: Outgoing, deadline: Deadline) -> None:
    """Returns when all in-sync replicas have the record. Any thread may call, several at once.

    Raises `UnavailableError` when nobody acknowledges it in time: it may arrive all the same.
    """
    told = Event()
    failures: list[OrchestratorError] = []

    def on_delivery(error: OrchestratorError | None) -> None:
        if error is not None:
            failures.append(error)
        told.set()

    producer.send(outgoing, on_delivery)
    producer.flush(deadline)
    # Another thread's flush may have run this record's delivery, or be about to.
    if not told.wait(deadline.remaining()):
        raise UnavailableError(
            f"Kafka did not acknowledge the {outgoing.topic} record in time: is it running, and is "
            "ORCHESTRATOR_BOOTSTRAP_SERVERS its address?"
        )
    if failures:
        raise failures[0]
