"""Modules that are named by their files."""

import importlib.util
import os
import re
import sys
from hashlib import sha256
from pathlib import Path
from types import ModuleType


def load_file(name: str) -> ModuleType:
    """Runs a Python file as a module of its own, once, however often it is named."""
    path = Path(name).resolve()
    if not path.exists():
        raise FileNotFoundError(f"{name} does not exist")
    own = _name_of(path)
    if own in sys.modules:
        return sys.modules[own]
    spec = importlib.util.spec_from_file_location(own, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{name} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    # Registered before it runs: pydantic, typing and pickle look names up in sys.modules.
    sys.modules[own] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[own]
        raise
    return module


def _name_of(file: Path) -> str:
    """The name of a file's module: the same in every process, and no other module's.

    Under its bare stem, `json.py` would take the place of the standard library's module in the whole process.
    """
    stem = re.sub(r"\W", "_", file.stem)
    return f"orchestrator_plugin_{stem}_{sha256(os.fsencode(file)).hexdigest()[:12]}"
