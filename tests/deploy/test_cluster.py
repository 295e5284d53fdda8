"""The chart on a real API server: installed, upgraded, rolled back and uninstalled, by Helm 3 and 4.

Nothing runs there: pods of jobs end as told, all others stay pending.
"""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.deploy.charts import CHART, SHAPES, Object, named, shape
from tests.deploy.cluster import Cluster, running_cluster, wait_for
from tools import go_tools

pytestmark = pytest.mark.cluster
HELM_S = 300
NUMBERS = count(1)
MINIMAL = shape("minimal")
NAME = "shop-agent-orchestrator"
WITHOUT_JOBS = ('topics.manage="none"', "schemas.apply=false")
"""For tests that are not about jobs, which take seconds."""
QUOTA = {
    "limits.cpu": "100",
    "limits.memory": "100Gi",
    "limits.ephemeral-storage": "100Gi",
    "requests.cpu": "50",
    "requests.memory": "50Gi",
    "requests.ephemeral-storage": "50Gi",
}


@dataclass
class Release:
    """The release `shop` of one namespace."""

    cluster: Cluster
    helm: Path
    namespace: str

    def started(self, *words: str) -> "subprocess.Popen[str]":
        environment = {**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig)}
        command = [str(self.helm), "--namespace", self.namespace, *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        with self.started(*words) as running:
            try:
                out, error = running.communicate(timeout=HELM_S)
            except subprocess.TimeoutExpired:
                running.kill()
                raise
        return subprocess.CompletedProcess(running.args, running.returncode, out, error)

    def apply(self, *settings: str, values: Path = MINIMAL) -> None:
        done = self.upgrade(*settings, values=values)
        assert done.returncode == 0, done.stdout + done.stderr

    def upgrade(self, *settings: str, values: Path = MINIMAL) -> subprocess.CompletedProcess[str]:
        single = [word for setting in settings for word in ("--set-json", setting)]
        return self.run("upgrade", "--install", "shop", str(CHART), "--values", str(values), *single)

    def one(self, group: str, plural: str, name: str) -> Object:
        found: Object = self.cluster.ask("GET", self.path(group, plural, name))
        return found

    def path(self, group: str, plural: str, *name: str) -> str:
        return "/".join((f"/{group}/namespaces/{self.namespace}/{plural}", *name))

    def names(self, group: str, plural: str) -> set[str]:
        return {one["metadata"]["name"] for one in self.cluster.listed(self.path(group, plural))}

    def copies(self, name: str) -> int:
        number: int = self.one("apis/apps/v1", "deployments", f"{NAME}-{name}")["spec"]["replicas"]
        return number

    def scale(self, plural: str, name: str, copies: int) -> None:
        """As `kubectl scale` and autoscalers do."""
        self.cluster.ask(
            "PATCH",
            self.path("apis/apps/v1", plural, f"{NAME}-{name}", "scale"),
            {"spec": {"replicas": copies}},
            "application/merge-patch+json",
        )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(go_tools.kube(), tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(params=["helm3", "helm4"])
def program(request: pytest.FixtureRequest) -> Path:
    return go_tools.TOOLS[request.param]()


@pytest.fixture
def release(cluster: Cluster, program: Path) -> Release:
    """A release that is not installed yet, in a namespace with a quota on everything."""
    return Release(cluster, program, cluster.namespace(f"test-{next(NUMBERS)}", QUOTA))


@pytest.mark.parametrize("values", SHAPES, ids=named)
def test_every_shape_installs_where_pods_are_restricted_and_have_a_quota(
    release: Release, values: Path
) -> None:
    # given: what shapes name elsewhere
    if not release.cluster.has("/api/v1/namespaces/kafka"):
        release.cluster.namespace("kafka")
        important = {"metadata": {"name": "high"}, "value": 1000}
        release.cluster.ask("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", important)
        sandbox = {"metadata": {"name": "gvisor"}, "handler": "runsc"}
        release.cluster.ask("POST", "/apis/node.k8s.io/v1/runtimeclasses", sandbox)
    # when
    release.apply(values=values)
    # then: every workload gets its pods
    for plural in ("deployments", "statefulsets"):
        for one in release.cluster.listed(release.path("apis/apps/v1", plural)):
            labels = one["spec"]["selector"]["matchLabels"]
            selector = ",".join(f"{key}%3D{value}" for key, value in labels.items())
            pods = f"{release.path('api/v1', 'pods')}?labelSelector={selector}"
            wait_for(lambda pods=pods: release.cluster.listed(pods), f"pods of {one['metadata']['name']}")  # type: ignore[misc]
    # and nothing of the hooks is left
    if "jobs: {hooks: false" not in values.read_text():
        assert release.names("apis/batch/v1", "jobs") == set()
    assert f"{NAME}-jobs" not in release.names("apis/networking.k8s.io/v1", "networkpolicies")
    # and the same again changes nothing that is refused
    release.apply(values=values)


def test_copies_stay_when_autoscaling_takes_over(release: Release) -> None:
    release.apply(*WITHOUT_JOBS, "services.planner.replicas=6")
    release.apply(*WITHOUT_JOBS, 'services.planner.autoscaling.kind="hpa"')
    assert release.copies("planner") == 6
    release.scale("deployments", "planner", 4)
    release.apply(*WITHOUT_JOBS, 'services.planner.autoscaling.kind="hpa"', 'log.level="debug"')
    assert release.copies("planner") == 4


def test_a_number_set_by_hand_stays_and_stops_no_upgrade(release: Release) -> None:
    release.apply(*WITHOUT_JOBS)
    release.scale("deployments", "planner", 5)
    release.scale("statefulsets", "orchestrator", 3)
    release.apply(*WITHOUT_JOBS, 'log.level="debug"')
    assert release.copies("planner") == 5
    slots = release.one("apis/apps/v1", "statefulsets", f"{NAME}-orchestrator")
    assert slots["spec"]["replicas"] == 3


def test_a_new_number_in_the_values_counts(release: Release) -> None:
    release.apply(*WITHOUT_JOBS, "services.planner.replicas=3")
    release.apply(*WITHOUT_JOBS, "services.planner.replicas=4")
    assert release.copies("planner") == 4


def test_a_rollback_applies_the_agents_of_its_revision_again(release: Release) -> None:
    release.apply(*WITHOUT_JOBS, 'agents.files={"a.yaml":"agent: one"}')
    release.apply(*WITHOUT_JOBS, 'agents.files={"a.yaml":"agent: two"}')
    release.cluster.ran.clear()
    done = release.run("rollback", "shop", "1")
    assert done.returncode == 0, done.stderr
    assert release.cluster.ran == [f"{release.namespace}/{NAME}-agents"]
    assert release.one("api/v1", "configmaps", f"{NAME}-agents")["data"] == {"a.yaml": "agent: one"}


def test_a_job_that_failed_is_gone_before_the_release(release: Release) -> None:
    # given: an installation whose first job fails
    release.cluster.failing.add(release.namespace)
    failed = release.upgrade("jobs.backoffLimit=0")
    assert failed.returncode != 0
    wait_for(lambda: not release.names("apis/batch/v1", "jobs"), "no job is left")
    # when
    done = release.run("uninstall", "shop")
    # then
    assert done.returncode == 0, done.stderr
    wait_for(lambda: not release.names("api/v1", "pods"), "no pod is left")
    assert release.names("api/v1", "serviceaccounts") == {"default"}
    assert release.names("apis/networking.k8s.io/v1", "networkpolicies") == set()


def test_a_job_that_helm_left_behind_starts_no_pods_without_the_release(release: Release) -> None:
    # given: Helm is killed while its first job runs
    pods = release.path("api/v1", "pods")
    release.cluster.hanging.add(release.namespace)
    installing = release.started("upgrade", "--install", "shop", str(CHART), "--values", str(MINIMAL))
    (pod,) = wait_for(lambda: release.names("api/v1", "pods"), "the job has a pod")
    installing.kill()
    installing.communicate()
    # when: the release is uninstalled, and the pod's try fails
    done = release.run("uninstall", "shop")
    assert done.returncode == 0, done.stderr
    assert release.names("api/v1", "serviceaccounts") == {"default"}
    release.cluster.merge(f"{pods}/{pod}/status", {"status": {"phase": "Failed"}})
    # then: the job cannot try again
    refused = wait_for(
        lambda: [
            event["message"]
            for event in release.cluster.listed(release.path("api/v1", "events"))
            if event["reason"] == "FailedCreate"
        ],
        "the job is refused another pod",
    )
    assert f'serviceaccount "{NAME}-jobs" not found' in refused[0]
    assert release.names("api/v1", "pods") == {pod}


def test_topics_never_get_more_partitions(release: Release) -> None:
    for manage in ('{"manage":"job"}', '{"manage":"strimzi","strimzi":{"cluster":"main"}}'):
        release.apply(WITHOUT_JOBS[1], f"topics={manage}")
        refused = release.upgrade(WITHOUT_JOBS[1], f"topics={manage}", "partitions=16")
        assert "this installation was made with 8" in refused.stderr, refused.stderr
    topics = release.cluster.listed(release.path("apis/kafka.strimzi.io/v1", "kafkatopics"))
    assert {one["spec"]["partitions"] for one in topics} == {8, 1}


def test_an_api_server_refuses_another_number_where_helm_sees_no_cluster(release: Release) -> None:
    release.apply(*WITHOUT_JOBS)
    (kept,) = [name for name in release.names("api/v1", "configmaps") if "-partitions-" in name]
    with pytest.raises(OSError, match="immutable"):
        release.cluster.merge(release.path("api/v1", "configmaps", kept), {"data": {"partitions": "16"}})


def test_topics_that_strimzi_has_are_not_grown_either(release: Release) -> None:
    strimzi = (WITHOUT_JOBS[1], 'topics={"manage":"strimzi","strimzi":{"cluster":"main"}}')
    release.apply(*strimzi)
    (kept,) = [name for name in release.names("api/v1", "configmaps") if "-partitions-" in name]
    release.cluster.ask("DELETE", release.path("api/v1", "configmaps", kept))
    refused = release.upgrade(*strimzi, "partitions=16")
    assert "the KafkaTopic of agents.tasks has 8" in refused.stderr, refused.stderr


def test_another_prefix_makes_other_topics(release: Release) -> None:
    strimzi = (WITHOUT_JOBS[1], 'topics={"manage":"strimzi","strimzi":{"cluster":"main"}}')
    release.apply(*strimzi, 'topicPrefix="one."')
    release.apply(*strimzi, 'topicPrefix="two."', "partitions=16")
    topics = release.cluster.listed(release.path("apis/kafka.strimzi.io/v1", "kafkatopics"))
    found = {one["spec"]["topicName"]: one["spec"]["partitions"] for one in topics}
    assert (found["one.tasks"], found["two.tasks"]) == (8, 16)


def test_releases_of_one_name_share_the_namespace_of_the_operator(cluster: Cluster, program: Path) -> None:
    spaces = [f"{program.name}-{number}" for number in ("one", "two")]
    operator = cluster.namespace(f"{program.name}-operator")
    strimzi = f'topics={{"manage":"strimzi","strimzi":{{"cluster":"main","namespace":"{operator}"}}}}'
    for space in spaces:
        Release(cluster, program, cluster.namespace(space)).apply(
            WITHOUT_JOBS[1], strimzi, f'topicPrefix="{space}."'
        )
    made = cluster.listed(f"/apis/kafka.strimzi.io/v1/namespaces/{operator}/kafkatopics")
    assert {one["spec"]["topicName"] for one in made} >= {f"{space}.tasks" for space in spaces}


def test_pods_restart_when_an_upgrade_finds_another_secret(release: Release) -> None:
    def digest() -> str:
        planner = release.one("apis/apps/v1", "deployments", f"{NAME}-planner")
        found: str = planner["spec"]["template"]["metadata"]["annotations"]["checksum/secrets"]
        return found

    secrets = release.path("api/v1", "secrets")
    password = {"password": base64.b64encode(b"one").decode()}
    release.cluster.ask("POST", secrets, {"metadata": {"name": "kafka-user"}, "data": password})
    settings = (
        *WITHOUT_JOBS,
        'reload="checksum"',
        'kafka.secretSettings={"sasl.password":{"name":"kafka-user","key":"password"}}',
    )
    release.apply(*settings)
    before = digest()
    release.apply(*settings)
    assert digest() == before
    changed = {"data": {"password": base64.b64encode(b"two").decode()}}
    release.cluster.merge(f"{secrets}/kafka-user", changed)
    release.apply(*settings)
    assert digest() != before


def test_a_claim_and_its_labels_survive_an_upgrade_and_the_release(release: Release) -> None:
    release.apply(*WITHOUT_JOBS)
    release.apply(*WITHOUT_JOBS, 'commonLabels={"team":"a"}', 'commonAnnotations={"note":"b"}')
    release.run("uninstall", "shop")
    claim = release.one("api/v1", "persistentvolumeclaims", f"{NAME}-sessions")
    assert claim["metadata"]["labels"]["team"] == "a"
    assert claim["metadata"]["annotations"]["note"] == "b"
    assert json.dumps(claim["metadata"]["annotations"]).count("keep") == 1
