"""What clients of a cluster may raise beside `UnavailableError`, `ContractError` and `ConfigurationError`.

The texts name the operation and what the broker said; they never hold a setting's value.
"""

from orchestrator.errors import OrchestratorError
from orchestrator.messages.catalogue import Topic


class FatalError(OrchestratorError):
    """The client is of no further use: close it and make a new one."""


class FencedError(FatalError):
    """Somebody newer has our transactional id or our group instance id.

    Start anew only while the static membership is ours, otherwise exit: two on one slot would fence each
    other for ever.
    """


class AbortableError(OrchestratorError):
    """The transaction cannot be committed: abort it, drop what was staged, rewind; the producer lives on.

    `refused` where a broker refuses one of its records for what it is, so that trying again does not help.
    """

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class AmbiguousCommit(OrchestratorError):  # noqa: N818 - named after the state it leaves
    """Nobody can tell whether the transaction was committed.

    Close the producer (never abort it: a delayed commit could hit a later transaction, librdkafka#5423), make
    a new one, `init` it, then read the batch number in the committed offsets' metadata.
    """


class OwnershipLost(OrchestratorError):  # noqa: N818 - named after the state it tells
    """The group no longer counts us as the owner; the next poll tells which partitions are gone."""


class OffsetLost(OrchestratorError):  # noqa: N818 - named after the state it tells
    """There is nothing at the offset to read from: none was committed, or the log begins later."""

    def __init__(self, message: str, topic: Topic, partition: int) -> None:
        super().__init__(message)
        self.topic = topic
        self.partition = partition
