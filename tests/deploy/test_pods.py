"""What pods may read, write and be: the platform's credentials stay away from tools."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.deploy.charts import (
    SHAPES,
    Helm,
    Object,
    Strict,
    containers,
    environment,
    named,
    pods,
    shape,
)

SECRETS = (
    'models={"existingSecret":"models","endpoints":["https://models.example"]}',
    'sessionStore.existingSecret="database"',
    'extraEnvFrom=[{"secretRef":{"name":"all"}}]',
    'extraEnv=[{"name":"STRIPE_KEY","valueFrom":{"secretKeyRef":{"name":"pay","key":"k"}}}]',
    'services.render={"run":["tool-executor"],"toolPool":"gpu"}',
)
TOOLS = ("tool-executor", "render")


def secrets_of(spec: Object) -> set[str]:
    """Names of the secrets that a pod reads."""
    found = {volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume}
    for container in spec["containers"]:
        found |= {
            entry["valueFrom"]["secretKeyRef"]["name"]
            for entry in container["env"]
            if "secretKeyRef" in entry.get("valueFrom", {})
        }
        found |= {
            source["secretRef"]["name"] for source in container.get("envFrom", ()) if "secretRef" in source
        }
    return found


def by_name(objects: list[Object]) -> dict[str, Object]:
    """Pod specs by the component they are of."""
    return {
        place.partition("/")[2].removeprefix("shop-agent-orchestrator-"): spec
        for place, spec in pods(objects)
    }


def test_tools_have_neither_keys_of_models_nor_the_database_nor_secrets_of_all(helm4: Helm) -> None:
    found = by_name(helm4.objects(shape("secured"), settings=SECRETS))
    shared = {"kafka-tls", "registry", "registry-tls", "bucket", "collector", "calls"}
    assert secrets_of(found["render"]) == shared | {"kafka-user"}
    assert secrets_of(found["tool-executor"]) == shared | {"tools"}
    assert {"models", "all", "pay"} <= secrets_of(found["planner"])
    assert "database" in secrets_of(found["session-recorder"])


def test_only_services_that_ask_models_have_their_keys_and_may_reach_them(helm4: Helm) -> None:
    objects = helm4.objects(shape("minimal"), settings=[SECRETS[0]])
    have = {name for name, spec in by_name(objects).items() if "models" in secrets_of(spec)}
    assert have == {"planner", "tool-selector", "evaluator", "recovery", "model-reviewer"}
    reach = {
        one["metadata"]["labels"]["app.kubernetes.io/component"]
        for one in objects
        if one["kind"] == "NetworkPolicy"
        and "app.kubernetes.io/component" in one["spec"]["podSelector"]["matchLabels"]
    }
    assert reach == have


def test_tools_have_an_account_of_their_own(helm4: Helm) -> None:
    objects = helm4.objects(
        shape("minimal"), settings=[SECRETS[4], 'serviceAccount.annotations={"role":"bucket"}']
    )
    accounts = {one["metadata"]["name"]: one for one in objects if one["kind"] == "ServiceAccount"}
    assert all(account["automountServiceAccountToken"] is False for account in accounts.values())
    used = {name: accounts[spec["serviceAccountName"]] for name, spec in by_name(objects).items()}
    assert "annotations" not in used["render"]["metadata"]
    assert used["render"] is used["tool-executor"]
    assert used["planner"]["metadata"]["annotations"] == {"role": "bucket"}
    assert used["topics"]["metadata"]["name"] == "shop-agent-orchestrator-jobs"


@pytest.mark.parametrize("values", SHAPES, ids=named)
def test_what_tmp_may_hold_is_less_than_the_limit_of_the_pod(helm4: Helm, values: Any) -> None:
    for place, spec in pods(helm4.objects(values)):
        room = sum(
            bytes_of(volume["emptyDir"]["sizeLimit"]) for volume in spec["volumes"] if "emptyDir" in volume
        )
        limit = sum(
            bytes_of(container["resources"]["limits"]["ephemeral-storage"])
            for container in spec["containers"]
        )
        assert room < limit, place


def test_a_recorder_without_a_claim_has_room_for_its_file(helm4: Helm) -> None:
    settings = ["sessionStore.persistence.enabled=false"]
    spec = by_name(helm4.objects(shape("minimal"), settings=settings))["session-recorder"]
    (container,) = spec["containers"]
    (sessions,) = (one for one in spec["volumes"] if one["name"] == "sessions")
    limit = bytes_of(container["resources"]["limits"]["ephemeral-storage"])
    assert bytes_of(sessions["emptyDir"]["sizeLimit"]) < limit


def test_only_services_that_store_values_may_write_to_their_claim(helm4: Helm) -> None:
    objects = helm4.objects(
        shape("minimal"), settings=['valueStore={"url":"","persistence":{"enabled":true}}']
    )
    write = {
        name
        for name, spec in by_name(objects).items()
        for container in spec["containers"]
        for mount in container["volumeMounts"]
        if mount["name"] == "values" and not mount.get("readOnly")
    }
    # Tools, plans, conversations and evaluations have values; the orchestrator's snapshots are values too.
    assert write == {"orchestrator", "planner", "tool-executor", "evaluator"}


def test_a_service_has_a_kafka_user_of_its_own_in_every_place(helm4: Helm) -> None:
    def user(name: str) -> str:
        return f'{{"secretSettings":{{"sasl.username":{{"name":"{name}","key":"user"}}}}}}'

    owners = {
        "orchestrator": "orchestrator.kafka",
        "planner": "services.planner.kafka",
        "tool-executor": "services.tool-executor.kafka",
        "admin-tools": "adminTools.kafka",
        "topics": "jobs.kafka",
        "schemas": "jobs.kafka",
    }
    settings = [f"{place}={user(name)}" for name, place in owners.items() if name != "schemas"]
    password = 'kafka.secretSettings={"sasl.password":{"name":"kafka-user","key":"password"}}'
    settings += [password, "adminTools.enabled=true"]
    found = by_name(helm4.objects(shape("minimal"), settings=settings))
    for name in owners:
        assert secrets_of(found[name]) & {*owners, "kafka-user"} == {
            "kafka-user",  # the password
            "topics" if name == "schemas" else name,
        }


def test_every_object_has_the_labels_and_annotations_of_all(helm4: Helm) -> None:
    extra = (
        'commonLabels={"team":"7"}',
        'commonAnnotations={"note":"on"}',
        "adminTools.enabled=true",
        'agents.files={"a.yaml":"agent: a"}',
    )
    for values in (shape("minimal"), shape("strimzi"), shape("scaled")):
        settings = extra if values == shape("minimal") else extra[:3]
        for meta in every_metadata(helm4.objects(values, settings=[*settings, "extraObjects=[]"])):
            assert meta["labels"]["team"] == "7", meta
            assert meta["annotations"]["note"] == "on", meta


def every_metadata(objects: list[Object]) -> Iterator[Object]:
    for one in objects:
        yield one["metadata"]
        if "template" in one.get("spec", {}):
            yield one["spec"]["template"]["metadata"]


TWICE = {
    "labels of a monitor": 'metrics.monitor={"kind":"PodMonitor","labels":{"app.kubernetes.io/name":"a"}}',
    "labels of rules": 'metrics.rules={"kind":"PrometheusRule","labels":{"helm.sh/chart":"a"}}',
    "labels of dashboards": 'metrics.dashboards={"enabled":true,"labels":{"app.kubernetes.io/component":"b"}}',
    "labels of pods": 'podLabels={"app.kubernetes.io/version":"b"}',
    "labels of a service's pods": 'services.planner.podLabels={"app.kubernetes.io/version":"b"}',
    "labels of all": 'commonLabels={"app.kubernetes.io/version":"b","helm.sh/chart":"c"}',
    "annotations of pods": 'podAnnotations={"checksum/files":"a","helm.sh/hook":"c"}',
    "annotations of all": 'commonAnnotations={"helm.sh/resource-policy":"a"}',
    "annotations of jobs": 'jobs.annotations={"helm.sh/hook-delete-policy":"before-hook-creation"}',
    "probes": 'probes.liveness={"httpGet":{"path":"/other","port":8080}}',
    "metadata of triggers": 'services.planner.autoscaling={"kind":"keda","topics":["a"],"metadata":{"topic":"b"}}',
}


@pytest.mark.parametrize("setting", TWICE.values(), ids=list(TWICE))
def test_no_key_comes_twice(helm4: Helm, setting: str) -> None:
    objects = helm4.objects(shape("minimal"), settings=[setting, 'services.planner.files={"a.py":"1"}'])
    assert all(one["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm" for one in objects)


def test_a_strict_parser_finds_a_key_that_comes_twice() -> None:
    with pytest.raises(AssertionError, match="twice in a mapping"):
        yaml.load("a: {b: 1, b: 2}", Loader=Strict)  # noqa: S506 - a safe one


def test_the_pod_of_admin_tools_waits_and_ends_when_told(helm4: Helm) -> None:
    spec = by_name(helm4.objects(shape("minimal"), settings=["adminTools.enabled=true"]))["admin-tools"]
    (container,) = spec["containers"]
    assert container["command"] == ["python", "-c"]
    program = container["args"][0].replace(
        "signal.sigwait(ends)", 'print("waits", flush=True)\nsignal.sigwait(ends)'
    )
    waiting = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert waiting.stdout is not None
    with waiting.stdout as said:
        assert said.readline() == b"waits\n"
        waiting.terminate()
        assert waiting.wait(30) == 0


def test_settings_reach_every_pod_as_they_did(helm4: Helm) -> None:
    for place, container in containers(helm4.objects(shape("secured"))):
        assert environment(container)["ORCHESTRATOR_KAFKA_SASL_PASSWORD"] == "SECRET", place


def bytes_of(quantity: str) -> int:
    units = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    return int(quantity[:-2]) * units[quantity[-2:]]
