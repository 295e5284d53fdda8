"""The Compose files as the reference parser of the format reads them."""

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools import go_tools

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "compose.yaml"
SECURE = ROOT / "deploy" / "compose.secure.yaml"
PASSWORDS = ROOT / "deploy" / "passwords.sh"
OURS = "kafka-agent-orchestrator"

Service = dict[str, Any]


def composed(file: Path = COMPOSE, *over: Path) -> dict[str, Any]:
    """The model of a file and of those over it, every default, anchor and path resolved. It has to be valid."""
    done = read(file, *over)
    assert done.returncode == 0, done.stderr
    model: dict[str, Any] = json.loads(done.stdout)
    for service in model["services"].values():
        # Where files were merged it is a list.
        if isinstance(environment := service.get("environment"), list):
            service["environment"] = dict(one.split("=", 1) for one in environment)
    return model


def secured(passwords: Mapping[str, str]) -> dict[str, Any]:
    """The model with a user for each service. The parser reads no environment, so variables are filled in here."""
    text = re.sub(
        r"\$\{(KAFKA_PASSWORD_\w+)(:\?[^}]*)?\}",
        lambda found: passwords[found[1]],
        SECURE.read_text(encoding="utf-8"),
    )
    with tempfile.TemporaryDirectory() as folder:
        filled = Path(folder) / SECURE.name
        filled.write_text(text, encoding="utf-8")
        return composed(COMPOSE, filled)


def made_passwords(folder: Path) -> dict[str, str]:
    """The variables that `passwords.sh` makes, beside a copy of itself."""
    script = folder / PASSWORDS.name
    script.write_bytes(PASSWORDS.read_bytes())
    subprocess.run(["sh", script], check=True, timeout=60)
    lines = (folder / ".env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


def at(value: str, ports: Mapping[str, int]) -> str:
    """A setting with its addresses replaced by loopback addresses of this machine."""
    return re.sub(
        rf"(?:kafka|127\.0\.0\.1)?:({'|'.join(ports)})\b", lambda found: f"127.0.0.1:{ports[found[1]]}", value
    )


def broker_properties(service: Service, ports: Mapping[str, int]) -> dict[str, str]:
    """What Kafka's image makes of its environment, with these ports of this machine."""
    return {
        name.removeprefix("KAFKA_").lower().replace("___", "-").replace("_", "."): at(value, ports)
        for name, value in service["environment"].items()
        if name != "KAFKA_LOG_DIRS"
    }


def read(file: Path, *over: Path) -> subprocess.CompletedProcess[str]:
    """The output of the parser. Paths are relative to the file's folder, as for `docker compose -f`."""
    return subprocess.run(
        [go_tools.compose_spec(), "-format", "json", file.name, *over],
        cwd=file.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def ours(model: dict[str, Any]) -> dict[str, Service]:
    """Services of the platform's image."""
    return {name: one for name, one in model["services"].items() if one["image"].startswith(f"{OURS}:")}
