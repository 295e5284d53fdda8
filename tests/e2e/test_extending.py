"""The examples in `docs/extending.md` run unchanged, from modules outside the project."""

import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.testing.cassettes import RECORD
from tests.support.model_server import Call, ModelServer, Reply, Request, Say

DOCUMENT = Path(__file__).parents[2] / "docs" / "extending.md"
MOST_LINES = 20
RECORDED = "test_recorded.py"


def clerk(request: Request) -> Reply:
    """The model of the examples that are recorded."""
    if request.tools and request.turn == 0:
        return Call("stock_level", {"item": "pear"})
    return Say("Apples keep longest.")


SCRIPTS = {"gpt-5-mini": clerk}


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


def run(package: Path, tests: str, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests],
        cwd=package,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_examples_run(package: Path) -> None:
    """What they record is recorded of a server that is gone when all run."""
    with ModelServer("tests.e2e.test_extending") as server:
        run(package, RECORDED, {**server.environment, RECORD: "1"})

    run(package, ".", {"OPENAI_BASE_URL": server.url})


def test_each_example_is_short() -> None:
    for name, text in blocks():
        lines = [line for line in text.splitlines() if line.strip()]
        assert len(lines) <= MOST_LINES, f"{name}: {text}"
