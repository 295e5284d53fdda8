"""Sending one record and waiting for its acknowledgement."""

from threading import Event

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import Outgoing, Producer
from orchestrator.errors import OrchestratorError, UnavailableError


def send(producer: Producer, outgoing: Outgoing, deadline: Deadline) -> None:
    """Returns when all in-sync replicas have the record. Threads may call it concurrently.

    Raises `UnavailableError` if it is not acknowledged in time; it may still be delivered.
    """
    reported = Event()
    failures: list[OrchestratorError] = []

    def on_delivery(error: OrchestratorError | None) -> None:
        if error is not None:
            failures.append(error)
        reported.set()

    producer.send(outgoing, on_delivery)
    producer.flush(deadline)
    # Another thread's flush may run this record's delivery callback.
    if not reported.wait(deadline.remaining()):
        raise UnavailableError(
            f"Kafka did not acknowledge the {outgoing.topic} record in time: is it running, and is "
            "ORCHESTRATOR_BOOTSTRAP_SERVERS its address?"
        )
    if failures:
        raise failures[0]
