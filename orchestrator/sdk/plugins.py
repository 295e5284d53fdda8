"""Plug-ins, found by entry point or by module."""

import importlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache, partial
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, Final, Protocol, Self, runtime_checkable

from orchestrator.errors import ConfigurationError
from orchestrator.sdk.declarations import Refused, collecting
from orchestrator.sdk.failures import described
from orchestrator.sdk.module_files import load_file
from orchestrator.sdk.registry import Bundle, Plugin, PluginRegistry
from orchestrator.sdk.roles import ROLES
from orchestrator.sdk.service import Service
from orchestrator.sdk.settings import VARIABLES, PluginSettings, SettingsPlugin, settings_problems

ENTRY_POINT_GROUP: Final = "orchestrator.plugins"


@runtime_checkable
class Served(Protocol):
    """A plug-in that handles messages in a consumer group of its own."""

    def service(self) -> Service: ...


class Plugins(PluginRegistry):
    """The plug-ins of one process, by role and name."""

    @classmethod
    def of(cls, *sources: ModuleType | Plugin | Bundle | type[PluginSettings]) -> Self:
        """The plug-ins of these modules and objects. Raises `ConfigurationError` with everything that `add` refuses,
        and with what is no plug-in."""
        found = cls()
        problems: list[str] = []
        for source in sources:
            if isinstance(source, ModuleType):
                for member in _members(source):
                    problems += found.adopt(member)
            elif _stands_for_plugins(source):
                problems += found.adopt(source)
            else:
                problems.append(f"{source!r} is neither a module nor a plug-in")
        if problems:
            raise ConfigurationError(*problems)
        return found

    def every_service(self) -> dict[str, Service]:
        """Everything with a consumer group, by name: services, reviewers and subscribers.

        Raises `ConfigurationError` if some of them share a name, or cannot be.
        """
        found: dict[str, Service] = {}
        problems: list[str] = []
        for plugin in self:
            if isinstance(plugin, Served):
                try:
                    service = plugin.service()
                except ConfigurationError as error:
                    problems += error.problems
                    continue
                if service.name in found:
                    problems.append(f"two services have the name {service.name}: rename the group of one")
                found[service.name] = service
        if problems:
            raise ConfigurationError(*problems)
        return found

    def adopt(self, member: Any) -> list[str]:
        """Adds the plug-ins that a member of a module stands for. Returns what is wrong with them."""
        problems: list[str] = []
        try:
            for plugin in _plugins(member):
                try:
                    self.add(plugin)
                except ConfigurationError as error:
                    problems += error.problems
        except ConfigurationError as error:
            problems += error.problems
        return problems


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
    """The plug-ins that can be loaded, and every problem: what cannot be loaded, every mistake of the modules'
    declarations, names that are used twice, services without handlers, and mistakes in the plug-ins' settings."""
    plugins = Plugins()
    problems: list[str] = []
    for what, load in _sources(modules):
        source, found = _loaded(load)
        for member in _members(source):
            try:
                found += (f": {problem}" for problem in plugins.adopt(member))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - a plug-in may raise anything
                found.append(f" cannot be loaded: {_in_one_line(error)}")
        problems += (f"{what}{problem}" for problem in found)
    problems += (
        f"service {service.name} has no handler: declare one with its method `on`, or remove the service"
        for service in plugins.by_name(Service).values()
        if not service.handlers
    )
    declared = [plugin.declared for plugin in plugins.by_name(SettingsPlugin).values()]
    problems += settings_problems(declared, os.environ, platform_variables)
    return plugins, problems


def _loaded(load: Callable[[], Any]) -> tuple[Any, list[str]]:
    """A source of plug-ins, None if it cannot be loaded, and what is wrong with it.

    A module with a wrong declaration is read to its end, so that its others are known too, and is not kept.
    """
    source, stopped = None, []
    with collecting() as mistakes:
        try:
            source = load()
        except ConfigurationError as error:
            stopped = [f": {problem}" for problem in error.problems]
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a plug-in may raise anything
            # It may have stumbled over what a wrong declaration did not make.
            further = " further" if mistakes.problems else ""
            stopped = [f" cannot be loaded{further}: {_in_one_line(error)}"]
    mistakes.forget_modules()
    return source, [*(f": {problem}" for problem in mistakes.problems), *stopped]


def _in_one_line(error: BaseException) -> str:
    return " ".join(described(error).split())


def _sources(modules: Iterable[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each source of plug-ins: what errors call it, and what loads it."""
    for entry_point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda found: found.name):
        yield f"plug-in {entry_point.name} ({entry_point.value})", entry_point.load
    for name in modules:
        yield f"module {name}", partial(load_module, name)


def load_module(name: str) -> ModuleType:
    """Imports a module by its name, or by the path of its file. A file is run once, however often it is named."""
    return load_file(name) if name.endswith(".py") else importlib.import_module(name)


def _members(source: Any) -> Iterable[Any]:
    """What a source of plug-ins has: the members of a module, or the source itself."""
    if isinstance(source, ModuleType):
        return [member for _, member in sorted(vars(source).items(), key=lambda named: str(named[0]))]
    return () if source is None else (source,)


def _stands_for_plugins(member: Any) -> bool:
    return isinstance(member, Bundle) or _plugin(member) is not None


def _plugins(member: Any) -> Iterable[Plugin]:
    """The plug-ins that a member of a module stands for; none if it is neither a plug-in nor a bundle."""
    if isinstance(member, Bundle):
        return _bundled(member)
    return () if (plugin := _plugin(member)) is None else (plugin,)


def _bundled(bundle: Bundle) -> Iterator[Plugin]:
    """The plug-ins of a bundle. Raises `ConfigurationError`, behind them, for what is none."""
    others = []
    for member in bundle.plugins():
        if (plugin := _plugin(member)) is not None:
            yield plugin
        elif not isinstance(member, Refused):
            others.append(f"{bundle!r} has {member!r}, which is not a plug-in: remove it")
    if others:
        raise ConfigurationError(*others)


def _plugin(member: Any) -> Plugin | None:
    """The plug-in that an object is, if it is one."""
    if isinstance(member, type):
        # Without a prefix it is the class that others derive from, or one whose own was refused.
        declares = issubclass(member, PluginSettings) and member.variable_prefix != VARIABLES
        return _declared(member) if declares else None
    return member if isinstance(member, ROLES) else None


@cache
def _declared(settings: type[PluginSettings]) -> SettingsPlugin:
    """One plug-in for a class, however many modules name it."""
    return SettingsPlugin(settings)
