"""Imports the files of the incident example by their path: its folder is no package."""

import importlib.util
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[2] / "examples" / "incident_triage"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"incident_triage_{name}", FOLDER / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
