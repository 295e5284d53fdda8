"""The trace of the example's session in a real Jaeger: each service is a process of its own, as the Compose file
starts them, beside the Kafka, the registry and the Jaeger of `orchestrator dev --jaeger`."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from orchestrator.app.demo import TRIAGE, prepare
from orchestrator.local import StackAddress
from orchestrator.local.ports import lease_free_port
from tests.deploy.compositions import composed, ours
from tests.support.incident_example import FOLDER
from tests.support.installation import PROGRAM, Installation
from tests.support.processes import PATIENCE_S, running
from tests.support.trace_tree import Span, assert_retry, orphans, roots
from tools import go_tools

ACCOUNTED_FOR = 0.99
"""Share of a session's wall time that spans below the root cover: one call follows the other. Spans of services alone
came to 0.66, all but those of steps to 0.91."""
SEEN_S = 20.0
"""How long a span may take from its process to Jaeger's API."""


@dataclass(frozen=True)
class Traced:
    """A session, what `submit` and `sessions show` print of its trace, and the trace."""

    session: str
    printed: str
    shown: dict[str, Any]
    page: str
    spans: tuple[Span, ...]


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    folder = tmp_path_factory.mktemp("traced")
    with _local(folder) as environment:
        servers = StackAddress(
            environment["ORCHESTRATOR_BOOTSTRAP_SERVERS"], environment["ORCHESTRATOR_SCHEMA_REGISTRY_URL"]
        )
        own = {**prepare(TRIAGE, folder / "data"), **environment, "ORCHESTRATOR_PARTITIONS": "8"}
        installation = Installation(servers, "agents.", folder, own)
        installation.apply(FOLDER)
        with installation.processes(*_services()):
            submitted = installation.run("submit", TRIAGE.goal, "--agent", "triage", "--wait", "-o", "json")
            assert submitted.returncode == 0, submitted.stderr
            session = json.loads(submitted.stdout)["correlation_id"]
            again = installation.run("submit", TRIAGE.goal, "--agent", "nobody")
            shown = installation.json("sessions", "show", session, "--from-log")
        # A process that has ended has sent all of its spans.
        page = environment["ORCHESTRATOR_TRACE_URL"].partition("/trace/")[0]
        yield Traced(session, again.stderr, shown, page, _whole_trace(page, session))


def test_people_and_programs_get_the_link(traced: Traced) -> None:
    assert re.fullmatch(rf"trace {traced.page}/trace/[0-9a-f]{{32}}\n", traced.printed)
    assert traced.shown["trace_url"] == f"{traced.page}/trace/{traced.session.replace('-', '')}"


def test_the_correlation_id_alone_finds_one_tree(traced: Traced) -> None:
    assert roots(traced.spans) == ["invoke_agent triage"]
    assert orphans(traced.spans) == []


def test_every_service_that_takes_part_is_named(traced: Traced) -> None:
    assert {span.service for span in traced.spans} == {
        "orchestrator",
        "planner",
        "safety-monitor",
        "model-reviewer",
        "tool-selector",
        "tool-executor",
        "recovery",
        "evaluator",
        "cost-tracker",
    }


def test_the_retry_is_seen(traced: Traced) -> None:
    assert_retry(traced.spans, "step deploys", "execute_tool deploys.history")


def test_the_session_s_wall_time_is_accounted_for(traced: Traced) -> None:
    began, ended = (_moment(traced, kind) for kind in ("TaskReceived", "TaskCompleted"))
    # The span of the whole session does not count.
    parts = [span for span in traced.spans if span.parent and span.name != "invoke_agent triage ended"]
    covered, until = 0, began
    for span in sorted(parts, key=lambda one: one.started):
        covered += max(0, min(span.ended, ended) - max(span.started, until))
        until = max(until, min(span.ended, ended))
    assert covered / (ended - began) >= ACCOUNTED_FOR


@contextmanager
def _local(folder: Path) -> Iterator[dict[str, str]]:
    """`orchestrator dev --jaeger` without services: the environment that it prints for other processes."""
    lease = lease_free_port()
    lease.release()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")}
    environment["ORCHESTRATOR_JAEGER"] = str(go_tools.jaeger())
    words = ("dev", "--jaeger", "--jaeger-port", str(lease.port), "--no-run", "--data", str(folder / "dev"))
    with running([PROGRAM, *words, "-o", "json"], env=environment, stdout=subprocess.PIPE) as stack:
        try:
            assert stack.stdout is not None
            yield json.loads(stack.stdout.readline())["environment"]
        finally:
            stack.send_signal(signal.SIGINT)
        assert stack.wait(PATIENCE_S) == 0


def _services() -> list[tuple[str, ...]]:
    """Arguments of `run` for each process of the Compose file."""
    commands = [service.get("command") or [] for service in ours(composed()).values()]
    runs = [command[1:] for command in commands if command and command[0] == "run"]
    return [tuple(word.replace("/example/", f"{FOLDER}/") for word in words) for words in runs]


def _whole_trace(page: str, session: str) -> tuple[Span, ...]:
    deadline = time.monotonic() + SEEN_S
    while True:
        spans = _trace(page, session)
        whole = any(span.name.endswith(" ended") for span in spans) and not orphans(spans)
        if whole or time.monotonic() > deadline:
            return spans
        time.sleep(0.2)


def _trace(page: str, session: str) -> tuple[Span, ...]:
    with urlopen(f"{page}/api/traces/{session.replace('-', '')}", timeout=10) as answer:  # noqa: S310 - our own
        (trace,) = json.load(answer)["data"]
    return tuple(_span(one, trace["processes"]) for one in trace["spans"])


def _span(found: dict[str, Any], processes: dict[str, Any]) -> Span:
    tags = {tag["key"]: tag["value"] for tag in found["tags"]}
    return Span(
        found["spanID"],
        next((one["spanID"] for one in found["references"] if one["refType"] == "CHILD_OF"), ""),
        found["operationName"],
        processes[found["processID"]]["serviceName"],
        found["startTime"],
        found["startTime"] + found["duration"],
        bool(tags.get("error")),
    )


def _moment(traced: Traced, kind: str) -> int:
    """When the session's event of that kind happened, Unix microseconds."""
    (text,) = [entry["occurred_at"] for entry in traced.shown["timeline"] if entry["type"] == kind]
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)
