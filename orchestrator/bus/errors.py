"""What clients of a cluster may raise besides `UnavailableError`, `ContractError` and `ConfigurationError`.

The texts name the operation and the broker's error; they never contain a setting's value.
"""

from orchestrator.errors import OrchestratorError, UnavailableError
from orchestrator.messages.catalogue import Topic


class FatalError(OrchestratorError):
    """The client failed permanently: close it and make a new one."""


class FencedError(FatalError):
    """A newer instance has taken over our transactional id or group instance id.

    Make new clients only while the static membership is still ours, and exit otherwise: two processes on one slot
    would fence each other forever.
    """


class AbortableError(OrchestratorError):
    """The transaction cannot be committed: abort it, drop the staged batch and rewind. The producer stays usable.

    `refused` if the broker rejects one of its records for its content, so that a retry cannot help.
    """

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class AmbiguousCommit(OrchestratorError):  # noqa: N818 - named after the state it leaves
    """Whether the transaction was committed is unknown.

    Close the producer (never abort: a delayed commit could hit a later transaction, librdkafka#5423), make a new
    one, `init` it, then read the batch number in the metadata of the committed offsets.
    """


class OwnershipLost(OrchestratorError):  # noqa: N818 - named after the state it reports
    """The group no longer counts us as the owner; the next poll reports which partitions were lost."""


class OffsetLost(OrchestratorError):  # noqa: N818 - named after the state it reports
    """No offset to read from: none was committed, or the log begins later."""

    def __init__(self, message: str, topic: Topic, partition: int) -> None:
        super().__init__(message)
        self.topic = topic
        self.partition = partition


class SchemaPending(UnavailableError):  # noqa: N818 - named after the state it reports
    """Whether the schema of a record may be used is being looked up: read other records meanwhile."""


class SchemaUnresolved(UnavailableError):  # noqa: N818 - named after the state it reports
    """The registry has not responded for so long, or has so many versions of a subject, that a record of this schema is
    set aside: it may be sound, but the records behind it must not wait for ever."""
