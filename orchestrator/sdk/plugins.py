"""Plug-ins, found by entry point or by module."""

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol, Self, runtime_checkable

from orchestrator.errors import ConfigurationError
from orchestrator.sdk.registry import Plugin, PluginRegistry
from orchestrator.sdk.roles import ROLES
from orchestrator.sdk.service import Service

ENTRY_POINT_GROUP: Final = "orchestrator.plugins"


@runtime_checkable
class Served(Protocol):
    """A plug-in that handles messages in a consumer group of its own."""

    def service(self) -> Service: ...


class Plugins(PluginRegistry):
    """The plug-ins of one process, by role and name."""

    @classmethod
    def of(cls, *sources: ModuleType | Plugin) -> Self:
        """The plug-ins of these modules and objects. Raises `ConfigurationError` as `add` does."""
        found = cls()
        for source in sources:
            for plugin in _in_module(source) if isinstance(source, ModuleType) else (source,):
                found.add(plugin)
        return found

    def every_service(self) -> dict[str, Service]:
        """Everything with a consumer group, by name: services, reviewers and subscribers.

        Raises `ConfigurationError` if two of them share a name.
        """
        found: dict[str, Service] = {}
        for plugin in self:
            if isinstance(plugin, Served):
                service = plugin.service()
                if service.name in found:
                    raise ConfigurationError(
                        f"two services have the name {service.name}: rename the group of one"
                    )
                found[service.name] = service
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
        raise FileNotFoundError(f"{name} does not exist")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{name} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    # Registered before it runs: pydantic and typing look names up in sys.modules.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _in_module(module: ModuleType) -> Iterator[Plugin]:
    members: list[Any] = [getattr(module, name) for name in dir(module)]
    yield from {id(member): member for member in members if isinstance(member, ROLES)}.values()
