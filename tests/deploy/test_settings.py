"""The program accepts the rendered commands and environments."""

import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from orchestrator.app.process import available
from orchestrator.app.settings import Settings, load
from orchestrator.cli.main import app
from orchestrator.sdk import SinkPlugin, discover
from tests.deploy.charts import CHART, SHAPES, Helm, containers, environment, named, shape, text_of

OF_PLUGINS = {
    "ORCHESTRATOR_SESSIONS_URL",
    "ORCHESTRATOR_SAFETY_RULES",
    "ORCHESTRATOR_TOOL_EXECUTOR_POOL",
}
every_shape = pytest.mark.parametrize("values", SHAPES, ids=named)
KNOWN = {*available(discover()), "alerts"}
"""All services; `alerts` is the user's own in one of the shapes."""


@every_shape
def test_every_container_s_settings_are_accepted(helm4: Helm, values: Path) -> None:
    for place, container in containers(helm4.objects(values)):
        variables = environment(container)
        assert isinstance(load(environment=variables), Settings), place
        strange = [
            name
            for name in variables
            if name.startswith("ORCHESTRATOR_")
            and not name.startswith(("ORCHESTRATOR_KAFKA_", "ORCHESTRATOR_SCHEMA_REGISTRY_"))
            and name.removeprefix("ORCHESTRATOR_").lower() not in Settings.model_fields
        ]
        assert set(strange) <= OF_PLUGINS, place


@every_shape
def test_every_container_s_command_is_known(helm4: Helm, values: Path) -> None:
    for place, container in containers(helm4.objects(values)):
        arguments = container["args"]
        if arguments[0] == "run":
            assert set(arguments[1:]) <= KNOWN, place
        else:
            group = arguments[: 2 if len(arguments) > 1 else 1]
            helped = CliRunner().invoke(app, [*group, "--help"])
            assert helped.exit_code == 0, f"{place}: {shlex.join(arguments)}"


def test_every_setting_can_be_made(helm4: Helm) -> None:
    made = {
        name.removeprefix("ORCHESTRATOR_").lower()
        for values in SHAPES
        for _, container in containers(helm4.objects(values))
        for name in environment(container)
    }
    # Two are tables with a variable for each entry; one is for developers.
    assert set(Settings.model_fields) - {"kafka", "schema_registry", "jaeger"} <= made


def test_settings_of_the_clients_arrive_under_their_own_names(helm4: Helm) -> None:
    found = {
        place: load(environment=environment(container))
        for place, container in containers(helm4.objects(shape("secured")))
    }
    assert len(found) == 15
    for settings in found.values():
        kafka = settings.bus.kafka_config()
        assert kafka["security.protocol"] == "SASL_SSL"
        assert kafka["sasl.password"] == "SECRET"
        assert kafka["session.timeout.ms"] == "30000"
        assert kafka["ssl.ca.location"] == "/etc/orchestrator/kafka/ca.crt"
        assert kafka["ssl.key.location"] == "/etc/orchestrator/kafka/tls.key"
        registry = settings.bus.registry_config()
        assert registry["basic.auth.user.info"] == "SECRET"
        assert registry["timeout"] == 20.0
        assert registry["ssl.ca.location"] == "/etc/orchestrator/registry/ca.crt"


def test_a_slot_is_the_ordinal_of_its_pod(helm4: Helm) -> None:
    found = [
        container
        for place, container in containers(helm4.objects(shape("scaled")))
        if place.startswith("StatefulSet/")
    ]
    assert len(found) == 1
    slot = next(entry for entry in found[0]["env"] if entry["name"] == "ORCHESTRATOR_SLOT")
    assert slot["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']"}}
    assert load(environment=environment(found[0])).slot == 7


def test_every_service_that_comes_with_the_platform_runs_once(helm4: Helm) -> None:
    run = [
        container["args"][1]
        for _, container in containers(helm4.objects(shape("minimal")))
        if container["args"][0] == "run"
    ]
    assert sorted(run) == sorted(available(discover()))


def test_lag_is_watched_on_the_topics_that_a_service_reads() -> None:
    entries = yaml.safe_load(text_of(CHART / "values.yaml"))["services"]
    watched = {name: set(own.get("autoscaling", {}).get("topics", ())) for name, own in entries.items()}
    plugins = discover()
    read = {name: set(map(str, service.topics)) for name, service in plugins.every_service().items()}
    # A sink runs as one copy and has no group.
    assert watched == read | {name: set() for name in plugins.by_name(SinkPlugin)}


def test_a_pod_may_drain_before_it_is_killed(helm4: Helm) -> None:
    for one in helm4.objects(shape("minimal"), settings=["drainSeconds=90.5"]):
        if one["kind"] in ("StatefulSet", "Deployment"):
            assert one["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 111
