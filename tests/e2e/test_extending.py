"""The examples in `docs/extending.md` run unchanged, from modules outside the project."""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "extending.md"
MOST_LINES = 20


def blocks() -> list[tuple[str, str]]:
    """File name and text of each Python block that starts with a file name."""
    found = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found
    return found


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the blocks add up to."""
    folder = tmp_path_factory.mktemp("acme")
    files: dict[str, str] = defaultdict(str)
    for name, text in blocks():
        files[name] += text
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    return folder


def test_the_examples_run(package: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=package,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_example_is_short() -> None:
    for name, text in blocks():
        lines = [line for line in text.splitlines() if line.strip()]
        assert len(lines) <= MOST_LINES, f"{name}: {text}"
