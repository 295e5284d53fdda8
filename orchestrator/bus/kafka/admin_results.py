"""Results of the admin client, whose operations end as futures."""

from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

from confluent_kafka import KafkaException

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka.errors import error_of, translated
from orchestrator.bus.settings import BusSettings
from orchestrator.errors import UnavailableError

T = TypeVar("T")


def result_of(future: "Future[T]", doing: str, settings: BusSettings, deadline: Deadline) -> T:
    """The result of an admin operation. Its failure is raised as an error of our hierarchy."""
    try:
        return future.result(timeout=deadline.remaining())
    except KafkaException as error:
        raise translated(error_of(error), doing, settings.bootstrap_servers) from error
    except FutureTimeout as error:
        raise UnavailableError(
            f"{doing} failed: the cluster at {settings.bootstrap_servers} did not respond in time"
        ) from error
