"""A topic that a process reads is deleted, or deleted and created again, while it runs, on a real Kafka."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orchestrator.app.process import Process
from orchestrator.app.settings import Settings
from orchestrator.app.wiring import Wiring, wire_embedded
from orchestrator.bus.errors import FatalError
from orchestrator.errors import OrchestratorError
from orchestrator.local import StackAddress
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.commands import ExecuteTool
from orchestrator.sdk import Plugins, Service
from orchestrator.sdk.service_context import ServiceContext
from tests.support.workers import TIMEOUT_S, Lab, until

pytestmark = pytest.mark.integration

EVERY_S = 0.2


@pytest.fixture
def lab(kafka_stack: StackAddress) -> Lab:
    return Lab.on(kafka_stack.bootstrap_servers, partitions=2)


@pytest.fixture
def wiring(lab: Lab) -> Wiring:
    """Schema ids come from the catalogue, as those of the lab do."""
    return wire_embedded(Settings(**lab.settings.model_dump()))


@contextmanager
def running(wiring: Wiring, handled: list[str]) -> Iterator[Process]:
    """A process that has seen its topics; it notes the tool calls that it handles."""
    service = Service("runner")

    @service.on(ExecuteTool)
    async def run(message: ExecuteTool, _context: ServiceContext) -> None:
        handled.append(message.call.call_id)

    with Process(wiring, ["runner"], Plugins.of(service), look_every_s=EVERY_S) as process:
        watch = process._topic_watch
        assert watch is not None
        until(lambda: len(watch._first_seen) == 3, "it has seen its topics")
        yield process


def failure_of(process: Process) -> OrchestratorError:
    """What ends a process."""
    found: list[OrchestratorError] = []

    def wait() -> None:
        try:
            process.wait()
        except OrchestratorError as error:
            found.append(error)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    waiting.join(TIMEOUT_S)
    assert found, "the process goes on"
    return found[0]


@pytest.mark.parametrize("topic", [Topic.EXECUTE_COMMANDS, Topic.DEFINITIONS, Topic.CANCELLATIONS])
def test_a_topic_that_is_recreated_ends_the_process_and_the_next_one_reads_it(
    lab: Lab, wiring: Wiring, topic: Topic
) -> None:
    handled: list[str] = []
    with running(wiring, handled) as process:
        lab.execute(1)
        until(lambda: handled == ["call-1"], "it handles calls")
        lab.recreate(topic)
        failure = failure_of(process)

    with running(wiring, handled):
        lab.execute(2)
        until(lambda: "call-2" in handled, "the next process handles calls")

    assert isinstance(failure, FatalError)
    # It may not have been created again yet when that was seen.
    assert f"{topic} was deleted" in str(failure)


def test_a_topic_that_is_deleted_ends_the_process(lab: Lab, wiring: Wiring) -> None:
    with running(wiring, []) as process:
        lab.delete(Topic.CANCELLATIONS)

        failure = failure_of(process)

    assert "cancellations was deleted. Restart the process" in str(failure)
