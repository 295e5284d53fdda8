"""Plug-ins, found by entry point or by module."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeAlias

from orchestrator.errors import ConfigurationError
from orchestrator.sdk.planning import Planner
from orchestrator.sdk.roles import Evaluator, Middleware, RecoveryStrategy, Reviewer, Selector, Subscriber
from orchestrator.sdk.service import Service
from orchestrator.sdk.sinks import SinkPlugin
from orchestrator.sdk.tools import Tool

ENTRY_POINT_GROUP: Final = "orchestrator.plugins"

Plugin: TypeAlias = (
    Tool
    | Planner
    | Selector
    | Evaluator
    | RecoveryStrategy
    | Reviewer
    | Subscriber
    | Middleware
    | Service
    | SinkPlugin
)


@dataclass
class Plugins:
    """The plug-ins of one process, by role and name."""

    tools: dict[str, Tool] = field(default_factory=dict)
    planners: dict[str, Planner] = field(default_factory=dict)
    selectors: dict[str, Selector] = field(default_factory=dict)
    evaluators: dict[str, Evaluator] = field(default_factory=dict)
    recoveries: dict[str, RecoveryStrategy] = field(default_factory=dict)
    reviewers: dict[str, Reviewer] = field(default_factory=dict)
    subscribers: dict[str, Subscriber] = field(default_factory=dict)
    middleware: dict[str, Middleware] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    sinks: dict[str, SinkPlugin] = field(default_factory=dict)

    def add(self, plugin: Plugin) -> None:
        """Adds a plug-in. Raises `ConfigurationError` if another of its role has the name already."""
        role, name = self._place(plugin)
        known = role.setdefault(name, plugin)
        if known is not plugin:
            raise ConfigurationError(f"two plug-ins of one kind are called {name}: rename one of them")

    def _place(self, plugin: Plugin) -> tuple[dict[str, Any], str]:
        match plugin:
            case Tool():
                return self.tools, plugin.name
            case Planner():
                return self.planners, plugin.name
            case Selector():
                return self.selectors, plugin.name
            case Evaluator():
                return self.evaluators, plugin.name
            case RecoveryStrategy():
                return self.recoveries, plugin.name
            case Reviewer():
                return self.reviewers, plugin.name
            case Subscriber():
                return self.subscribers, plugin.group
            case Middleware():
                return self.middleware, plugin.name
            case Service():
                return self.services, plugin.name
            case SinkPlugin():
                return self.sinks, plugin.name

    def every_service(self) -> dict[str, Service]:
        """Everything with a consumer group, by its name: services, reviewers and subscribers.

        Raises `ConfigurationError` if two of them share a name.
        """
        found = dict(self.services)
        asked: tuple[Reviewer | Subscriber, ...] = (*self.reviewers.values(), *self.subscribers.values())
        for service in (plugin.service() for plugin in asked):
            if service.name in found:
                raise ConfigurationError(f"two services are called {service.name}: rename the group of one")
            found[service.name] = service
        return found

    @classmethod
    def of(cls, *sources: ModuleType | Plugin) -> "Plugins":
        """The plug-ins of these modules and objects."""
        found = cls()
        for source in sources:
            for plugin in _in_module(source) if isinstance(source, ModuleType) else (source,):
                found.add(plugin)
        return found


def discover(modules: Iterable[str] = ()) -> Plugins:
    """The plug-ins of every installed entry point, and of the modules named (import names or files).

    Raises `ConfigurationError` that names each one that cannot be loaded.
    """
    problems: list[str] = []
    sources: list[ModuleType | Plugin] = []
    for entry_point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda found: found.name):
        try:
            sources.append(entry_point.load())
        except Exception as error:  # noqa: BLE001 - a stranger's module may raise anything
            problems.append(f"plug-in {entry_point.name} ({entry_point.value}) cannot be loaded: {error!r}")
    for name in modules:
        try:
            sources.append(load_module(name))
        except Exception as error:  # noqa: BLE001 - as above
            problems.append(f"module {name} cannot be loaded: {error!r}")
    if problems:
        raise ConfigurationError(*problems)
    return Plugins.of(*sources)


def load_module(name: str) -> ModuleType:
    """Imports a module by its name, or by the path of its file."""
    if not name.endswith(".py"):
        return importlib.import_module(name)
    path = Path(name).resolve()
    if not path.exists():
        raise FileNotFoundError(f"there is no file {name}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{name} is no Python module")
    module = importlib.util.module_from_spec(spec)
    # Registered before it runs: pydantic and typing look names up in sys.modules.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _in_module(module: ModuleType) -> Iterator[Plugin]:
    members: Mapping[str, Any] = dict(inspect.getmembers(module))
    yield from {id(member): member for member in members.values() if isinstance(member, Plugin)}.values()
