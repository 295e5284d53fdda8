"""All services in one process on the embedded broker, as in `orchestrator demo`, with a test's own plug-ins."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from orchestrator.app.process import Process
from orchestrator.app.settings import Settings
from orchestrator.app.wiring import Wiring, wire_embedded
from orchestrator.local import EmbeddedCluster
from orchestrator.messages.catalogue import TOPICS
from orchestrator.operations.definition_files import publish_definitions
from orchestrator.sdk import discover
from orchestrator.sdk.documents import parse_documents
from orchestrator.sdk.registry import Plugin
from tests.support.counting_bus import CountingBus

SERVICES = ("orchestrator", "planner", "tool-selector", "tool-executor", "evaluator", "recovery")


@contextmanager
def embedded_platform(values_url: str, agent: str, *plugins: Plugin) -> Iterator[tuple[Wiring, Counter[str]]]:
    """Runs all services that a session needs. `agent` is the YAML document of its agent.

    Yields the wiring and the bytes sent to each topic. They are counted as they are sent, since the embedded
    broker keeps only the last 5 MB of a partition.
    """
    discovered = discover()
    for plugin in plugins:
        discovered.add(plugin)
    with EmbeddedCluster({f"agents.{spec.topic}": spec.partitions or 1 for spec in TOPICS}) as cluster:
        settings = Settings(bootstrap_servers=cluster.bootstrap_servers, values_url=values_url, partitions=1)
        wiring = wire_embedded(settings)
        counting = CountingBus(wiring.bus)
        wiring = replace(wiring, bus=counting)
        publish_definitions(wiring, parse_documents(agent, "agent.yaml"))
        with Process(wiring, SERVICES, discovered):
            yield wiring, counting.sizes
