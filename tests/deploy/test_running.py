"""The rendered chart, executed: its jobs and every container of it, on a real Kafka and registry."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from confluent_kafka.admin import AdminClient

from orchestrator.app.demo import TRIAGE, prepare
from orchestrator.app.process import ORCHESTRATOR
from orchestrator.local import StackAddress
from orchestrator.sdk import discover
from tests.deploy.charts import Helm, Object
from tests.deploy.kubelet import PROGRAM, Node, Running
from tests.support.incident_example import FOLDER
from tests.support.incident_figures import expected_findings, finding_lines
from tests.support.workers import until

SLOTS = 2
COMPLETED_S = 60.0
TEA = """\
agent: tea
planner: playbook
playbook: tea
---
playbook: tea
steps:
  steep: {tool: tea.steep, timeout: 60s}
result: {$from: steep}
"""
STEEP = """\
import asyncio
from pathlib import Path

from orchestrator.sdk import tool

DATA = Path("/data")


@tool("tea.steep", timeout="60s")
async def steep() -> str:
    DATA.joinpath("begun").touch()
    await asyncio.sleep(2)
    with DATA.joinpath("ended").open("a") as file:
        file.write("once")
    return "tea"
"""


@dataclass(frozen=True)
class Release:
    """An installed chart: its objects, the node that runs them, and the running pods."""

    objects: list[Object]
    node: Node
    running: dict[str, Running]
    data: Path

    def program(self, *arguments: str) -> Any:
        """The JSON that the program prints in the recorder's pod, where the notes say to run it."""
        done = subprocess.run(
            [PROGRAM, *arguments, "--output", "json"],
            env=self.running["session-recorder-0"].environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def release(
    kafka_stack: StackAddress, helm4: Helm, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Release]:
    """The example as a release of its own: hooks in their order, then pods, then later hooks."""
    folder = tmp_path_factory.mktemp("release")
    values = folder / "values.yaml"
    prepare(TRIAGE, folder / "data")
    values.write_text(yaml.safe_dump(_values(kafka_stack, folder / "data")))
    objects = helm4.objects(values)
    node = Node(folder, objects)
    _run_hooks(node, "pre-install")
    with node.running(_pods(objects)) as running:
        _run_hooks(node, "post-install")
        yield Release(objects, node, running, folder / "data")


def test_every_probe_answers(release: Release) -> None:
    assert len(release.running) == SLOTS + 9
    for one in release.running.values():
        assert (one.answer("/healthz"), one.answer("/readyz"), one.answer("/metrics")) == (200, 200, 200)


def test_the_example_completes(release: Release) -> None:
    done = release.program("submit", TRIAGE.goal, "--agent", "triage", "--wait", "--timeout", "100s")
    reported = done["result"].splitlines()
    for expected in finding_lines(expected_findings(release.data)):
        assert any(line.startswith(expected) for line in reported), expected


def test_consumer_groups_carry_the_prefix(release: Release, kafka_stack: StackAddress) -> None:
    admin = AdminClient({"bootstrap.servers": kafka_stack.bootstrap_servers})
    listed = admin.list_consumer_groups().result(timeout=30)
    groups = {group.group_id for group in listed.valid}
    # Sinks store their own positions.
    named = {ORCHESTRATOR, *discover().every_service()}
    prefix = release.running["orchestrator-0"].environment["ORCHESTRATOR_TOPIC_PREFIX"]
    assert {f"{prefix}{name}" for name in named} <= groups
    assert not named & groups


def test_slots_are_the_ordinals_of_their_pods(release: Release) -> None:
    slots = [release.running[f"orchestrator-{ordinal}"] for ordinal in range(SLOTS)]
    assert [slot.environment["ORCHESTRATOR_SLOT"] for slot in slots] == ["0", "1"]


def test_the_test_of_the_release_passes(release: Release) -> None:
    (test,) = [one for one in release.objects if one["kind"] == "Pod"]
    release.node.run_once(test["spec"])


def test_running_the_jobs_again_changes_nothing(release: Release) -> None:
    _run_hooks(release.node, "pre-upgrade")
    assert all(plan["partitions"] for plan in release.program("topics", "plan", "--check"))


def test_a_call_in_flight_may_finish_when_its_pod_is_ended(release: Release) -> None:
    session = release.program("submit", "steep", "--agent", "tea")["correlation_id"]
    until((release.data / "begun").exists, "the tool runs")
    executor = release.running["tool-executor-0"]
    executor.process.terminate()
    assert executor.process.wait(executor.grace_s) == 0, executor.log.read_text()
    # Its reply is recorded, so the session goes on without the pod.
    assert (release.data / "ended").read_text() == "once"
    until(lambda: _phase(release, session) == "completed", "the session completes", COMPLETED_S)


def test_pods_end_by_themselves_within_their_grace(release: Release) -> None:
    # The last one of this file: nothing runs after it.
    for one in release.running.values():
        one.process.terminate()
    for one in release.running.values():
        assert one.process.wait(one.grace_s) == 0, one.log.read_text()


def _values(address: StackAddress, data: Path) -> dict[str, Any]:
    agents = {name: FOLDER.joinpath(name).read_text() for name in ("agent.yaml", "playbook.yaml")}
    # A pod would have the folder at /data; the text of a program is not an environment whose paths are mapped here.
    tools = {
        "tools.py": FOLDER.joinpath("tools.py").read_text(),
        "steep.py": STEEP.replace("/data", str(data)),
    }
    return {
        "topicPrefix": f"chart-{uuid4().hex[:8]}.",
        "partitions": 4,
        "kafka": {"bootstrapServers": address.bootstrap_servers},
        "schemaRegistry": {"url": address.schema_registry_url},
        "valueStore": {"persistence": {"enabled": True}},
        "agents": {"files": agents | {"tea.yaml": TEA}},
        "orchestrator": {"replicas": SLOTS},
        "serviceDefaults": {"replicas": 1},
        "services": {
            "tool-executor": {
                "modules": [f"/etc/orchestrator/files/{name}" for name in tools],
                "files": tools,
                "extraEnv": [
                    {"name": "ORCHESTRATOR_TOOLS_FILES_ROOT", "value": "/data"},
                    {"name": "ORCHESTRATOR_TOOLS_OUTPUT_ROOT", "value": "/data"},
                ],
                "extraVolumes": [{"name": "data", "hostPath": {"path": str(data)}}],
                "extraVolumeMounts": [{"name": "data", "mountPath": "/data"}],
            }
        },
    }


def _phase(release: Release, session: str) -> Any:
    return release.program("sessions", "show", session, "--from-log")["phase"]


def _run_hooks(node: Node, moment: str) -> None:
    """The jobs of that hook in the order of their weights, as Helm runs them."""
    hooks = [
        one
        for one in node.objects
        if one["kind"] == "Job" and moment in one["metadata"]["annotations"]["helm.sh/hook"].split(",")
    ]
    assert hooks, f"no job runs at {moment}"
    for hook in sorted(hooks, key=lambda one: int(one["metadata"]["annotations"]["helm.sh/hook-weight"])):
        node.run_once(hook["spec"]["template"]["spec"])


def _pods(objects: list[Object]) -> Iterator[tuple[str, int, Object]]:
    for one in objects:
        if one["kind"] in ("StatefulSet", "Deployment"):
            component = one["metadata"]["labels"]["app.kubernetes.io/component"]
            for ordinal in range(one["spec"]["replicas"]):
                yield component, ordinal, one["spec"]["template"]["spec"]
