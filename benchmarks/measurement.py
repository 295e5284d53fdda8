"""What it costs to handle the inputs of a recording."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.cluster import Cluster


@dataclass
class Measurement:
    """Inputs, seconds, and CPU seconds of this process and of the brokers, over all measured sections."""

    cluster: "Cluster"
    inputs: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    broker_cpu: float = 0.0

    @contextmanager
    def section(self, inputs: int) -> Iterator[None]:
        """Measures the code inside, which handles this many inputs."""
        begun, cpu, broker = time.perf_counter(), time.process_time(), self.cluster.broker_cpu()
        yield
        self.seconds += time.perf_counter() - begun
        self.cpu += time.process_time() - cpu
        self.broker_cpu += self.cluster.broker_cpu() - broker
        self.inputs += inputs

    @property
    def rate(self) -> float:
        """Inputs a second."""
        return self.inputs / self.seconds


def figures(measurements: "Sequence[Measurement]") -> dict[str, float]:
    """Medians over measurements of the same recording; CPU in microseconds per input."""
    return {
        "inputs_per_s": round(median(one.rate for one in measurements)),
        "cpu_us_per_input": round(median(one.cpu / one.inputs for one in measurements) * 1e6, 1),
        "broker_cpu_us_per_input": round(
            median(one.broker_cpu / one.inputs for one in measurements) * 1e6, 1
        ),
    }
