"""The scripts that ask the saga for its documentation."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

sys.path.append(str(ROOT / "scripts"))
table: Any = import_module("saga_table")
diagram: Any = import_module("saga_diagram")
