"""Plug-ins, found by entry point or by module."""

import importlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache, partial
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, Final, Protocol, Self, runtime_checkable

from orchestrator.errors import ConfigurationError
from orchestrator.sdk.failures import described
from orchestrator.sdk.module_files import load_file
from orchestrator.sdk.registry import Bundle, Plugin, PluginRegistry
from orchestrator.sdk.roles import ROLES
from orchestrator.sdk.service import Service
from orchestrator.sdk.settings import PluginSettings, SettingsPlugin, settings_problems

ENTRY_POINT_GROUP: Final = "orchestrator.plugins"


@runtime_checkable
class Served(Protocol):
    """A plug-in that handles messages in a consumer group of its own."""

    def service(self) -> Service: ...


class Plugins(PluginRegistry):
    """The plug-ins of one process, by role and name."""

    @classmethod
    def of(cls, *sources: ModuleType | Plugin | Bundle | type[PluginSettings]) -> Self:
        """The plug-ins of these modules and objects. Raises `ConfigurationError` as `add` does, and for what is no
        plug-in."""
        found = cls()
        for source in sources:
            plugins = _in_module(source) if isinstance(source, ModuleType) else _plugins(source)
            if plugins is None:
                raise ConfigurationError(f"{source!r} is neither a module nor a plug-in")
            for plugin in plugins:
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


def discover(modules: Iterable[str] = (), platform_variables: Collection[str] = ()) -> Plugins:
    """The plug-ins of every installed entry point, and of the modules named (import names or files).

    `platform_variables` are variables of the environment that no plug-in may declare. Raises
    `ConfigurationError` with every problem that `find` finds.
    """
    plugins, problems = find(modules, platform_variables)
    if problems:
        raise ConfigurationError(*problems)
    return plugins


def find(modules: Iterable[str] = (), platform_variables: Collection[str] = ()) -> tuple[Plugins, list[str]]:
    """The plug-ins that can be loaded, and every problem: what cannot be loaded, names that are used twice,
    services without handlers, and mistakes in the plug-ins' settings."""
    plugins = Plugins()
    problems: list[str] = []
    for what, load in _sources(modules):
        try:
            for plugin in Plugins.of(load()):
                plugins.add(plugin)
        except ConfigurationError as error:
            problems += (f"{what}: {problem}" for problem in error.problems)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plug-in may raise anything
            problems.append(f"{what} cannot be loaded: {' '.join(described(error).split())}")
    problems += (
        f"service {service.name} has no handler: declare one with its method `on`, or remove the service"
        for service in plugins.by_name(Service).values()
        if not service.handlers
    )
    declared = [plugin.declared for plugin in plugins.by_name(SettingsPlugin).values()]
    problems += settings_problems(declared, os.environ, platform_variables)
    return plugins, problems


def _sources(modules: Iterable[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each source of plug-ins: what errors call it, and what loads it."""
    for entry_point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda found: found.name):
        yield f"plug-in {entry_point.name} ({entry_point.value})", entry_point.load
    for name in modules:
        yield f"module {name}", partial(load_module, name)


def load_module(name: str) -> ModuleType:
    """Imports a module by its name, or by the path of its file. A file is run once, however often it is named."""
    return load_file(name) if name.endswith(".py") else importlib.import_module(name)


def _in_module(module: ModuleType) -> Iterator[Plugin]:
    for _, member in sorted(vars(module).items()):
        yield from _plugins(member) or ()


def _plugins(member: Any) -> Iterable[Plugin] | None:
    """The plug-ins that a member of a module stands for; None if it is neither a plug-in nor a bundle."""
    if isinstance(member, Bundle):
        return _bundled(member)
    return None if (plugin := _plugin(member)) is None else (plugin,)


def _bundled(bundle: Bundle) -> Iterator[Plugin]:
    for member in bundle.plugins():
        if (plugin := _plugin(member)) is None:
            raise ConfigurationError(f"{bundle!r} has {member!r}, which is not a plug-in: remove it")
        yield plugin


def _plugin(member: Any) -> Plugin | None:
    """The plug-in that an object is, if it is one."""
    if isinstance(member, type):
        declares = issubclass(member, PluginSettings) and member is not PluginSettings
        return _declared(member) if declares else None
    return member if isinstance(member, ROLES) else None


@cache
def _declared(settings: type[PluginSettings]) -> SettingsPlugin:
    """One plug-in for a class, however many modules name it."""
    return SettingsPlugin(settings)
