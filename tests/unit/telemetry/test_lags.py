"""The lag of a consumer is exported by the process that reads the partition, and by no other."""

from orchestrator.telemetry.lags import Lags
from orchestrator.telemetry.metrics import ProcessMetrics


def exported(metrics: ProcessMetrics) -> list[str]:
    lines = metrics.exposition().decode().splitlines()
    return [line for line in lines if line.startswith("agents_consumer_lag")]


def test_the_lag_of_a_partition_that_moved_is_no_longer_exported() -> None:
    # given: a reader of two partitions
    metrics = ProcessMetrics()
    lags = Lags(metrics, "planner")
    lags.report({("plan.commands", "0"): 0, ("plan.commands", "1"): 7})
    # when: another process takes one of them over
    lags.report({("plan.commands", "0"): 3})
    # then: a stale value here does not hide the one exported there
    assert exported(metrics) == [
        'agents_consumer_lag{group="planner",partition="0",topic="plan.commands"} 3.0'
    ]
    # and: a partition that comes back is exported again
    lags.report({("plan.commands", "1"): 5})
    assert exported(metrics) == [
        'agents_consumer_lag{group="planner",partition="1",topic="plan.commands"} 5.0'
    ]
