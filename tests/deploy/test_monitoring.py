"""Dashboards and alerts query metrics that the code exposes, by labels that they have."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import Counter, Histogram

from orchestrator.app.session_observer import _COMMITTED, COUNTED
from orchestrator.telemetry.metrics import _DECLARED, SESSIONS_SETTLED, TRANSACTIONS
from tests.deploy.charts import CHART, ROOT, Helm, shape

OF_COST_TRACKER = {
    "agents_tool_calls",
    "agents_model_requests",
    "agents_tokens",
    "agents_tokens_cached",
    "agents_cost_usd",
    "agents_model_requests_unsettled",
    "agents_tokens_unsettled",
    "agents_cost_unsettled_usd",
}
OF_SCRAPING = {"namespace", "pod", "le", "installation"}
"""Labels that Prometheus adds; the last one by the chart's monitors."""


def series() -> dict[str, set[str]]:
    """Every series that our processes expose, with its labels."""
    found = {f"{name}_total": {"agent", "tenant", "direction"} for name in OF_COST_TRACKER}
    for name, declared in _DECLARED.items():
        endings = [""]
        if declared.kind is Counter:
            endings = ["_total"]
        elif declared.kind is Histogram:
            endings = ["_bucket", "_sum", "_count"]
        found |= {name + ending: set(declared.labels) for ending in endings}
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for path in (CHART / "dashboards").glob("*.json"):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                yield panel["title"], target["expr"].replace("$__rate_interval", "5m")
    for group in alerts()["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def alerts() -> Any:
    return yaml.safe_load((CHART / "rules" / "alerts.yaml").read_text())


def selected(expression: str) -> list[tuple[str, dict[str, str]]]:
    """The metrics that an expression queries, each with the labels that it selects by, and their values."""
    found = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            assert node.name is not None
            found.append((node.name, {matcher.name: matcher.value for matcher in node.matchers.matchers}))

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_every_queried_metric_exists(where: str, expression: str) -> None:
    known = series()
    asked = selected(expression)
    assert asked, where
    for name, labels in asked:
        assert name in known, f"{where} asks for {name}, which no process has"
        strange = labels.keys() - known[name] - OF_SCRAPING
        assert not strange, f"{where}: {name} has no {strange}"
    grouped = {
        label.strip() for names in re.findall(r"by \(([^)]*)\)", expression) for label in names.split(",")
    }
    assert grouped <= set().union(*(known[name] for name, _ in asked)) | OF_SCRAPING, where


def test_every_queried_outcome_is_reported() -> None:
    outcomes = {
        (name, labels["outcome"])
        for _, expression in expressions()
        for name, labels in selected(expression)
        if "outcome" in labels
    }
    settled = {outcome for name, outcome in outcomes if name.startswith(SESSIONS_SETTLED)}
    assert settled <= {end.__name__ for end in COUNTED}
    assert {outcome for name, outcome in outcomes if name.startswith(TRANSACTIONS)} == {_COMMITTED}


def test_metrics_of_the_cost_tracker_keep_their_names() -> None:
    source = Path("services/orchestrator_services/cost_tracker/handlers.py").read_text()
    assert set(re.findall(r'count\("(\w+)"', source)) == OF_COST_TRACKER


def test_alerts_say_what_happens_and_how_bad_it_is() -> None:
    for group in alerts()["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"].keys() == {"summary", "description"}
            assert rule["labels"]["severity"] in {"warning", "critical"}


def test_the_first_event_of_a_process_is_seen() -> None:
    """A counter with labels does not exist before its first event: a first value of 1 is not an `increase`."""
    increases = {
        rule["alert"]: (rule["expr"], counter)
        for group in alerts()["groups"]
        for rule in group["rules"]
        for counter in re.findall(r"increase\((.*)\[15m\]\)", rule["expr"])
    }
    assert increases.keys() == {"AgentsSessionsEscalated", "AgentsDeadLetters"}
    for name, (expression, counter) in increases.items():
        assert f"({counter} unless {counter} offset 15m)" in expression, name


def test_a_config_map_holds_alerts_and_dashboards_unchanged(helm4: Helm) -> None:
    settings = ['metrics={"dashboards":{"enabled":true},"rules":{"kind":"ConfigMap"}}']
    maps = {
        name: content
        for one in helm4.objects(shape("minimal"), settings=settings)
        if one["kind"] == "ConfigMap"
        for name, content in one["data"].items()
    }
    # Without a monitor of the chart nothing tells releases apart, so alerts are about all.
    assert yaml.safe_load(maps["agents-shop-agent-orchestrator-alerts.yaml"]) == alerts()
    shown = json.loads(maps["agents-shop-agent-orchestrator-sessions.json"])
    plain = json.loads((CHART / "dashboards" / "sessions.json").read_text())
    assert shown | {"uid": "", "title": ""} == plain | {"uid": "", "title": ""}


@pytest.mark.parametrize("namespace", ["agents", "other"])
def test_two_releases_have_dashboards_and_alerts_of_their_own(helm4: Helm, namespace: str) -> None:
    settings = [
        'metrics={"monitor":{"kind":"PodMonitor"},"dashboards":{"enabled":true},"rules":{"kind":"ConfigMap"}}'
    ]
    places = [("shop", "agents"), ("other", namespace)]
    found = [
        helm4.objects(shape("minimal"), release=release, settings=settings, namespace=space)
        for release, space in places
    ]
    boards, rules = zip(*map(_shown, found), strict=True)
    assert len({board["uid"] for board in boards}) == len({board["title"] for board in boards}) == 2
    assert all(len(board["uid"]) <= 40 for board in boards)
    assert not boards[0]["files"] & boards[1]["files"]
    for (release, space), text in zip(places, rules, strict=True):
        for rule in (one for group in yaml.safe_load(text)["groups"] for one in group["rules"]):
            for name, labels in selected(rule["expr"]):
                assert (labels["installation"], labels["namespace"]) == (release, space), name


def _shown(objects: list[Any]) -> tuple[dict[str, Any], str]:
    """The dashboard with the names of its files, and the text of the rules."""
    maps = {name: text for one in objects if one["kind"] == "ConfigMap" for name, text in one["data"].items()}
    board = next(json.loads(text) for name, text in maps.items() if name.endswith("sessions.json"))
    rules = next(text for name, text in maps.items() if name.endswith("alerts.yaml"))
    return board | {"files": {name for name in maps if name.endswith((".json", ".yaml"))}}, rules


def test_a_threshold_is_the_number_behind_the_first_comparison(helm4: Helm) -> None:
    names = [rule["alert"] for group in alerts()["groups"] for rule in group["rules"]]
    given = json.dumps({name: {"threshold": 0.125} for name in names})
    settings = [f'metrics={{"rules":{{"kind":"ConfigMap","alerts":{given}}}}}']
    (text,) = (
        one["data"]["agents-shop-agent-orchestrator-alerts.yaml"]
        for one in helm4.objects(shape("minimal"), settings=settings)
        if one["metadata"]["name"].endswith("-alerts")
    )
    for group in yaml.safe_load(text)["groups"]:
        for rule in group["rules"]:
            promql_parser.parse(rule["expr"])
            assert rule["expr"].count("> 0.125") == 1, rule["expr"]


def test_every_alert_has_a_runbook() -> None:
    page = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
    names = {rule["alert"] for group in alerts()["groups"] for rule in group["rules"]}
    assert set(re.findall(r"^## (\w+)$", page, re.MULTILINE)) == names
