"""Runs the example session on the embedded broker, in one process; only a folder of files is left."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

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

GOAL: Final = "Find out why latency rose, and which deploy explains it"
AGENT: Final = "triage"
PARTITIONS: Final = 4
_CHECKOUT: Final = Path(__file__).parents[2] / "examples" / "incident_triage"


@dataclass(frozen=True)
class Outcome:
    """How the example session ended."""

    correlation_id: str
    result: Any
    events: tuple[Event, ...]


def example_folder() -> Path:
    """The folder of the example: in the installed package or in a checkout. Raises `ConfigurationError`."""
    packaged = Path(str(resources.files("orchestrator"))) / "examples" / "incident_triage"
    for folder in (packaged, _CHECKOUT):
        if folder.is_dir():
            return folder
    raise ConfigurationError("example not found: reinstall the package, or run from a checkout")


def prepare(folder: Path) -> dict[str, str]:
    """Generates the example's data in `folder`; returns the environment variables that its tools need."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = load_module(str(example_folder() / "generate.py"))
    generator.generate(folder)
    return {
        "ORCHESTRATOR_TOOLS_FILES_ROOT": str(folder),
        "ORCHESTRATOR_TOOLS_OUTPUT_ROOT": str(folder),
        "ORCHESTRATOR_SESSIONS_URL": f"sqlite:///{folder / 'sessions.sqlite'}",
    }


def run_demo(folder: Path, show: Callable[[Event], None]) -> Outcome:
    """Runs the example in `folder` and calls `show` with each event of the session as it happens.

    Raises `TaskError` if the session fails.
    """
    with _environment(prepare(folder)), _embedded(folder) as wiring:
        plugins = discover([str(example_folder() / "tools.py")])
        publish_definitions(wiring, read_definition_files(example_folder()))
        with Process(wiring, [ALL], plugins):
            return asyncio.run(_session(wiring, show))


async def _session(wiring: Wiring, show: Callable[[Event], None]) -> Outcome:
    async with Client(wiring) as client:
        handle = await client.submit(GOAL, agent=AGENT)
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
