"""Naming a function so that another process finds it."""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from orchestrator.errors import ConfigurationError
from orchestrator.sdk.module_files import load_file


@dataclass(frozen=True)
class Target:
    """A function at the top of a module: other processes import the module, by its name or from its file."""

    module: str
    name: str
    file: str = ""

    @classmethod
    def of(cls, function: Callable[..., Any]) -> "Target":
        """Raises `ConfigurationError` for a function that only this process can have."""
        name = getattr(function, "__qualname__", "")
        module = getattr(function, "__module__", "")
        if not name or not module or "<" in name:
            raise ConfigurationError(
                f"{name or function!r} cannot run in a process of its own: declare it with `def` at the top of a "
                "module, where another process finds it by its name"
            )
        return cls(module, name, getattr(sys.modules.get(module), "__file__", None) or "")

    @property
    def package(self) -> str:
        """What is imported together: the same template serves it."""
        return self.module.partition(".")[0]

    def load_module(self) -> Any:
        """Imports the module. Raises whatever its code raises."""
        if self.module in sys.modules and self.module != "__main__":
            return sys.modules[self.module]
        try:
            return importlib.import_module(self.module)
        except ModuleNotFoundError as error:
            if error.name != self.module.partition(".")[0] or not self.file.endswith(".py"):
                raise
        return load_file(self.file)

    def load(self) -> Any:
        """The object of that name in the module."""
        return attrgetter(self.name)(self.load_module())
