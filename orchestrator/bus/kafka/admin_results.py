"""Results of the admin client, whose operations end as futures."""

from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka.errors import error_of, translated
from orchestrator.bus.kafka.refusals import explained
from orchestrator.bus.settings import BusSettings
from orchestrator.errors import UnavailableError

T = TypeVar("T")


def result_of(
    future: "Future[T]", doing: str, settings: BusSettings, deadline: Deadline, admin: AdminClient
) -> T:
    """The result of an admin operation. Its failure is raised as an error of our hierarchy."""
    servers = settings.bootstrap_servers
    try:
        return future.result(timeout=deadline.remaining())
    except KafkaException as error:
        failure = translated(error_of(error), doing, servers)
        raise explained(admin, failure, doing, servers) from error
    except FutureTimeout as error:
        late = UnavailableError(f"{doing} failed: the cluster at {servers} did not respond in time")
        raise explained(admin, late, doing, servers) from error


def failed_with(future: "Future[Any]", code: int, deadline: Deadline) -> bool:
    """Whether an admin operation failed with this code of Kafka's; False for one that is not over in time."""
    try:
        error = future.exception(timeout=deadline.remaining())
    except FutureTimeout:
        return False
    return isinstance(error, KafkaException) and error_of(error).code() == code
