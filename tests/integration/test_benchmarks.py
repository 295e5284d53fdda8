"""Every benchmark in its short form, on a real Kafka: it measures what it claims, within bounds that hold on any
machine. Rates depend on the machine and are not tested.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.cluster import Cluster
from benchmarks.suite import BENCHMARKS
from benchmarks.table import report
from orchestrator.local import LocalKafka, StackAddress

pytestmark = pytest.mark.integration


@pytest.fixture
def cluster(kafka_stack: StackAddress, tmp_path: Path) -> Iterator[Cluster]:
    with closing(Cluster(kafka_stack, tmp_path)) as made:
        yield made


@pytest.fixture
def three_brokers(kafka_stack: StackAddress, tmp_path: Path) -> Iterator[Cluster]:
    """Three brokers of its own, with the registry that all tests share: it does not depend on their number."""
    with LocalKafka(tmp_path / "kafka", 3, short_lived=True) as kafka:
        address = StackAddress(kafka.bootstrap_servers, kafka_stack.schema_registry_url)
        pids = tuple(kafka.pid(number) for number in (1, 2, 3))
        with closing(Cluster(address, tmp_path, pids)) as made:
            yield made


def figures(name: str, cluster: Cluster) -> Any:
    """What the short form of a benchmark measures."""
    brokers, run = BENCHMARKS[name]
    assert cluster.nodes == brokers
    return run(cluster, "short")


def test_the_loop_handles_the_same_messages_as_the_relay(cluster: Cluster) -> None:
    found = figures("saga_loop", cluster)
    assert found["sessions"] == 100
    # A task, a plan, three selections and three runs, an evaluation: 9 inputs, and more to write than to read.
    assert found["inputs"] == 9 * found["sessions"]
    assert found["outputs"] > found["inputs"]
    assert found["loop"]["inputs_per_s"] > 0
    assert found["loop_of_relay"] == pytest.approx(
        found["loop"]["inputs_per_s"] / found["relay"]["inputs_per_s"], rel=0.02
    )


def test_whole_sessions(cluster: Cluster) -> None:
    check_whole_sessions(figures("sessions", cluster), nodes=1)


def test_whole_sessions_on_three_brokers(three_brokers: Cluster) -> None:
    found = figures("sessions3", three_brokers)
    check_whole_sessions(found, nodes=3)
    assert found["cpu_ms_by_process"]["broker"] > 0


def check_whole_sessions(found: Any, nodes: int) -> None:
    assert (found["nodes"], found["at_once"]) == (nodes, 100)
    assert found["sessions_per_s"] > 0
    assert found["steps_per_s"] == pytest.approx(3 * found["sessions_per_s"], rel=0.01)
    assert found["alone_p50_ms"] <= found["alone_p95_ms"]
    by_process = found["cpu_ms_by_process"]
    assert set(by_process) == {
        *("broker", "orchestrator", "planner", "tool-selector", "tool-executor", "evaluator", "recovery")
    }
    assert 0 < by_process["orchestrator"] < found["cpu_ms_per_session"]


def test_active_sessions_are_restored_from_history_and_from_snapshots(cluster: Cluster) -> None:
    found = figures("restore", cluster)
    history, snapshots = found["history"], found["snapshots"]
    assert history["sessions"] == snapshots["sessions"] == found["sessions"] == 500
    assert (history["snapshots"], snapshots["snapshots"]) == (0, 500)
    assert history["events"] > snapshots["events"] == 0
    # Ten thousand such sessions fit into a small container.
    assert max(history["kib_per_session"], snapshots["kib_per_session"]) < 200
    assert found["ended"]["sessions"] == 20_000
    # They are on disk: in memory they would take four times as much.
    assert found["ended"]["mib"] < 20


def test_calls_run_side_by_side_take_a_fraction_of_the_time(cluster: Cluster) -> None:
    found = figures("worker", cluster)
    assert found["seconds"]["serial"] >= found["call_seconds"]
    assert found["serial_to_parallel"] >= 3
    assert found["serial_to_by_key"] >= 2


def test_a_burst_waits_in_its_topic(cluster: Cluster) -> None:
    found = figures("burst", cluster)
    assert found["active"] < found["waiting"] == 2_000
    assert found["growth_mib"] < 16
    assert found["out_of_order"] == 0
    assert found["taken"] >= 100


def test_pending_timers_cost_nothing_and_fire(cluster: Cluster) -> None:
    found = figures("timers", cluster)
    cpu = found["idle_cpu_ms_per_s"]
    assert cpu["with"] - cpu["without"] < 50
    assert found["fired"] == 200
    assert 0 <= found["late_ms"]["p50"] < 10_000


def test_a_conversation_writes_little_more_than_it_adds(cluster: Cluster) -> None:
    found = figures("conversation", cluster)
    assert found["turns"] == 12
    kafka = found["kafka_bytes"]
    assert sum(size for topic, size in kafka.items() if topic != "all") == kafka["all"]
    # Its few turns bear what a session costs once.
    assert 1 < found["kafka_of_produced"] < 4.5
    assert 0 < found["progress_of_produced"] < 1
    assert 0 < found["values_of_produced"] < 1.5
    assert found["state_bytes"]["last"] <= found["state_bytes"]["first"] + 100
    assert found["turn_ms"]["first"] > 0


def test_a_result_is_one_object_in_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    result = {"benchmark": "worker", "seconds": {"serial": 2.5, "parallel": 0.5}}
    report(result)
    *table, last = capsys.readouterr().out.splitlines()
    assert json.loads(last) == result
    assert any("seconds parallel" in line and "0.5" in line for line in table)


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["sagas", "--short"])
    assert "unknown benchmark: sagas" in capsys.readouterr().err


def test_every_benchmark_is_described() -> None:
    described = (Path(__file__).parents[2] / "docs" / "performance.md").read_text()
    assert [name for name in BENCHMARKS if f"| `{name}` |" not in described] == []


def test_runs_in_processes_of_their_own(cluster: Cluster) -> None:
    found = figures("isolation", cluster)
    assert found["runs"] == 20
    assert 0 < found["warm_ms"]["median"] <= found["warm_ms"]["p95"]
    assert found["thread_ms"] < found["warm_ms"]["median"]
