"""A newer version of the platform: this one with another field in messages that both versions exchange."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).parents[2]
_PARTS: Final = ("orchestrator", "services", "avro-schemas", "scripts", "pyproject.toml")
CHANGED: Final = ("commands/ExecuteTool", "events/ToolCompleted", "events/StepSucceeded")
"""One between services, one from a service to the orchestrator, and one of the history, which all read."""
ADDED: Final[dict[str, Any]] = {
    "name": "added_later",
    "type": "string",
    "default": "",
    "doc": "A field of a newer version.",
}


@dataclass(frozen=True)
class NewerVersion:
    """A copy of the code in `folder`, with models generated from its own schemas."""

    folder: Path

    @classmethod
    def made_in(cls, folder: Path) -> "NewerVersion":
        for name in _PARTS:
            source = _ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / name)
        for name in CHANGED:
            path = folder / "avro-schemas" / f"{name}.avsc"
            schema = json.loads(path.read_text(encoding="utf-8"))
            schema["fields"].append(ADDED)
            path.write_text(json.dumps(schema, indent=2), encoding="utf-8")
        subprocess.run([sys.executable, "scripts/generate_models.py"], cwd=folder, check=True)
        return cls(folder)

    @property
    def program(self) -> tuple[str, ...]:
        """The command `orchestrator` of this version. `-P` because the working folder is the old version's."""
        return (sys.executable, "-P", "-c", "from orchestrator.cli.main import app; app()")

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": f"{self.folder}:{self.folder / 'services'}"}
