"""The main job on a real Kafka and registry: services in separate processes, tasks from the program and from
foreign clients."""

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from orchestrator.app.demo import TRIAGE, prepare
from orchestrator.local import StackAddress
from orchestrator.messages.schemas import self_contained
from tests.support.incident_example import FOLDER
from tests.support.incident_figures import expected_findings, finding_lines
from tests.support.installation import Installation
from tests.support.processes import PATIENCE_S

pytestmark = pytest.mark.integration

SERVICES = (
    ("orchestrator",),
    ("planner",),
    ("tool-selector",),
    ("tool-executor", "--module", str(FOLDER / "tools.py")),
    ("evaluator",),
    ("recovery",),
    ("safety-monitor", "cost-tracker"),
    ("session-recorder",),
)


@pytest.fixture(scope="module")
def installation(
    kafka_stack: StackAddress, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("main-job")
    tools = prepare(TRIAGE, folder / "data")
    own = {"ORCHESTRATOR_SESSIONS_URL": f"sqlite:///{folder / 'sessions.sqlite'}"}
    made = Installation(kafka_stack, f"job-{uuid4().hex[:8]}.", folder, tools | own)
    made.apply(FOLDER)
    with made.processes(*SERVICES):
        yield made


@pytest.fixture(scope="module")
def session(installation: Installation) -> dict[str, Any]:
    """The example session, submitted with the program and waited for."""
    submitted: dict[str, Any] = installation.json("submit", TRIAGE.goal, "--agent", "triage", "--wait")
    return submitted


def test_the_report_has_independently_computed_figures(
    installation: Installation, session: dict[str, Any]
) -> None:
    reported = session["result"].splitlines()
    for expected in finding_lines(expected_findings(installation.folder / "data")):
        assert any(line.startswith(expected) for line in reported), expected


def test_the_store_and_the_topics_show_the_same_session(
    installation: Installation, session: dict[str, Any]
) -> None:
    session_id = session["correlation_id"]
    from_log = installation.json("sessions", "show", session_id, "--from-log")
    stored = _recorded(installation, session_id)
    assert stored == from_log
    assert from_log["phase"] == "completed"
    assert from_log["agent"] == "triage"
    assert {step["id"]: step["attempts"] for step in from_log["steps"]}["deploys"] == 2
    assert {step["status"] for step in from_log["steps"]} == {"succeeded"}
    assert from_log["tool_calls"] == 7


def test_a_session_is_shown_as_of_an_earlier_event(
    installation: Installation, session: dict[str, Any]
) -> None:
    before = installation.json("sessions", "show", session["correlation_id"], "--from-log", "--at", "5")
    assert before["phase"] == "executing"
    assert before["result"] is None
    assert {step["status"] for step in before["steps"]} == {"waiting"}


@pytest.mark.parametrize("with_key", [True, False])
def test_a_task_of_a_foreign_client_completes(installation: Installation, with_key: bool) -> None:
    """Plain confluent-kafka with the registry's own serializer and librdkafka's default partitioner."""
    business_key = f"order-{uuid4()}"
    topic = f"{installation.prefix}tasks"
    registry = SchemaRegistryClient({"url": installation.address.schema_registry_url})
    serializer = AvroSerializer(
        registry,
        json.dumps(self_contained("agents.commands.SubmitTask")),
        conf={"auto.register.schemas": False, "subject.name.strategy": _topic_record},
    )
    task = {"goal": TRIAGE.goal, "agent": "triage", "key": business_key}
    with registry:
        value = serializer(task, SerializationContext(topic, MessageField.VALUE))
    producer = Producer({"bootstrap.servers": installation.address.bootstrap_servers})
    producer.produce(
        topic,
        key=business_key if with_key else None,
        value=value,
    )
    assert producer.flush(30) == 0
    session_id = _session_of_key(installation, business_key)
    watched = installation.run("sessions", "watch", session_id)
    assert watched.returncode == 0, watched.stderr
    shown = installation.json("sessions", "show", session_id, "--from-log")
    assert shown["phase"] == "completed"
    assert shown["result"].startswith("# Why latency rose")


def test_the_same_business_key_starts_one_session(installation: Installation) -> None:
    key = f"order-{uuid4()}"
    first = installation.json("submit", TRIAGE.goal, "--agent", "triage", "--key", key, "--wait")
    again = installation.json("submit", TRIAGE.goal, "--agent", "triage", "--key", key, "--wait")
    assert first["correlation_id"] == again["correlation_id"]
    shown = installation.json("sessions", "show", first["correlation_id"], "--from-log")
    assert [entry["type"] for entry in shown["timeline"]].count("TaskReceived") == 1


def test_the_history_is_sound(installation: Installation, session: dict[str, Any]) -> None:
    report = installation.json("verify")
    assert report["sound"]
    assert report["sessions"] >= 1
    assert session["correlation_id"]


def _session_of_key(installation: Installation, key: str) -> str:
    """The session that does the task of a business key, once the recorder, which lags a little, knows it."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := installation.json("sessions", "list", "--key", key)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return str(found[0]["correlation_id"])


def _recorded(installation: Installation, session_id: str) -> Any:
    """The session from the store, once the recorder, which lags a little, has recorded its end."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        shown = installation.run("sessions", "show", session_id, "--output", "json")
        if shown.returncode == 0 and json.loads(shown.stdout)["phase"] == "completed":
            return json.loads(shown.stdout)
        assert time.monotonic() < deadline, shown.stdout + shown.stderr


def _topic_record(context: SerializationContext, record: str) -> str:
    return f"{context.topic}-{record}"
