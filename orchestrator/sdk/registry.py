"""Plug-ins by role and name, for any set of roles."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from orchestrator.errors import ConfigurationError
from orchestrator.sdk.errors import PermanentError


class Plugin(Protocol):
    """What a plug-in of any role has. A role is a class."""

    role: ClassVar[str]
    """The role as errors name it, such as `planner`. No two roles share it."""

    @property
    def name(self) -> str:
        """Unique within the role."""


class Bundle(ABC):
    """One member of a module that stands for several plug-ins, such as a planner and the tools that it needs.

    A base class, not a protocol: a module may import another one that has something called `plugins`.
    """

    @abstractmethod
    def plugins(self) -> Iterable[Plugin]:
        """Its plug-ins. Several modules may name one bundle, so they are the same objects whenever it is asked."""


P = TypeVar("P", bound=Plugin)


class PluginRegistry:
    """Plug-ins by role and name. Iterates role by role, in the order in which they were added."""

    def __init__(self) -> None:
        self._roles: dict[str, dict[str, Any]] = {}

    def __iter__(self) -> Iterator[Plugin]:
        for plugins in self._roles.values():
            yield from plugins.values()

    def add(self, plugin: Plugin) -> None:
        """Adds a plug-in. Raises `ConfigurationError` if another one of its role has the same name."""
        known = self._roles.setdefault(plugin.role, {}).setdefault(plugin.name, plugin)
        if known is not plugin:
            raise ConfigurationError(
                f"two plug-ins of the role {plugin.role} have the name {plugin.name}: rename one of them"
            )

    def by_name(self, role: type[P]) -> Mapping[str, P]:
        """All plug-ins of a role: `by_name(Tool)` has the tools."""
        return self._roles.get(role.role, {})

    def get(self, role: type[P], name: str) -> P:
        """The plug-in of that role and name.

        Raises `PermanentError` with the code `unknown_ROLE` that lists the installed ones.
        """
        plugins = self.by_name(role)
        if name not in plugins:
            installed = ", ".join(sorted(plugins)) or "none"
            raise PermanentError(
                f"{role.role} {name} not found; installed: {installed}",
                code=f"unknown_{role.role.replace(' ', '_')}",
            )
        return plugins[name]
