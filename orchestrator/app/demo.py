"""Runs an example session on the embedded broker, in one process; only a folder of files is left."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from orchestrator.app.process import ALL, Process
from orchestrator.app.settings import Settings
from orchestrator.app.wiring import Wiring, wire_embedded
from orchestrator.bus.topic_names import TopicNames
from orchestrator.client import Client
from orchestrator.errors import ConfigurationError
from orchestrator.local.embedded import EmbeddedCluster
from orchestrator.messages.base import Event
from orchestrator.messages.catalogue import TOPICS
from orchestrator.operations.definition_files import publish_definitions, read_definition_files
from orchestrator.sdk.plugins import discover, load_module

PARTITIONS: Final = 4
_CHECKOUT: Final = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Example:
    """A session that shows what the platform does, with the files that it is about."""

    name: str
    goal: str
    agent: str
    plugins: str
    """The module of its plug-ins."""
    generator: str = ""
    """The module that writes its data; empty where they lie in its folder `data`."""

    @property
    def folder(self) -> Path:
        """Its folder: in the installed package or in a checkout. Raises `ConfigurationError`."""
        packaged = Path(str(resources.files("orchestrator"))) / "examples"
        for folder in (packaged, _CHECKOUT):
            found = folder / self.name.replace("-", "_")
            if found.is_dir():
                return found
        raise ConfigurationError(
            f"example {self.name} not found: reinstall the package, or run from a checkout"
        )

    def data(self, folder: Path) -> Path:
        """The folder of its data, which are written to `folder` where they have to be generated."""
        if not self.generator:
            return self.folder / "data"
        load_module(str(self.folder / self.generator)).generate(folder)
        return folder


TRIAGE: Final = Example(
    name="incident-triage",
    goal="Find out why latency rose, and which deploy explains it",
    agent="triage",
    plugins="tools.py",
    generator="generate.py",
)
DESK: Final = Example(
    name="research-desk",
    goal="Why do customers return the Fjord kettle, how often, and does our warranty cover it?",
    agent="desk",
    plugins="desk.py",
)
EXAMPLES: Final = {example.name: example for example in (TRIAGE, DESK)}


@dataclass(frozen=True)
class Outcome:
    """How the example session ended."""

    correlation_id: str
    result: Any
    events: tuple[Event, ...]


def prepare(example: Example, folder: Path) -> dict[str, str]:
    """Makes the example's data available; returns the environment variables that its tools need."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "ORCHESTRATOR_TOOLS_FILES_ROOT": str(example.data(folder)),
        "ORCHESTRATOR_TOOLS_OUTPUT_ROOT": str(folder),
        "ORCHESTRATOR_SESSIONS_URL": f"sqlite:///{folder / 'sessions.sqlite'}",
    }


def example_called(name: str) -> Example:
    """The example of that name. Raises `ConfigurationError` that lists all names for another one."""
    if name not in EXAMPLES:
        raise ConfigurationError(f"there is no example {name}: choose one of {', '.join(EXAMPLES)}")
    return EXAMPLES[name]


def run_demo(folder: Path, show: Callable[[Event], None], example: Example = TRIAGE) -> Outcome:
    """Runs the example in `folder` and calls `show` with each event of the session as it happens.

    Raises `TaskError` if the session fails.
    """
    with _environment(prepare(example, folder)), _embedded(folder) as wiring:
        plugins = discover([str(example.folder / example.plugins)])
        publish_definitions(wiring, read_definition_files(example.folder))
        with Process(wiring, [ALL], plugins):
            return asyncio.run(_session(wiring, show, example))


async def _session(wiring: Wiring, show: Callable[[Event], None], example: Example) -> Outcome:
    async with Client(wiring) as client:
        handle = await client.submit(example.goal, agent=example.agent)
        seen = [event async for event in _shown(handle.events(), show)]
        return Outcome(handle.correlation_id, await handle.result(), tuple(seen))


async def _shown(events: AsyncIterator[Event], show: Callable[[Event], None]) -> AsyncIterator[Event]:
    async for event in events:
        show(event)
        yield event


@contextmanager
def _embedded(folder: Path) -> Iterator[Wiring]:
    names = TopicNames("agents.")
    topics = {names.full(spec.topic): spec.partitions or PARTITIONS for spec in TOPICS}
    with EmbeddedCluster(topics) as cluster:
        settings = Settings(
            bootstrap_servers=cluster.bootstrap_servers,
            values_url=str(folder / "values"),
            partitions=PARTITIONS,
            call_keys=SecretStr(secrets.token_hex(32)),
        )
        yield wire_embedded(settings)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Inside, sets variables of the process environment: plug-ins read their settings from it."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
