"""The settings of a local Kafka node, and Java's format for them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import ConfigurationError

LOGGING = """\
status = warn
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %m (%c{1})%n%throwable
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""
"""Log4j 2: everything goes to standard output, which with the JVM's own output is the node's log file."""

LONGEST_TRANSACTION_MS = 60_000
"""What our own producers ask for: librdkafka's default of `transaction.timeout.ms`."""
_CLEANER_BUFFER_BYTES = 16 * 1024 * 1024
"""Kafka's default of 128 MiB is a quarter of the heap; this much compacts 500,000 keys at a time."""


@dataclass(frozen=True, slots=True)
class NodePorts:
    """The ports of one node on 127.0.0.1."""

    broker: int
    controller: int


def node_properties(
    node: int, ports: Sequence[NodePorts], data: Path, changes: Mapping[str, str], listener: str = "PLAINTEXT"
) -> dict[str, str]:
    """The `server.properties` of node number `node`, from 1, of a cluster with these `ports`.

    Every node is broker and controller. With three nodes a topic has three replicas, and a write needs two of
    them. `changes` override everything; `listener` is the name of the one for clients.
    """
    if "," in str(data):
        raise ConfigurationError(f"the path of Kafka's data must not contain a comma: {data}")
    own = ports[node - 1]
    replicas = str(min(3, len(ports)))
    in_sync = "2" if len(ports) >= 3 else "1"
    broker = f"{listener}://127.0.0.1:{own.broker}"
    return {
        "process.roles": "broker,controller",
        "node.id": str(node),
        "listeners": f"{broker},CONTROLLER://127.0.0.1:{own.controller}",
        "advertised.listeners": broker,
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": ",".join(
            f"{number}@127.0.0.1:{voter.controller}" for number, voter in enumerate(ports, start=1)
        ),
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": "8",
        # Whoever may write transactionally hides what is written after its open one for this long, not 15 minutes.
        "transaction.max.timeout.ms": str(LONGEST_TRANSACTION_MS),
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        "share.coordinator.state.topic.num.partitions": "8",
        "group.initial.rebalance.delay.ms": "0",
        "log.cleaner.dedupe.buffer.size": str(_CLEANER_BUFFER_BYTES),
        **changes,
    }


def render(properties: Mapping[str, str]) -> str:
    """The text of a Java properties file, which is Latin-1 and has `\\` as its escape character."""
    return "".join(f"{key}={_escaped(value)}\n" for key, value in properties.items())


def _escaped(value: str) -> str:
    utf16 = value.replace("\\", "\\\\").replace("\n", "\\n").encode("utf-16-be")
    units = (int.from_bytes(utf16[at : at + 2], "big") for at in range(0, len(utf16), 2))
    return "".join(chr(unit) if unit < 0x7F else f"\\u{unit:04x}" for unit in units)
