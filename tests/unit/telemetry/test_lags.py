from orchestrator.telemetry.lags import Lags
from orchestrator.telemetry.metrics import ProcessMetrics


def told(metrics: ProcessMetrics) -> list[str]:
    lines = metrics.exposition().decode().splitlines()
    return [line for line in lines if line.startswith("agents_consumer_lag")]


def test_a_partition_that_is_read_no_more_is_no_longer_told_of() -> None:
    # given: a reader of two partitions
    metrics = ProcessMetrics()
    lags = Lags(metrics, "planner")
    lags.report({("plan.commands", "0"): 0, ("plan.commands", "1"): 7})
    # when: another process has taken one of them over
    lags.report({("plan.commands", "0"): 3})
    # then: what stood here last does not hide what is told there
    assert told(metrics) == ['agents_consumer_lag{group="planner",partition="0",topic="plan.commands"} 3.0']
    # and one that comes back is told of again
    lags.report({("plan.commands", "1"): 5})
    assert told(metrics) == ['agents_consumer_lag{group="planner",partition="1",topic="plan.commands"} 5.0']
