"""Secrets in files that only their owner reads."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

_OWNER: Final = 0o600


def kept_secret(path: Path, make: Callable[[], str]) -> str:
    """The secret in a file, made when it is first asked for."""
    if not path.exists():
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _OWNER), "w") as file:
            file.write(make())
    return path.read_text()
