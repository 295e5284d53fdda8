"""Who needs which rights on Kafka: the least for each component of an installation and for its users. Pure.

Rights follow from what services handle and declare to write, and from how their clients work.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from orchestrator.bus.kafka.acls import Operation, Resource, Right
from orchestrator.bus.topic_names import TopicNames
from orchestrator.errors import ConfigurationError
from orchestrator.messages.base import Command, Event
from orchestrator.messages.catalogue import CATALOGUE, Topic, matching
from orchestrator.sdk.plugins import Plugins, Served
from orchestrator.sdk.service import Service
from orchestrator.sdk.sinks import SinkPlugin

ORCHESTRATOR: Final = "orchestrator"
SUBMITTER: Final = "submitter"
CLIENT: Final = "client"
OPERATOR: Final = "operator"
DEPLOYER: Final = "deployer"

USERS: Final[Mapping[str, str]] = {
    SUBMITTER: "writes tasks, and reads nothing",
    CLIENT: "submits tasks, follows sessions and cancels them: `Client` and the commands for sessions",
    OPERATOR: "reads everything, and writes what people write",
    DEPLOYER: "creates topics and applies agents: the jobs of a deployment",
}
"""Who uses an installation, and what for."""

_INPUTS: Final = (Topic.TASKS, Topic.CONTROL, Topic.EVENTS)
_SHARED: Final = (Topic.DEFINITIONS, Topic.CANCELLATIONS)
"""What every process reads."""
_HISTORY: Final = (Topic.SESSIONS, Topic.EVENTS)
"""What `context.history()` reads, and who follows sessions."""
_READERS: Final = ("watermarks", "orchestrator-broadcast", "orchestrator-look")
"""Groups under which partitions are read without joining one: nothing is ever committed to them."""
_BY_PEOPLE: Final = (Topic.TASKS, Topic.CONTROL, Topic.DEFINITIONS)


def components(plugins: Plugins, prefix: str) -> dict[str, tuple[Right, ...]]:
    """The rights of everything that `orchestrator run` runs, by its name. `prefix` is the installation's.

    Raises `ConfigurationError` for a plug-in whose name stands for other rights already.
    """
    of = _Rights(prefix)
    found = {ORCHESTRATOR: of.orchestrator()}
    for plugin in plugins:
        if isinstance(plugin, Served):
            service = plugin.service()
            name, rights = service.name, of.service(service)
        elif isinstance(plugin, SinkPlugin):
            name, rights = plugin.name, of.sink(plugin)
        else:
            continue
        if name in found or name in USERS:
            raise ConfigurationError(f"{name} names two sets of rights: rename the {plugin.role} {name}")
        found[name] = rights
    return {name: _sorted(rights) for name, rights in found.items()}


def users(prefix: str) -> dict[str, tuple[Right, ...]]:
    """The rights of the users of an installation."""
    of = _Rights(prefix)
    found = {SUBMITTER: of.submitter(), CLIENT: of.client(), OPERATOR: of.operator(), DEPLOYER: of.deployer()}
    return {name: _sorted(rights) for name, rights in found.items()}


def chosen(found: Mapping[str, tuple[Right, ...]], names: Iterable[str]) -> dict[str, tuple[Right, ...]]:
    """Those of these names, or all. Raises `ConfigurationError` for a name that is unknown."""
    wanted = list(names)
    if unknown := [name for name in wanted if name not in found]:
        raise ConfigurationError(f"there is no {', '.join(unknown)}: choose of {', '.join(sorted(found))}")
    return {name: found[name] for name in wanted or found}


_PRINCIPAL: Final = re.compile(r"[A-Za-z]+:[^{}]+")


def principal(template: str, prefix: str, name: str) -> str:
    """The Kafka principal of a component. `{prefix}` and `{name}` in the template stand for the installation's prefix
    and the component's name. Raises `ConfigurationError` for what is no principal then."""
    made = template.replace("{prefix}", prefix).replace("{name}", name)
    if not _PRINCIPAL.fullmatch(made):
        raise ConfigurationError(
            f"{made!r} is no principal: write TYPE:NAME, such as User:{{prefix}}{{name}} or User:planner"
        )
    return made


class _Rights:
    """Makes the rights of one installation."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._names = TopicNames(prefix)

    def orchestrator(self) -> Iterator[Right]:
        own = {entry.topic for entry in CATALOGUE if entry.writer == ORCHESTRATOR}
        yield from self._process()
        yield from self._read(*_INPUTS, Topic.SESSIONS, Topic.SNAPSHOTS)
        # Records of other partitions' sessions are forwarded; a reply that is too large is replaced by a failure.
        yield from self._write(*own, *_INPUTS)
        yield self._group(ORCHESTRATOR)
        # Slots restore under groups of their own, which they do not join either.
        yield Right(Resource.GROUP, f"{self._prefix}{ORCHESTRATOR}-", Operation.DESCRIBE, is_prefix=True)
        transactions = f"{self._prefix}{ORCHESTRATOR}-"
        yield Right(Resource.TRANSACTIONAL_ID, transactions, Operation.WRITE, is_prefix=True)

    def service(self, service: Service) -> Iterator[Right]:
        yield from self._process()
        yield from self._read(*service.topics, *_HISTORY)
        yield from self._write(*service.output_topics)
        yield self._group(service.name if service.has_pools else service.consumer_group)
        if service.has_pools:
            group = f"{self._prefix}{service.name}-"
            yield Right(Resource.GROUP, group, Operation.READ, is_prefix=True)

    def sink(self, plugin: SinkPlugin) -> Iterator[Right]:
        yield from self._process()
        seen = [entry for entry in matching(plugin.pattern) if issubclass(entry.message, Command | Event)]
        yield from self._read(*(entry.topic for entry in seen))
        # A sink keeps its own positions: it neither joins the group nor commits to it.
        yield Right(Resource.GROUP, f"{self._prefix}sink-{plugin.name}", Operation.DESCRIBE)

    def submitter(self) -> Iterator[Right]:
        yield from self._write(Topic.TASKS)

    def client(self) -> Iterator[Right]:
        yield from self._write(Topic.TASKS, Topic.CONTROL)
        yield from self._read(*_HISTORY, Topic.PROGRESS, Topic.DEAD_LETTERS)
        # A client asks for the number of partitions before it chooses a session's id, and describes what it writes.
        yield from self._readers()

    def operator(self) -> Iterator[Right]:
        yield from self._read(*Topic)
        yield from self._write(*_BY_PEOPLE)
        yield from self._readers()
        for operation in (Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS):
            yield Right(Resource.TOPIC, self._prefix, operation, is_prefix=True)

    def deployer(self) -> Iterator[Right]:
        for operation in (
            Operation.CREATE,
            Operation.ALTER,
            Operation.ALTER_CONFIGS,
            Operation.DESCRIBE,
            Operation.DESCRIBE_CONFIGS,
        ):
            yield Right(Resource.TOPIC, self._prefix, operation, is_prefix=True)
        yield from self._read(Topic.DEFINITIONS)
        yield from self._write(Topic.DEFINITIONS)
        yield from self._readers()

    def _process(self) -> Iterator[Right]:
        """What every process needs."""
        yield from self._read(*_SHARED)
        yield from self._write(Topic.DEAD_LETTERS)
        yield from self._readers()

    def _readers(self) -> Iterator[Right]:
        for name in _READERS:
            yield Right(Resource.GROUP, f"{self._prefix}{name}", Operation.DESCRIBE)

    def _read(self, *topics: Topic) -> Iterator[Right]:
        return (Right(Resource.TOPIC, self._names.full(topic), Operation.READ) for topic in topics)

    def _write(self, *topics: Topic) -> Iterator[Right]:
        return (Right(Resource.TOPIC, self._names.full(topic), Operation.WRITE) for topic in topics)

    def _group(self, name: str) -> Right:
        return Right(Resource.GROUP, f"{self._prefix}{name}", Operation.READ)


def _sorted(rights: Iterable[Right]) -> tuple[Right, ...]:
    return tuple(sorted(set(rights)))
