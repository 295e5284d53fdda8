"""The platform as `orchestrator demo` runs it, with plug-ins and agents of a test's own."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from orchestrator.app.defining import define
from orchestrator.app.process import Process
from orchestrator.app.settings import Settings
from orchestrator.app.wiring import Wiring, wire_embedded
from orchestrator.local import EmbeddedCluster
from orchestrator.messages.catalogue import TOPICS
from orchestrator.sdk import discover
from orchestrator.sdk.documents import parse_documents
from orchestrator.sdk.registry import Plugin
from tests.support.counting_bus import CountingBus

SERVICES = ("orchestrator", "planner", "tool-selector", "tool-executor", "evaluator", "recovery")


@contextmanager
def embedded_platform(values_url: str, agent: str, *plugins: Plugin) -> Iterator[tuple[Wiring, Counter[str]]]:
    """All services that a session needs, running in this process. `agent` is its document, YAML.

    Beside the cluster come the bytes that were sent to each topic: counted as they are sent, since the embedded
    broker keeps the last 5 MB of a partition only.
    """
    everything = discover()
    for plugin in plugins:
        everything.add(plugin)
    with EmbeddedCluster({f"agents.{spec.topic}": spec.partitions or 1 for spec in TOPICS}) as cluster:
        settings = Settings(bootstrap_servers=cluster.bootstrap_servers, values_url=values_url, partitions=1)
        wiring = wire_embedded(settings)
        counting = CountingBus(wiring.bus)
        wiring = replace(wiring, bus=counting)
        define(wiring, parse_documents(agent, "agent.yaml"))
        with Process(wiring, SERVICES, everything):
            yield wiring, counting.sizes
