"""Every main shape of an installation renders, with the same result in Helm 3 and 4, into valid objects."""

import json
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml

from tests.deploy.charts import SHAPES, WORKLOADS, Helm, containers, environment, named, pods, shape

BUILT_IN = {"v1", "apps/v1", "batch/v1", "policy/v1", "autoscaling/v2", "networking.k8s.io/v1"}
CUSTOM = {"keda.sh/v1alpha1", "kafka.strimzi.io/v1", "monitoring.coreos.com/v1"}
KUBERNETES = ("1.28", "1.37")
"""The oldest version that the chart supports, and the newest whose schemas are available."""

every_shape = pytest.mark.parametrize("values", SHAPES, ids=named)


@every_shape
def test_lint_finds_nothing(helm: Helm, values: Path) -> None:
    linted = helm.lint(values)
    assert linted.returncode == 0, linted.stdout + linted.stderr


@every_shape
def test_both_versions_of_helm_render_the_same(helm3: Helm, helm4: Helm, values: Path) -> None:
    assert helm3.objects(values) == helm4.objects(values)


@every_shape
@pytest.mark.parametrize("version", KUBERNETES)
def test_an_api_server_accepts_every_object(helm4: Helm, values: Path, version: str) -> None:
    for one in helm4.objects(values):
        if one["apiVersion"] in BUILT_IN:
            kubernetes_validate.validate(one, version, strict=True)
        else:
            assert one["apiVersion"] in CUSTOM, f"nothing checks {one['apiVersion']}"


def test_an_object_that_an_api_server_would_refuse_is_found(helm4: Helm) -> None:
    one = next(one for one in helm4.objects(SHAPES[0]) if one["kind"] == "Deployment")
    one["spec"]["template"]["spec"]["terminationGracePeriodSecond"] = 3
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(one, KUBERNETES[0], strict=True)


@every_shape
def test_names_are_unique_and_short_enough(helm4: Helm, values: Path) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in helm4.objects(values)]
    assert len(names) == len(set(names))
    assert all(len(name) <= 63 for _, name in names)


def test_names_of_a_long_release_fit_with_what_kubernetes_adds(helm4: Helm) -> None:
    for values in SHAPES:
        for one in helm4.objects(values, release="r" * 53):
            name = one["metadata"]["name"]
            # A StatefulSet's revision is its name, a dash and ten characters, and stands in a label.
            assert len(name) <= (52 if one["kind"] == "StatefulSet" else 63), name


@every_shape
def test_labels_and_annotations_are_text_for_a_yaml_of_any_age(helm4: Helm, values: Path) -> None:
    # `on`, `y` and `7` are not text unless quoted; PyYAML reads them by YAML 1.1, as API servers do.
    for one in helm4.objects(values, settings=['podLabels={"a":"y","b":"7"}', 'podAnnotations={"c":"on"}']):
        metas = [one["metadata"]]
        if "template" in one.get("spec", {}):
            metas.append(one["spec"]["template"]["metadata"])
        for meta in metas:
            for pairs in (meta.get("labels", {}), meta.get("annotations", {})):
                assert all(isinstance(value, str) for value in pairs.values()), pairs


def test_every_pod_has_the_labels_and_annotations_of_all(helm4: Helm) -> None:
    given = ['podLabels={"team":"7"}', 'podAnnotations={"mesh":"off"}', 'agents.files={"a.yaml":"agent: a"}']
    found = {
        f"{one['kind']}/{one['metadata']['name']}": one["spec"].get("template", one)["metadata"]
        for one in helm4.objects(shape("minimal"), settings=given)
        if one["kind"] in WORKLOADS
    }
    assert {name.partition("/")[0] for name in found} == set(WORKLOADS)
    for name, meta in found.items():
        assert meta["labels"]["team"] == "7", name
        assert meta["annotations"]["mesh"] == "off", name


@every_shape
def test_pods_have_no_rights_that_they_do_not_need(helm4: Helm, values: Path) -> None:
    objects = helm4.objects(values)
    for place, spec in pods(objects):
        assert spec["securityContext"]["runAsNonRoot"], place
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, place
        assert spec["automountServiceAccountToken"] is False, place
        assert spec["serviceAccountName"] != "default", place
        for volume in spec["volumes"]:
            assert "emptyDir" not in volume or volume["emptyDir"].get("sizeLimit"), (place, volume)
    for place, container in containers(objects):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"], place
        assert context["allowPrivilegeEscalation"] is False, place
        assert context["capabilities"] == {"drop": ["ALL"]}, place
        for kind in ("requests", "limits"):
            assert container["resources"][kind].keys() == {"cpu", "memory", "ephemeral-storage"}, place


@every_shape
def test_services_of_the_namespace_do_not_become_settings(helm4: Helm, values: Path) -> None:
    # A Service "orchestrator-kafka" would be ORCHESTRATOR_KAFKA_PORT in every container.
    assert all(spec["enableServiceLinks"] is False for _, spec in pods(helm4.objects(values)))


@every_shape
def test_no_variable_is_set_twice(helm4: Helm, values: Path) -> None:
    # Server-side apply, which Helm 4 uses, refuses that.
    over = [{"name": "ORCHESTRATOR_LOG_LEVEL", "value": "debug"}]
    settings = [f"extraEnv={json.dumps(over)}", f"serviceDefaults.extraEnv={json.dumps(over)}"]
    for place, container in containers(helm4.objects(values, settings=settings)):
        names = [entry["name"] for entry in container["env"]]
        assert len(names) == len(set(names)), place
        assert environment(container)["ORCHESTRATOR_LOG_LEVEL"] == "debug"


def test_shapes_say_what_they_are() -> None:
    assert all(path.read_text().startswith("# ") and yaml.safe_load(path.read_text()) for path in SHAPES)
