"""The targets by name, each in the module that has it. They are loaded one by one: some need much."""

import importlib
from typing import Final

from tests.fuzz.target import Target

TARGETS: Final = {
    "cel": "cel",
    "csv": "tables",
    "json": "tables",
    "tables": "tables",
    "markdown": "markdown",
    "paths": "paths",
    "plain_text": "plain_text",
    "pointers": "pointers",
    "urls": "urls",
    "codec": "codec",
    "yaml": "yaml_files",
    "readers": "readers",
    "recorder": "recorder",
    "restore": "restore",
    "workers": "workers",
    "engine": "engine_intake",
    "durations": "command_line",
}


def target_named(name: str) -> Target:
    """The target of that name."""
    module = importlib.import_module(f"tests.fuzz.targets.{TARGETS[name]}")
    found: dict[str, Target] = {one.name: one for one in module.TARGETS}
    return found[name]
