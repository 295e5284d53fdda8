"""A copy of the project in which something is added, place by place, and its checks run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_COPIED = ("avro-schemas", "docs", "examples", "helm", "orchestrator", "scripts", "services", "tests")
_FILES = ("pyproject.toml", "CONTRIBUTING.md", "README.md")


class Scratch:
    """The project in a folder of its own. Its code is imported instead of the installed one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in _COPIED:
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in _FILES:
            shutil.copy(ROOT / name, folder / name)

    def read(self, file: str) -> str | None:
        path = self.folder / file
        return path.read_text(encoding="utf-8") if path.exists() else None

    def write(self, file: str, text: str | None) -> None:
        """Replaces a file's text; None removes it."""
        path = self.folder / file
        if text is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(text, encoding="utf-8")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a program of ours, or a module with `-m`."""
        paths = os.pathsep.join(str(self.folder / name) for name in ("", "services", "scripts"))
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
        )

    def passes(self, *checks: str) -> bool:
        """Whether these tests pass. Raises `AssertionError` if there are no such tests."""
        done = self.run("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *checks)
        assert done.returncode in (0, 1, 2), done.stdout + done.stderr
        return done.returncode == 0
