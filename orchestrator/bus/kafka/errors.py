"""librdkafka's errors in our hierarchy."""

# ruff: noqa: SLF001 - the names of librdkafka's own errors begin with an underscore

from typing import Final

from confluent_kafka import KafkaError, KafkaException

from orchestrator.bus.errors import AbortableError, FatalError, FencedError, OwnershipLost
from orchestrator.errors import ConfigurationError, ContractError, OrchestratorError, UnavailableError

_FENCED: Final = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.PRODUCER_FENCED,
        KafkaError.FENCED_INSTANCE_ID,
    }
)
_UNAVAILABLE: Final = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TRANSPORT,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._WAIT_COORD,
        # A broker left the cluster's metadata, as a dead one does, while requests to it were waiting.
        KafkaError._DESTROY_BROKER,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        # A partition has a new leader, and client and broker do not both know it yet.
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
    }
)
_DENIED: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
_NOT_LET_IN: Final = frozenset(
    {KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED}
)
_NOT_FOUND: Final = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
)
_TOO_LARGE: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_RECORD,
        KafkaError.OFFSET_METADATA_TOO_LARGE,
        KafkaError.INVALID_COMMIT_OFFSET_SIZE,
    }
)
_OWNERSHIP_LOST: Final = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError._ASSIGNMENT_LOST,
    }
)


def error_of(exception: KafkaException | SystemError) -> KafkaError:
    """The error that a client's exception carries. Raises a `SystemError` again that does not hide one.

    The client may log while it raises (confluent-kafka 2.16). Python then says that the log returned a result with an
    exception set, and names the exception as the cause.
    """
    if isinstance(exception, SystemError):
        cause = exception.__cause__ or exception.__context__
        if not isinstance(cause, KafkaException):
            raise exception
        exception = cause
    error = exception.args[0]
    return error if isinstance(error, KafkaError) else KafkaError(KafkaError._FAIL, str(error))


def translated(error: KafkaError, doing: str, servers: str) -> OrchestratorError:
    """What a failed operation means to its caller. `doing` names it: 'reading', 'committing offsets'."""
    reason = f"{error.str()} ({error.name()})"
    code = error.code()
    if code in _DENIED:
        # Brokers may send their whole request as the text of a refusal.
        return ConfigurationError(
            f"{doing} failed: the cluster at {servers} denies access: {KafkaError(code).str()} ({error.name()}); "
            "`orchestrator acls plan` lists the rights of each user"
        )
    if code in _NOT_LET_IN:
        return ConfigurationError(
            f"{doing} failed: the cluster at {servers} denies access: {reason}; check credentials"
        )
    if code == KafkaError.SECURITY_DISABLED:
        return ConfigurationError(
            f"{doing} failed: the cluster at {servers} has no authorizer, so everybody may do everything: set "
            "authorizer.class.name on its brokers"
        )
    if error.txn_requires_abort():
        return AbortableError(f"{doing} failed: {reason}", refused=code in _TOO_LARGE)
    if code in _FENCED:
        return FencedError(f"{doing} failed: another instance took over our id: {reason}")
    if error.fatal():
        return FatalError(f"{doing} failed permanently: {reason}")
    if code in _OWNERSHIP_LOST:
        return OwnershipLost(f"{doing} failed: this consumer no longer owns the partitions: {reason}")
    if code in _NOT_FOUND:
        return ConfigurationError(
            f"{doing} failed: {reason}; check topic_prefix, and run `orchestrator topics apply`"
        )
    if code in _TOO_LARGE:
        return ContractError(f"{doing} failed: {reason}")
    if code in _UNAVAILABLE or error.retriable():
        return UnavailableError(f"{doing} failed: the cluster at {servers} does not respond: {reason}")
    return FatalError(f"{doing} failed: {reason}")
