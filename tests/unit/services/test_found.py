"""Everything that the services package declares is found: by an entry point, from its package."""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import orchestrator_services

from orchestrator.sdk import Plugins, discover
from orchestrator.sdk.registry import Plugin


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(orchestrator_services.__path__, "orchestrator_services."):
        yield importlib.import_module(found.name)


def test_every_declared_plug_in_is_found() -> None:
    found: list[Plugin] = list(discover())

    for module in modules():
        lost = [plugin.name for plugin in Plugins.of(module) if plugin not in found]
        assert not lost, (
            f"{module.__name__} declares {lost}: import them in their package's __init__.py, and name the package "
            "under orchestrator.plugins in services/pyproject.toml"
        )
