"""Runs the same loop in LangGraph, in an environment of its own that `make bench-conversation` makes."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

from tests.support.postgres_server import postgres_server

ROOT: Final = Path(__file__).resolve().parents[2]
PYTHON: Final = ROOT / ".cache" / "peers" / "langgraph" / "bin" / "python"
_TIMEOUT_S: Final = 900.0


def figures_of_langgraph(turns: int, warm_up: int, rounds: int, compared: int) -> dict[str, Any] | None:
    """Bytes and times with its SQLite and its PostgreSQL saver; None where LangGraph is not installed."""
    if not PYTHON.exists():
        return None
    arguments = [str(turns), str(warm_up), str(rounds), str(compared)]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, postgres_server() as server:
        url = server.replace("postgresql+psycopg:", "postgresql:") + "/postgres"
        return {
            "sqlite": _run(*arguments, str(Path(folder) / "checkpoints.sqlite")),
            "postgres": _run(*arguments, url),
        }


def _run(*arguments: str) -> Any:
    done = subprocess.run(  # noqa: S603 - our own module
        [PYTHON, "-m", "benchmarks.conversation.langgraph_loop", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the loop in LangGraph failed: {done.stderr}")
    return json.loads(done.stdout)
