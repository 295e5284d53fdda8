"""The Compose file as the reference parser of the format reads it."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tools import go_tools

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "compose.yaml"
OURS = "kafka-agent-orchestrator"

Service = dict[str, Any]


def composed(file: Path = COMPOSE) -> dict[str, Any]:
    """The file's model, every default, anchor and path resolved. It has to be valid."""
    done = read(file)
    assert done.returncode == 0, done.stderr
    model: dict[str, Any] = json.loads(done.stdout)
    return model


def read(file: Path) -> subprocess.CompletedProcess[str]:
    """The output of the parser. Paths are relative to the file's folder, as for `docker compose -f`."""
    return subprocess.run(
        [go_tools.compose_spec(), "-format", "json", file.name],
        cwd=file.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def ours(model: dict[str, Any]) -> dict[str, Service]:
    """Services of the platform's image."""
    return {name: one for name, one in model["services"].items() if one["image"].startswith(f"{OURS}:")}
