"""`orchestrator dev` ends with one line when one of its servers has ended, whatever it is doing."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.installation import PROGRAM
from tests.support.processes import PATIENCE_S, running

pytestmark = pytest.mark.integration

READY = b"Ready."
SERVICES_RUN = b"Ctrl-C stops everything"


@pytest.mark.parametrize(
    ("options", "line", "server"),
    [
        (("--no-run",), READY, "registry/registry"),
        (("--no-run", "--secure", "--nodes", "3"), READY, "kafka/node-2/kafka-2"),
        ((), SERVICES_RUN, "kafka/node-1/kafka-1"),
    ],
    ids=["registry", "one of three nodes", "kafka, with services"],
)
def test_a_server_that_is_killed_ends_it(
    tmp_path: Path, options: Sequence[str], line: bytes, server: str
) -> None:
    command = [PROGRAM, "dev", "--data", str(tmp_path), *options]
    with running(command, env=_own_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as stack:
        _read_until(stack, line)

        os.kill(int((tmp_path / f"{server}.pid").read_text()), signal.SIGKILL)

        written, _ = stack.communicate(timeout=PATIENCE_S)

    name = Path(server).name
    *_, last = written.decode().splitlines()
    assert last.startswith(f"Error: {name} ended with exit code 137 (SIGKILL); ")
    assert str(tmp_path / f"{server}.log") in last
    assert stack.returncode == 4
    assert not list(tmp_path.rglob("*.pid"))


def _own_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")}


def _read_until(process: "subprocess.Popen[Any]", text: bytes) -> None:
    assert process.stdout is not None
    assert any(text in line for line in process.stdout), f"the process ended before it wrote {text!r}"
