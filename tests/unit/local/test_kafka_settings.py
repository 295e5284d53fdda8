"""What a node's settings say, and how Java reads them."""

from pathlib import Path

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.local.kafka_settings import NodePorts, node_properties, render

ONE = [NodePorts(20001, 20002)]
THREE = [NodePorts(20001, 20002), NodePorts(20003, 20004), NodePorts(20005, 20006)]


def test_a_single_node_keeps_one_replica_of_everything() -> None:
    properties = node_properties(1, ONE, Path("/data"), {})

    factors = {
        name: value for name, value in properties.items() if name.endswith(("factor", ".isr", "replicas"))
    }
    assert set(factors.values()) == {"1"}
    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002"
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:20002"


def test_three_nodes_keep_three_replicas_and_need_two() -> None:
    properties = node_properties(2, THREE, Path("/data"), {})

    assert {value for name, value in properties.items() if name.endswith("factor")} == {"3"}
    assert {value for name, value in properties.items() if name.endswith((".isr", "insync.replicas"))} == {
        "2"
    }
    assert properties["node.id"] == "2"
    assert properties["advertised.listeners"] == "PLAINTEXT://127.0.0.1:20003"
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:20002,2@127.0.0.1:20004,3@127.0.0.1:20006"


@pytest.mark.parametrize("node", [1, 2, 3])
def test_every_listener_is_on_the_loopback_address(node: int) -> None:
    properties = node_properties(node, THREE, Path("/data"), {})

    for name in ("listeners", "advertised.listeners"):
        assert all("://127.0.0.1:" in listener for listener in properties[name].split(","))


def test_changes_win() -> None:
    properties = node_properties(
        1, ONE, Path("/data"), {"min.insync.replicas": "7", "log.retention.ms": "1000"}
    )

    assert properties["min.insync.replicas"] == "7"
    assert properties["log.retention.ms"] == "1000"


def test_a_comma_in_the_folder_is_refused_because_kafka_would_see_two() -> None:
    with pytest.raises(ConfigurationError, match="comma"):
        node_properties(1, ONE, Path("/data,more"), {})


def test_properties_are_written_so_that_java_reads_the_same_text() -> None:
    written = render({"plain": "a=b:c #d", "back": "C:\\x", "lines": "a\nb", "accent": "é", "beyond": "😀"})

    assert written.splitlines() == [
        "plain=a=b:c #d",
        "back=C:\\\\x",
        "lines=a\\nb",
        "accent=\\u00e9",
        "beyond=\\ud83d\\ude00",
    ]
