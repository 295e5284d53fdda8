"""Secrets in files that only their owner reads."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from orchestrator.local.whole_files import write_whole

_OWNER: Final = 0o600


def kept_secret(path: Path, make: Callable[[], str]) -> str:
    """The secret in a file, made when it is first asked for."""
    if not path.exists():
        write_whole(path, make(), _OWNER)
    return path.read_text()
