"""The tools of the example: a deploy service that needs a second request, and the ranking of deploys."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.messages.commands import ExecuteTool
from orchestrator.messages.types import Call, CallKind, Document
from orchestrator.messages.values import json_value
from orchestrator.sdk import Context, FailureKind, InvalidInput, TransientError
from tests.support import incident_example
from tests.unit.services.support import World

tools = incident_example.load("tools")

CHANGED_AT = datetime.fromisoformat("2026-11-02T14:35:00Z")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that tools may read, with a history of two deploys, the later one first."""
    monkeypatch.setenv("ORCHESTRATOR_TOOLS_FILES_ROOT", str(tmp_path))
    deploys = [deploy(minutes=2), deploy(minutes=60)]
    (tmp_path / "deploys.json").write_text(json.dumps(deploys), encoding="utf-8")
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_the_first_request_of_a_session_fails_and_its_retry_gets_the_history() -> None:
    with pytest.raises(TransientError, match="503") as raised:
        tools.history("deploys.json", called_with_key("session-1"))
    history = tools.history("deploys.json", called_with_key("session-1"))

    assert raised.value.failure.kind is FailureKind.TRANSIENT
    assert raised.value.code == "http_503"
    assert [each.time for each in history.deploys] == sorted(each.time for each in history.deploys)
    assert len(history.deploys) == 2


@pytest.mark.usefixtures("folder")
def test_another_session_wakes_the_service_for_itself() -> None:
    with pytest.raises(TransientError):
        tools.history("deploys.json", called_with_key("session-1"))

    with pytest.raises(TransientError):
        tools.history("deploys.json", called_with_key("session-2"))


@pytest.mark.parametrize("content", ["not JSON", "{}", '[{"service": "checkout"}]'])
def test_an_invalid_history_is_invalid_input(folder: Path, content: str) -> None:
    (folder / "notes.json").write_text(content, encoding="utf-8")

    with pytest.raises(TransientError):
        tools.history("notes.json", called_with_key("session-1"))
    with pytest.raises(InvalidInput, match=r"notes\.json is not a deploy history"):
        tools.history("notes.json", called_with_key("session-1"))


@pytest.mark.usefixtures("folder")
def test_a_history_outside_of_the_allowed_folder_is_refused() -> None:
    with pytest.raises(InvalidInput, match="outside the allowed folder"):
        tools.history("../deploys.json", called_with_key("session-1"))


def test_deploy_that_touches_the_route_outranks_a_nearer_one_that_does_not() -> None:
    explanation = explain(deploy("web", minutes=0.5, routes=["/"]), deploy("checkout", minutes=2))

    assert services(explanation) == ["checkout", "web"]
    assert explanation.verdict == (
        "checkout 1.0.0 (What was changed; amara), deployed 2.0 minutes before the change, touches /checkout."
    )


def test_of_two_that_touch_the_route_the_nearer_one_ranks_first() -> None:
    explanation = explain(deploy("payments", minutes=32), deploy("checkout", minutes=2))

    assert services(explanation) == ["checkout", "payments"]
    nearer, farther = (suspect.score for suspect in explanation.suspects)
    assert farther == pytest.approx(nearer / 2, abs=0.001)


@pytest.mark.parametrize(("minutes", "is_suspect"), [(-4.9, True), (-5, False), (1440, True), (1441, False)])
def test_suspects_lie_between_a_day_before_and_the_end_of_the_first_slow_bucket(
    minutes: float, is_suspect: bool
) -> None:
    explanation = explain(deploy("checkout", minutes=minutes))

    assert services(explanation) == (["checkout"] if is_suspect else [])


def test_without_a_suspect_the_verdict_says_so() -> None:
    assert explain().verdict == "No deploy of the day before explains the change."


def test_generated_history_leads_to_the_deploy_of_the_incident(data: Path) -> None:
    incident = incident_example.load("generate").INCIDENT
    deploys = json.loads((data / "deploys.json").read_text(encoding="utf-8"))

    first = explain(*deploys, changed_at=incident.changed_at, route=incident.route).suspects[0]

    assert (first.service, first.version, first.touches_route) == (incident.service, incident.version, True)


def test_time_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidInput, match="changed_at"):
        explain(deploy(minutes=2), changed_at="2026-11-02T14:35:00")


def deploy(service: str = "checkout", *, minutes: float, routes: list[str] | None = None) -> dict[str, Any]:
    """A deploy `minutes` before the change."""
    return {
        "time": (CHANGED_AT - timedelta(minutes=minutes)).isoformat(),
        "service": service,
        "version": "1.0.0",
        "author": "amara",
        "summary": "What was changed",
        "routes": ["/checkout"] if routes is None else routes,
    }


def explain(
    *deploys: dict[str, Any], changed_at: str = CHANGED_AT.isoformat(), route: str = "/checkout"
) -> Any:
    """Runs the tool as the executor does: with JSON arguments, validated against the signature."""
    given = {"changed_at": changed_at, "route": route, "deploys": list(deploys)}
    return tools.explain(**tools.explain.arguments(given, called_with_key("session-1")))


def services(explanation: Any) -> list[str]:
    return [suspect.service for suspect in explanation.suspects]


def called_with_key(idempotency_key: str) -> Context:
    """The context of a tool call; these tools use only its key."""
    command = ExecuteTool(
        command_id="command",
        correlation_id="session",
        occurred_at=0,
        call=Call(call_id="call", kind=CallKind.TOOL, due_at=0),
        not_after=0,
        arguments=Document(body=json_value({})),
        idempotency_key=idempotency_key,
        timeout_ms=1000,
    )
    return Context("tool-executor", command, World().platform)
