"""Topics of the chart are those of the catalogue, created by Strimzi or by our job."""

from orchestrator.bus.kafka.topics import wanted_config
from orchestrator.bus.topic_names import TopicNames
from orchestrator.messages.catalogue import TOPICS
from tests.deploy.charts import Helm, containers, environment, shape

PREFIX = "shop."
PARTITIONS = 12


def test_strimzi_creates_the_catalogue(helm4: Helm) -> None:
    made = {
        one["spec"]["topicName"]: one
        for one in helm4.objects(shape("strimzi"))
        if one["kind"] == "KafkaTopic"
    }
    names = TopicNames(PREFIX)
    assert set(made) == {names.full(spec.topic) for spec in TOPICS}
    for spec in TOPICS:
        topic = made[names.full(spec.topic)]
        assert topic["spec"]["partitions"] == (spec.partitions or PARTITIONS)
        assert topic["spec"]["config"] == wanted_config(spec)
        assert topic["spec"]["replicas"] == 3
        assert topic["metadata"]["labels"]["strimzi.io/cluster"] == "shop"
        assert topic["metadata"]["namespace"] == "kafka"
        assert topic["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_strimzi_s_topics_have_no_job(helm4: Helm) -> None:
    jobs = [one for one in helm4.objects(shape("strimzi")) if one["kind"] == "Job"]
    assert [one["metadata"]["labels"]["app.kubernetes.io/component"] for one in jobs] == ["schemas"]


def test_the_job_creates_as_many_partitions_and_replicas_as_the_values_say(helm4: Helm) -> None:
    settings = ["partitions=12", "topics.replicationFactor=3"]
    for place, container in containers(helm4.objects(shape("minimal"), settings=settings)):
        if place.startswith("Job/"):
            variables = environment(container)
            assert variables["ORCHESTRATOR_PARTITIONS"] == "12"
            assert variables["ORCHESTRATOR_REPLICATION_FACTOR"] == "3"
