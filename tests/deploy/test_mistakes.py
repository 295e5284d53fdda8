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
    'services.planner={"toolPool":"gpu"}': "services.planner has a toolPool and does not run tools",
    "terminationGracePeriodSeconds=20": "terminationGracePeriodSeconds is not above drainSeconds",
    'topics.manage="strimzi"': "topics.strimzi.cluster is missing",
    "valueStore.persistence.enabled=true": "values lie in one place",
    'services.planner={"autoscaling":{"kind":"hpa","minReplicas":0}}': "use keda for that",
    'services.planner={"autoscaling":{"kind":"hpa","minReplicas":5,"maxReplicas":4}}': "minReplicas above maxReplicas",
    'agents={"files":{"a.yaml":"agent: a"},"existingConfigMap":"b"}': "agents.files and agents.existingConfigMap",
    'keda={"authentication":{"a":1},"authenticationRef":{"name":"b"}}': "keda.authenticationRef and",
}
UNKNOWN = {
    'kafka.bootstrapServer="kafka:9092"': "bootstrapServer",
    'services.orchestrator={"replicas":2}': "orchestrator",
    'services.Planner={"replicas":2}': "Planner",
    'services.planner={"replica":2}': "replica",
    "partitions=0": "partitions",
}


@pytest.mark.parametrize("setting", WRONG)
def test_what_cannot_work_is_refused(helm4: Helm, setting: str) -> None:
    assert WRONG[setting] in helm4.mistakes(shape("minimal"), settings=[setting])


@pytest.mark.parametrize("setting", UNKNOWN)
def test_a_typing_error_is_refused_by_the_schema(helm4: Helm, setting: str) -> None:
    assert UNKNOWN[setting] in helm4.mistakes(shape("minimal"), settings=[setting])


def test_all_mistakes_are_reported_at_once(helm: Helm) -> None:
    said = helm.mistakes(settings=["orchestrator.replicas=99"])
    for start in (
        "kafka.bootstrapServers is missing",
        "schemaRegistry.url is missing",
        "valueStore has no place",
        "orchestrator.replicas is 99",
    ):
        assert f"- {start}" in said


def test_a_parent_chart_may_have_values_of_its_own(helm4: Helm, tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("enabled: true\nglobal: {imageRegistry: here}\n")
    assert helm4.objects(shape("minimal"), values)
