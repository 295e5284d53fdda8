"""On a real Kafka: whatever handlers raise, their offsets are committed, and a restart does not run them again."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from uuid import uuid4

import pytest

from orchestrator.local import StackAddress
from orchestrator.messages.catalogue import Topic
from tests.support.failing_process import FAILING
from tests.support.installation import Installation
from tests.support.processes import PATIENCE_S
from tests.support.workers import Lab, number_of, until

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


def test_nothing_that_a_handler_raised_runs_again_after_a_kill(
    kafka_stack: StackAddress, tmp_path: Path
) -> None:
    lab = Lab.on(kafka_stack.bootstrap_servers, partitions=1)
    journals = [tmp_path / "first", tmp_path / "second"]
    arguments = (kafka_stack.bootstrap_servers, lab.settings.topic_prefix)

    for life, journal in enumerate(journals):
        command = [sys.executable, "-m", "tests.support.failing_process", *arguments, str(journal)]
        process = subprocess.Popen(command, cwd=ROOT)
        try:
            lab.execute(*range(100 * life, 100 * life + 40))
            end = 40 * (life + 1)
            until(lambda end=end: _committed(lab) == (end, ""), "all are committed", PATIENCE_S)  # type: ignore[misc]
        finally:
            process.kill()
            process.wait()

    assert Counter(journals[0].read_text().split()) == Counter(map(str, range(40)))
    assert Counter(journals[1].read_text().split()) == Counter(map(str, range(100, 140)))
    assert lab.completed() == [*range(FAILING, 40), *range(100 + FAILING, 140)]
    assert _dead_lettered(lab) == [*range(FAILING), *range(100, 100 + FAILING)]


def _committed(lab: Lab) -> tuple[int, str] | None:
    return lab.committed("echo").get((Topic.EXECUTE_COMMANDS, 0))


def _dead_lettered(lab: Lab) -> list[int]:
    numbers = {
        record.offset: number_of(lab.codec.decode(record)) for record in lab.read(Topic.EXECUTE_COMMANDS)
    }
    return sorted(numbers[letter.original.offset] for letter in lab.messages(Topic.DEAD_LETTERS))


BROKEN = """\
import asyncio

from orchestrator.sdk import Event, subscriber, tool


class Panic(BaseException):
    pass


@tool(timeout="20s")
async def panics() -> None:
    raise Panic("native code")


@tool(timeout="20s")
async def breaks() -> None:
    asyncio.get_running_loop()._run_once = None


@subscriber("TaskReceived", group="watcher")
async def watch(event: Event) -> None:
    raise ValueError("half \\ud800")
"""
AGENTS = """\
agent: panicking
planner: playbook
playbook: panicking
---
playbook: panicking
steps: {only: {tool: panics}}
---
agent: breaking
planner: playbook
playbook: breaking
---
playbook: breaking
steps: {only: {tool: breaks}}
"""
OTHERS = ("planner", "tool-selector", "evaluator", "recovery")


@pytest.fixture
def installation(kafka_stack: StackAddress, tmp_path: Path) -> Installation:
    tmp_path.joinpath("broken.py").write_text(BROKEN)
    tmp_path.joinpath("agents").mkdir()
    tmp_path.joinpath("agents/agents.yaml").write_text(AGENTS)
    made = Installation(kafka_stack, f"broken-{uuid4().hex[:8]}.", tmp_path)
    made.apply(tmp_path / "agents")
    return made


def test_a_session_learns_of_a_panic_and_a_process_whose_handlers_ended_says_so(
    installation: Installation,
) -> None:
    module = ("--module", str(installation.folder / "broken.py"), "--drain", "1s")
    executor = installation.start("tool-executor", "watcher", *module)
    try:
        installation.wait_ready("tool-executor", executor)
        with installation.processes(("orchestrator",), (*OTHERS, *module)):
            ended = installation.run("submit", "x", "--agent", "panicking", "--wait", "-o", "json")
            assert "native code" in ended.stdout + ended.stderr

            def letters() -> list[object]:
                found: list[object] = installation.json("dlq", "list", "--service", "watcher")
                return found

            until(lambda: len(letters()) == 1, "the subscriber's dead letter is there", PATIENCE_S)

            installation.json("submit", "x", "--agent", "breaking")

            assert executor.wait(PATIENCE_S) == 1
            assert "so no handler of this process can run" in installation.log("tool-executor").read_text()
    finally:
        executor.kill()
        executor.wait()
