"""Values that cannot work are refused before anything is installed: all at once, each with what to do."""

from pathlib import Path

import pytest

from tests.deploy.charts import Helm, shape

WRONG = {
    "orchestrator.replicas=9": "orchestrator.replicas is 9 and partitions 8",
    'services.planner={"replicas":9}': "services.planner may have 9 copies and there are 8 partitions",
    'services.planner={"autoscaling":{"kind":"keda","maxReplicas":9}}': "services.planner may have 9 copies",
    "services.session-recorder.replicas=2": "services.session-recorder is a singleton",
    'services.other={"sessionStore":true,"replicas":1}': "2 pods have the session store, which is SQLite in one file",
    'services.more={"autoscaling":{"kind":"keda"}}': "services.more.autoscaling.topics is empty",
    'services.planner={"autoscaling":{"kind":"keda","topics":[]}}': "services.planner.autoscaling.topics is empty",
    'services.planner={"toolPool":"gpu"}': "services.planner has a toolPool but does not run tools",
    "terminationGracePeriodSeconds=20": "terminationGracePeriodSeconds is not greater than drainSeconds",
    'topics.manage="strimzi"': "topics.strimzi.cluster is missing",
    "valueStore.persistence.enabled=true": "values have one store",
    'services.planner={"autoscaling":{"kind":"hpa","minReplicas":0}}': "use keda instead",
    'services.planner={"autoscaling":{"kind":"hpa","minReplicas":5,"maxReplicas":4}}': "minReplicas greater than max",
    'agents={"files":{"a.yaml":"agent: a"},"existingConfigMap":"b"}': "agents.files and agents.existingConfigMap",
    'fullnameOverride="My_App"': "fullnameOverride, such as agents-my-app",
    'fullnameOverride="1shop"': "begin with a letter",
    'fullnameOverride="shop.v1"': "shop.v1 cannot be the beginning of names",
    'nameOverride="a b"': "nameOverride is a b",
    'podLabels={"app.kubernetes.io/component":"x"}': "podLabels has app.kubernetes.io/component",
    'commonLabels={"app.kubernetes.io/managed-by":"x"}': "commonLabels has app.kubernetes.io/managed-by",
    'services.planner.podLabels={"app.kubernetes.io/name":"x"}': "services.planner.podLabels has",
    'orchestrator.podLabels={"app.kubernetes.io/instance":"x"}': "orchestrator.podLabels has",
    'metrics.rules.alerts={"AgentsLag":{"enabled":false}}': "metrics.rules.alerts has AgentsLag",
    'keda={"authentication":{"a":1},"authenticationRef":{"name":"b"}}': "keda.authenticationRef and",
}
UNKNOWN = {
    'kafka.bootstrapServer="kafka:9092"': "bootstrapServer",
    'services.orchestrator={"replicas":2}': "orchestrator",
    'services.Planner={"replicas":2}': "Planner",
    'services.planner={"replica":2}': "replica",
    "partitions=0": "partitions",
    # Names and labels that an API server would refuse in the middle of an installation.
    'agents.existingConfigMap="My_Agents"': "existingConfigMap",
    'agents.files={"a/b.yaml":"agent: a"}': "a/b.yaml",
    'services.planner={"files":{"a b.py":"1"}}': "a b.py",
    'sessionStore.existingSecret="Data Base"': "existingSecret",
    'kafka.tls.existingSecret="a_b"': "existingSecret",
    'kafka.secretSettings={"sasl.password":{"name":"Kafka_User","key":"a"}}': "name",
    'valueStore.persistence.existingClaim="A"': "existingClaim",
    'serviceAccount.name="a_b"': "name",
    'image.pullSecrets=[{"name":"A"}]': "name",
    'topics.strimzi={"cluster":"my cluster"}': "cluster",
    'topics.strimzi={"cluster":"a","namespace":"a_b"}': "namespace",
    'priorityClassName="A"': "priorityClassName",
    'podLabels={"team":"a b"}': "team",
    'podLabels={"a/b/c":"d"}': "a/b/c",
    'podLabels={"long":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}': "long",
    'commonAnnotations={"a b":"c"}': "a b",
    'extraEnv=[{"name":"1 A","value":"b"}]': "name",
    'services.admin-tools={"replicas":2}': "admin-tools",
    'services.topics={"replicas":2}': "topics",
    'topologySpread={"constraints":[{"whenUnsatisfiable":"DoNotSchedule"}]}': "topologyKey",
}


@pytest.mark.parametrize("setting", WRONG)
def test_what_cannot_work_is_refused(helm4: Helm, setting: str) -> None:
    assert WRONG[setting] in helm4.mistakes(shape("minimal"), settings=[setting])


@pytest.mark.parametrize("setting", UNKNOWN)
def test_a_slip_is_refused_by_the_schema(helm4: Helm, setting: str) -> None:
    assert UNKNOWN[setting] in helm4.mistakes(shape("minimal"), settings=[setting])


def test_a_name_of_a_release_that_is_no_label_is_refused(helm4: Helm) -> None:
    done = helm4.template(shape("minimal"), release="1.shop")
    assert "set fullnameOverride, such as agents-1-shop" in done.stderr


def test_strimzi_that_is_too_old_is_refused(helm4: Helm) -> None:
    strimzi = 'topics={"manage":"strimzi","strimzi":{"cluster":"main"}}'
    said = helm4.mistakes(shape("minimal"), settings=[strimzi], apis=["kafka.strimzi.io/v1beta2"])
    assert "Strimzi is older than 0.49" in said
    assert helm4.objects(shape("minimal"), settings=[strimzi])


def test_all_mistakes_are_reported_together(helm: Helm) -> None:
    said = helm.mistakes(settings=["orchestrator.replicas=99"])
    for start in (
        "kafka.bootstrapServers is missing",
        "schemaRegistry.url is missing",
        "valueStore is not set",
        "orchestrator.replicas is 99",
    ):
        assert f"- {start}" in said


def test_a_chart_above_this_one_may_say_what_is_its_own(helm4: Helm, tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("enabled: true\nglobal: {imageRegistry: here}\n")
    assert helm4.objects(shape("minimal"), values)
