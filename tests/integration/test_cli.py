"""The program against a real Kafka and registry: setting up an installation, inspecting it, stopping it."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from orchestrator.bus.deadline import Deadline
from orchestrator.local import StackAddress
from orchestrator.messages.catalogue import CATALOGUE, TOPICS
from tests.support.installation import PROGRAM, Installation
from tests.support.processes import PATIENCE_S, running
from tests.support.workers import until

pytestmark = pytest.mark.integration

TOOLS = """\
import asyncio
from pathlib import Path

from orchestrator.sdk import Context, tool


@tool(capability="tea", timeout="60s")
async def kettle(cups: int, context: Context) -> dict[str, int]:
    if cups > 2:
        Path(__file__).with_name("boiling").touch()
        await asyncio.sleep(30)
    return {"cups": cups}
"""
AGENTS = """\
agent: cook
planner: playbook
playbook: tea
---
playbook: tea
inputs: {cups: {type: integer, default: 2}}
steps:
  boil: {tool: kettle, arguments: {cups: "${cups}"}}
result: {$from: boil, at: /cups}
"""


@pytest.fixture(scope="module")
def empty(kafka_stack: StackAddress, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Addresses and a prefix, without topics and schemas."""
    return Installation(kafka_stack, f"cli-{uuid4().hex[:8]}.", tmp_path_factory.mktemp("empty"))


@pytest.fixture(scope="module")
def kitchen(kafka_stack: StackAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Everything runs, as two processes, with a tool and an agent of its own."""
    folder = tmp_path_factory.mktemp("kitchen")
    folder.joinpath("kettle.py").write_text(TOOLS)
    folder.joinpath("agents").mkdir()
    folder.joinpath("agents/cook.yaml").write_text(AGENTS)
    made = Installation(kafka_stack, f"cli-{uuid4().hex[:8]}.", folder)
    made.apply(folder / "agents")
    services = ("planner", "tool-selector", "tool-executor", "evaluator", "recovery", "session-recorder")
    module = ("--module", str(folder / "kettle.py"), "--drain", "2s")
    with made.processes(("orchestrator",), (*services, *module)):
        yield made


def test_an_installation_is_set_up_step_by_step(empty: Installation) -> None:
    """Each step names the next one; repeating a step changes nothing."""
    submitted = empty.run("submit", "make tea")
    assert submitted.returncode == 3
    assert "run `orchestrator topics apply`" in submitted.stderr

    assert empty.run("topics", "plan", "--check").returncode == 1
    assert len(empty.json("topics", "plan")) == len(TOPICS)
    assert all(topic["changed"] for topic in empty.json("topics", "apply"))
    assert not any(topic["changed"] for topic in empty.json("topics", "apply"))

    submitted = empty.run("submit", "make tea")
    assert submitted.returncode == 3
    assert "run `orchestrator schemas apply`" in submitted.stderr

    checked = empty.run("schemas", "check")
    assert checked.returncode == 1
    assert "`orchestrator schemas apply` registers what is missing" in checked.stdout
    assert [one["outcome"] for one in empty.json("schemas", "apply")] == ["registered"] * len(CATALOGUE)
    assert [one["outcome"] for one in empty.json("schemas", "apply")] == ["there already"] * len(CATALOGUE)
    assert empty.run("schemas", "check").returncode == 0

    assert empty.run("submit", "make tea").returncode == 0


def test_partitions_that_cannot_be_changed_are_refused(empty: Installation) -> None:
    assert empty.run("topics", "apply").returncode == 0
    more = {**empty.environment, "ORCHESTRATOR_PARTITIONS": "5"}
    other = Installation(empty.address, empty.prefix, empty.folder, more)

    applied = other.run("topics", "apply")

    assert applied.returncode == 3
    assert "has 4 partitions, the settings say 5" in applied.stderr
    assert "has 4 partitions" in other.run("topics", "plan").stdout


def test_what_is_defined_and_announced_is_listed(kitchen: Installation) -> None:
    assert [tool["name"] for tool in kitchen.json("tools", "list")].count("kettle") == 1
    listed = kitchen.json("agents", "list")
    assert [agent["name"] for agent in listed["agents"]] == ["cook"]
    assert [playbook["name"] for playbook in listed["playbooks"]] == ["tea"]


def test_a_task_is_waited_for_and_its_context_reaches_the_tool(kitchen: Installation) -> None:
    done = kitchen.run(
        "submit", "make tea", "--agent", "cook", "--context", "-", "--wait", stdin='{"cups": 1}'
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_a_person_at_a_terminal_sees_what_happens(kitchen: Installation) -> None:
    """With stderr on a terminal, events are shown there and stdout has only the result."""
    leader, follower = pty.openpty()
    with os.fdopen(leader, "rb", buffering=0) as terminal:
        command = [PROGRAM, "submit", "make tea", "--agent", "cook", "--wait"]
        with running(command, env=kitchen.environment, stdout=subprocess.PIPE, stderr=follower) as submitting:
            os.close(follower)
            shown = _all_of(terminal.fileno())
            assert submitting.stdout is not None
            assert submitting.stdout.read() == b"2\n"

    assert "TaskReceived" in shown
    assert "TaskCompleted" in shown


def test_the_list_follows_what_is_done(kitchen: Installation) -> None:
    submitted = kitchen.json(
        "submit", "make tea for the list", "--agent", "cook", "--tenant", "list", "--wait"
    )

    def rows() -> list[dict[str, object]]:
        found: list[dict[str, object]] = kitchen.json("sessions", "list", "--tenant", "list")
        return found

    until(lambda: [row["phase"] for row in rows()] == ["completed"], "the list has its end", PATIENCE_S)
    assert [row["correlation_id"] for row in rows()] == [submitted["correlation_id"]]
    shown = kitchen.json("sessions", "show", str(submitted["correlation_id"])[:18])
    assert shown["steps"] == [{"id": "boil", "tool": "kettle", "status": "succeeded", "attempts": 1}]


def test_a_refused_task_says_why(kitchen: Installation) -> None:
    done = kitchen.run("submit", "make tea", "--agent", "nobody", "--wait", "-o", "json")

    assert done.returncode == 1
    assert json.loads(done.stdout)["phase"] == "refused"
    assert json.loads(done.stderr)["error"]["failure"]["code"] == "unknown_agent"


def test_a_running_session_is_watched_and_cancelled(kitchen: Installation) -> None:
    session = kitchen.json("submit", "much tea", "--agent", "cook", "--context", _cups(kitchen, 9))[
        "correlation_id"
    ]
    boiling = kitchen.folder / "boiling"
    _wait_for(boiling)
    with running(
        [PROGRAM, "sessions", "watch", session, "-o", "json"], env=kitchen.environment, stdout=subprocess.PIPE
    ) as watching:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["correlation_id"] == session
        assert kitchen.run("cancel", session, "--reason", "no cups left").returncode == 0
        types = [json.loads(line)["type"] for line in watching.stdout]

    assert watching.returncode == 0
    assert "TaskCancelled" in types
    again = kitchen.run("cancel", session)
    assert again.returncode == 1
    assert "has already ended (cancelled)" in again.stderr


def test_interrupting_a_wait_leaves_the_session_running(kitchen: Installation) -> None:
    command = [
        PROGRAM,
        "submit",
        "much tea",
        "--agent",
        "cook",
        "--context",
        _cups(kitchen, 9),
        "--wait",
        "--progress",
    ]
    with running(command, env=kitchen.environment, stderr=subprocess.PIPE, text=True) as submitting:
        assert submitting.stderr is not None
        session = submitting.stderr.readline().split()[1]
        assert any("StepAssigned" in line for line in submitting.stderr)
        submitting.send_signal(signal.SIGINT)
        said = submitting.stderr.read()

    assert submitting.returncode == 130
    assert f"session {session} continues" in said
    assert "Traceback" not in said
    assert kitchen.run("cancel", session).returncode == 0


def test_everything_is_watched_until_interrupted(kitchen: Installation, tmp_path: Path) -> None:
    shown = tmp_path / "shown.jsonl"

    def sessions() -> set[str]:
        lines = shown.read_text().splitlines(keepends=True)
        return {json.loads(line)["correlation_id"] for line in lines if line.endswith("\n")}

    with (
        shown.open("w") as output,
        running(
            [PROGRAM, "sessions", "watch", "-o", "json"], env=kitchen.environment, stdout=output
        ) as watching,
    ):
        # It shows what is written from its start on, and does not say when that is.
        submitted: set[str] = set()
        deadline = Deadline.after(PATIENCE_S)
        while not submitted & sessions():
            assert not deadline.passed
            submitted.add(kitchen.json("submit", "make tea", "--agent", "cook", "--wait")["correlation_id"])
        watching.send_signal(signal.SIGINT)

    assert watching.returncode == 130


def test_what_no_service_can_read_is_found_among_the_dead_letters(kitchen: Installation) -> None:
    value = b"\x00\x01 this is no task \xff"
    producer = Producer({"bootstrap.servers": kitchen.address.bootstrap_servers})
    producer.produce(f"{kitchen.prefix}tasks", key=b"stranger", value=value)
    assert producer.flush(30) == 0

    def letters() -> list[dict[str, str]]:
        found: list[dict[str, str]] = kitchen.json("dlq", "list", "--stage", "decode")
        return found

    until(lambda: bool(letters()), "there is a dead letter", PATIENCE_S)
    [first] = letters()
    letter = kitchen.json("dlq", "show", first["id"])
    assert letter["service"] == "orchestrator"
    assert letter["topic"] == "tasks"
    assert letter["value"] == {"form": "hex", "schema": "", "content": value.hex(" "), "size": len(value)}
    assert kitchen.run("dlq", "show", first["id"], "--raw", str(kitchen.folder / "value")).returncode == 0
    assert (kitchen.folder / "value").read_bytes() == value


def test_a_process_drains_and_ends_on_a_signal(kitchen: Installation) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        process = kitchen.start("cost-tracker")
        kitchen.wait_ready("cost-tracker", process)

        process.send_signal(number)

        assert process.wait(PATIENCE_S) == 0
        kitchen.log("cost-tracker").unlink()


def test_a_local_stack_with_all_services_starts_and_ends(tmp_path: Path) -> None:
    """`dev`: what it prints is enough to use it, and Ctrl-C leaves nothing behind."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")}
    command = [PROGRAM, "dev", "--data", "data", "--no-run", "-o", "json"]
    with running(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE) as stack:
        assert stack.stdout is not None
        exported = json.loads(stack.stdout.readline())["environment"]
        check = subprocess.run(
            [PROGRAM, "topics", "plan", "--check"],
            env=environment | exported,
            capture_output=True,
            check=False,
        )
        stack.send_signal(signal.SIGINT)
        assert stack.wait(PATIENCE_S) == 0

    assert check.returncode == 0
    gone = subprocess.run(
        [PROGRAM, "topics", "plan"], env=environment | exported, capture_output=True, check=False
    )
    assert gone.returncode == 4


def test_a_secure_local_stack_lets_clients_in_and_no_strangers(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")}
    command = [PROGRAM, "dev", "--secure", "--data", "data", "--no-run", "-o", "json"]
    submit = [PROGRAM, "submit", "make tea", "--connect-timeout", "20s"]
    with running(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE) as stack:
        assert stack.stdout is not None
        printed = stack.stdout.readline()
        shown = json.loads(printed)
        secret = {name: Path(path).read_text() for name, path in shown["secret_files"].items()}
        as_client, as_stranger = (
            subprocess.run(
                submit, env=environment | shown["environment"] | own, capture_output=True, check=False
            )
            for own in (secret, secret | {"ORCHESTRATOR_KAFKA_SASL_PASSWORD": "guessed"})
        )
        stack.send_signal(signal.SIGINT)
        assert stack.wait(PATIENCE_S) == 0

    assert not any(value.encode() in printed for value in secret.values())
    assert {Path(path).stat().st_mode & 0o777 for path in shown["secret_files"].values()} == {0o600}
    # Nobody else on this machine reads what sessions contain.
    data = tmp_path / "data"
    assert data.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in data.iterdir() if path.stat().st_mode & 0o077} == set()
    assert as_client.returncode == 0, as_client.stderr
    assert as_stranger.returncode in (3, 4), as_stranger.stderr


def _cups(kitchen: Installation, cups: int) -> str:
    path = kitchen.folder / "context.json"
    path.write_text(json.dumps({"cups": cups}))
    return str(path)


def _wait_for(path: Path) -> None:
    until(path.exists, f"{path.name} exists", PATIENCE_S)


def _all_of(terminal: int) -> str:
    """Everything written to a terminal whose other end is closed."""
    read = b""
    while True:
        try:
            part = os.read(terminal, 65_536)
        except OSError:
            return read.decode()
        if not part:
            return read.decode()
        read += part
