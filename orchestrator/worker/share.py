"""How much of a service's work comes to one copy of it."""

from orchestrator.bus.ports import Bus
from orchestrator.sdk.service import Service


class Share:
    """The part of a service's partitions that a worker owns. The worker's thread sets it, any thread reads it.

    A limit that holds for all copies together is split by it, without any of them knowing the others.
    """

    def __init__(self, service: Service, bus: Bus) -> None:
        self._service = service
        self._bus = bus
        self._all = 0
        self._owned = 0

    def look_up(self) -> None:
        """Counts the service's partitions. Raises `UnavailableError` if Kafka does not respond."""
        self._all = sum(self._bus.partitions(topic) for topic in self._service.topics)

    def owns(self, partitions: int) -> None:
        self._owned = partitions

    def __call__(self) -> float:
        """From 0.0 (none) to 1.0 (all)."""
        return min(1.0, self._owned / self._all) if self._all else 0.0
