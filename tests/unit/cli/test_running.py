"""`run` before a process starts, and how signals end it."""

import signal
import subprocess
import sys
import time

import pytest

from tests.unit.cli.conftest import Run

PROCESS = """
import sys, time
from orchestrator.cli.stopping import run_until_stopped

class Process:
    def start(self):
        print("started", flush=True)
        if "slow start" in sys.argv: time.sleep(60)
    def wait(self):
        if "fails" in sys.argv: raise SystemExit(7)
        time.sleep(60)
    def stop(self):
        print("stopping", flush=True)
        time.sleep(float(sys.argv[1]))
        print("stopped", flush=True)

run_until_stopped(Process())
print("ended", flush=True)
"""


def started(*arguments: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", PROCESS, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    time.sleep(0.1)
    return process


def test_an_unknown_name_lists_those_that_are_known(run: Run) -> None:
    ended = run("run", "planer", "orchestrator", "-o", "json")

    assert ended.code == 3
    assert ended.error["message"].startswith("service planer not found; known services: orchestrator, ")
    assert "session-recorder" in ended.error["message"]


def test_a_module_that_cannot_be_loaded_is_named(run: Run) -> None:
    ended = run("run", "all", "--module", "no_such_module")

    assert ended.code == 3
    assert "module no_such_module cannot be loaded" in ended.err


def test_a_mistake_in_an_option_names_the_option(run: Run) -> None:
    assert run("run", "all", "--http-port", "70000").code == 2
    assert run("run", "all", "--slot", "-1").code == 2
    assert run("run").code == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("arguments", [("0",), ("0", "slow start")])
def test_the_first_signal_drains_the_process(number: signal.Signals, arguments: tuple[str, ...]) -> None:
    process = started(*arguments)
    process.send_signal(number)

    out, _ = process.communicate(timeout=10)

    assert out == "stopping\nstopped\nended\n"
    assert process.returncode == 0


def test_the_second_signal_ends_at_once() -> None:
    process = started("30")
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.readline() == "stopping\n"
    process.send_signal(signal.SIGINT)

    out, _ = process.communicate(timeout=10)

    assert out == ""
    assert process.returncode == 130


def test_a_process_that_fails_is_stopped_too() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROCESS, "0", "fails"], capture_output=True, text=True, check=False
    )

    assert ended.stdout == "started\nstopping\nstopped\n"
    assert ended.returncode == 7


def test_a_local_kafka_has_one_node_or_three(run: Run) -> None:
    ended = run("dev", "--nodes", "2")

    assert ended.code == 3
    assert "1 or 3 nodes" in ended.err
