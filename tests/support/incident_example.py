"""The files of the incident example, imported by their path: its folder is no package."""

from pathlib import Path
from types import ModuleType

from orchestrator.sdk.plugins import load_module

FOLDER = Path(__file__).parents[2] / "examples" / "incident_triage"


def load(name: str) -> ModuleType:
    return load_module(str(FOLDER / f"{name}.py"))
