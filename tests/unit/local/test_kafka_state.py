"""What a local Kafka remembers in its folder."""

from base64 import urlsafe_b64decode
from pathlib import Path

import pytest

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import ConfigurationError
from orchestrator.local.kafka_node import KafkaNode, NodeSettings
from orchestrator.local.kafka_settings import NodePorts
from orchestrator.local.kafka_state import KafkaState, new_cluster_id
from orchestrator.local.security import LocalSecurity


def test_a_state_that_is_saved_is_loaded(tmp_path: Path) -> None:
    state = KafkaState(new_cluster_id(), (NodePorts(1, 2), NodePorts(3, 4), NodePorts(5, 6)))

    state.save(tmp_path / "new" / "cluster.json")

    assert KafkaState.load(tmp_path / "new" / "cluster.json") == state


def test_a_new_folder_has_no_state(tmp_path: Path) -> None:
    assert KafkaState.load(tmp_path / "cluster.json") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cluster_id": "x", "ports": [{"broker": 1}]}'])
def test_a_damaged_state_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cluster.json"
    path.write_text(text)

    with pytest.raises(ConfigurationError, match=r"cluster\.json is damaged"):
        KafkaState.load(path)


def test_cluster_ids_have_kafkas_form() -> None:
    ids = {new_cluster_id() for _ in range(200)}

    assert len(ids) == 200
    assert all(len(urlsafe_b64decode(f"{each}==")) == 16 and not each.startswith("-") for each in ids)


def test_users_cannot_be_added_to_a_cluster_that_was_made_without(tmp_path: Path) -> None:
    folder = tmp_path / "kafka-1"
    data = folder / "data"
    data.mkdir(parents=True)
    data.joinpath("meta.properties").touch()
    security = LocalSecurity(tmp_path / "security")
    security.folder.mkdir()
    security.password("admin")
    node = KafkaNode(NodeSettings(1, folder, new_cluster_id(), (NodePorts(1, 2),), security=security))

    with pytest.raises(ConfigurationError, match="was made without users: use another folder"):
        node.start(Deadline.after(10))
