"""Two releases with prefixes of their own share nothing in one namespace."""

from typing import Any

from orchestrator.app.settings import load
from orchestrator.bus.topic_names import TopicNames
from orchestrator.messages.catalogue import TOPICS
from tests.deploy.charts import Helm, Object, containers, environment, shape

SHAPES = ("minimal", "tools", "strimzi", "scaled")


def test_no_object_is_in_both(helm4: Helm) -> None:
    for values in SHAPES:
        one, other = (objects_of(helm4, values, release) for release in ("one", "other"))
        assert not names(one) & names(other)


def test_no_pod_of_one_is_selected_by_the_other(helm4: Helm) -> None:
    for values in SHAPES:
        one, other = (objects_of(helm4, values, release) for release in ("one", "other"))
        labels = [template["metadata"]["labels"] for template in templates(other)]
        chosen = selectors(one)
        assert chosen
        assert not [selector for selector in chosen for pod in labels if selector.items() <= pod.items()]


def test_no_topic_and_no_group_is_in_both(helm4: Helm) -> None:
    used = []
    for release in ("one", "other"):
        found = containers(objects_of(helm4, "minimal", release))
        prefixes = {load(environment=environment(container)).topic_prefix for _, container in found}
        assert prefixes == {f"{release}."}
        used.append({TopicNames(prefix).full(spec.topic) for prefix in prefixes for spec in TOPICS})
    assert not used[0] & used[1]


def test_scalers_watch_their_own_group(helm4: Helm) -> None:
    scalers = [one for one in objects_of(helm4, "scaled", "one") if one["kind"] == "ScaledObject"]
    assert len(scalers) == 2
    for scaler in scalers:
        watched = scaler["spec"]["triggers"][0]["metadata"]
        assert watched["consumerGroup"].startswith("one.")
        assert watched.get("topic", "one.").startswith("one.")


def objects_of(helm: Helm, values: str, release: str) -> list[Object]:
    return helm.objects(shape(values), release=release, settings=[f'topicPrefix="{release}."'])


def names(objects: list[Object]) -> set[tuple[str, str, str]]:
    return {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in objects}


def templates(objects: list[Object]) -> list[Object]:
    return [one["spec"]["template"] for one in objects if "template" in one.get("spec", {})]


def selectors(objects: list[Object]) -> list[dict[str, Any]]:
    """The labels by which objects select pods, for each object that does."""
    found = []
    for one in objects:
        spec = one.get("spec", {})
        selector = spec.get("selector") or spec.get("podSelector")
        if selector:
            found.append(selector.get("matchLabels", selector))
    return found
