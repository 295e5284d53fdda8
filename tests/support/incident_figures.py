"""The figures of the incident example, computed from its files once more and another way.

Only the standard library: the platform's tools read the log with other code, so agreement means something.

A percentile is interpolated linearly between the two closest ranks, at position (n - 1) * p of the sorted
values counted from 0: `statistics.quantiles(method="inclusive")` here, `quantile_cont` in DuckDB.
"""

import csv
import json
import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from math import log
from pathlib import Path
from statistics import fmean, median, quantiles
from typing import NamedTuple

BUCKET = timedelta(minutes=5)
SHORTEST_SHIFT = 6
"""Buckets on either side of a shift: what lasts less than half an hour is a spike."""

HALF_HOUR = 30
"""Minutes, hence values of a metric."""
RESOURCES = ("cpu_percent", "memory_percent", "db_pool_in_use", "queue_depth")

REQUEST = re.compile(r'^\S+ - - \[([^\]]+)\] "[A-Z]+ (\S+) [^"]*" \d{3} \d+ ([\d.]+)$')


class Request(NamedTuple):
    time: datetime
    route: str
    latency_ms: float


class Rise(NamedTuple):
    """A resource of a host at the minute whose next half-hour exceeds the last one most, by their means."""

    host: str
    resource: str
    rose_at: datetime
    before: float
    after: float
    factor: float


class Findings(NamedTuple):
    """What a correct report says. Latencies in ms; `factor` is `after_p95_ms / before_p95_ms`."""

    route: str
    changed_at: datetime
    before_p95_ms: float
    after_p95_ms: float
    factor: float
    before_requests: int
    after_requests: int
    service: str
    version: str


def expected_findings(folder: Path) -> Findings:
    """The shift with the largest factor of all routes, and the last deploy of that route before it."""
    by_route: dict[str, list[Request]] = defaultdict(list)
    for request in read_log(folder / "access.log"):
        by_route[request.route].append(request)
    shifts = {route: _split(_p95_by_bucket(requests)) for route, requests in by_route.items()}
    route, (changed_at, _) = max(shifts.items(), key=lambda item: item[1][1])
    before = [request.latency_ms for request in by_route[route] if request.time < changed_at]
    after = [request.latency_ms for request in by_route[route] if request.time >= changed_at]
    deploys = json.loads((folder / "deploys.json").read_text(encoding="utf-8"))
    touching = [deploy for deploy in deploys if route in deploy["routes"]]
    deploy = max(
        (deploy for deploy in touching if _time(deploy["time"]) <= changed_at),
        key=lambda deploy: _time(deploy["time"]),
    )
    return Findings(
        route=route,
        changed_at=changed_at,
        before_p95_ms=p95(before),
        after_p95_ms=p95(after),
        factor=p95(after) / p95(before),
        before_requests=len(before),
        after_requests=len(after),
        service=deploy["service"],
        version=deploy["version"],
    )


def finding_lines(findings: Findings) -> list[str]:
    """How the lines of the report's first section begin.

    Tools round figures to 0.001, Markdown to 0.01 without trailing zeros.
    """
    return [
        f"- **Latency rose at:** {findings.changed_at:%Y-%m-%dT%H:%M:%SZ}",
        f"- **Route:** {findings.route}",
        f"- **P95 before, ms:** {_written(findings.before_p95_ms)}",
        f"- **P95 after, ms:** {_written(findings.after_p95_ms)}",
        f"- **Factor:** {_written(findings.factor)}",
        f"- **Explained by:** {findings.service} {findings.version} ",
    ]


def expected_rises(folder: Path, at_least: float = 1.5) -> list[Rise]:
    """The resources that rose by this factor or more, the largest first."""
    levels: dict[tuple[str, str], list[tuple[datetime, float]]] = defaultdict(list)
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for resource in RESOURCES:
                if row[resource]:
                    levels[row["host"], resource].append((_time(row["time"]), float(row[resource])))
    rises = [_largest_rise(host, resource, series) for (host, resource), series in levels.items()]
    return sorted((rise for rise in rises if rise.factor >= at_least), key=lambda rise: -rise.factor)


def read_log(path: Path) -> list[Request]:
    """Every line of the log; a line of another form is an error."""
    requests = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        match = REQUEST.match(line)
        assert match, f"{path}:{number} is no line of an access log: {line}"
        requests.append(Request(_time(match[1]), match[2], float(match[3])))
    return requests


def p95(values: list[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[94]


def _written(figure: float) -> str:
    return f"{round(figure, 3):.2f}".rstrip("0").rstrip(".")


def _largest_rise(host: str, resource: str, series: list[tuple[datetime, float]]) -> Rise:
    values = [value for _, value in series]

    def rise_at(minute: int) -> Rise:
        before, after = fmean(values[minute - HALF_HOUR : minute]), fmean(values[minute : minute + HALF_HOUR])
        return Rise(host, resource, series[minute][0], before, after, after / before)

    return max(map(rise_at, range(HALF_HOUR, len(values))), key=lambda rise: rise.factor)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _p95_by_bucket(requests: list[Request]) -> dict[datetime, float]:
    buckets: dict[datetime, list[float]] = defaultdict(list)
    midnight = datetime(2026, 1, 1, tzinfo=UTC)
    for request in requests:
        buckets[request.time - (request.time - midnight) % BUCKET].append(request.latency_ms)
    return {start: p95(values) for start, values in sorted(buckets.items()) if len(values) > 1}


def _split(series: dict[datetime, float]) -> tuple[datetime, float]:
    """Where the series falls best into two levels, and their ratio.

    A level is the median of the logarithms, the misfit the sum of absolute deviations: a spike moves
    neither much.
    """
    starts, values = list(series), [log(value) for value in series.values()]

    def misfit(side: list[float]) -> float:
        level = median(side)
        return sum(abs(value - level) for value in side)

    at = min(
        range(SHORTEST_SHIFT, len(values) - SHORTEST_SHIFT + 1),
        key=lambda index: misfit(values[:index]) + misfit(values[index:]),
    )
    before, after = list(series.values())[:at], list(series.values())[at:]
    return starts[at], median(after) / median(before)
