"""The files of the research desk, imported by their path: its folder is no package."""

from pathlib import Path
from types import ModuleType

from orchestrator.sdk.plugins import load_module

FOLDER = Path(__file__).parents[2] / "examples" / "research_desk"
DATA = FOLDER / "data"


def load() -> ModuleType:
    return load_module(str(FOLDER / "desk.py"))
