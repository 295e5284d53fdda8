"""Figures of an access log, by route and by time bucket.

Percentiles interpolate linearly between the two nearest values (definition 7 of Hyndman and Fan, 'Sample
quantiles in statistical packages', The American Statistician 50, 1996; the default of NumPy and of DuckDB's
quantile_cont). Buckets are aligned to the Unix epoch, instants are ISO 8601 in UTC, latencies milliseconds
rounded to 0.001.
"""

from datetime import UTC, datetime
from typing import Any

import duckdb
from pydantic import BaseModel, ConfigDict

from orchestrator.sdk import InvalidInput

UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
MAX_ROUTES = 100
END_OF_TIME = "9999-12-31T00:00:00Z"

FIGURES = """
    count(*) AS count, count(*) FILTER (WHERE status >= 500) AS errors,
    quantile_cont(latency_ms, [0.5, 0.95, 0.99]) AS quantiles
"""


class Figures(BaseModel):
    """Requests, responses with status 500 and above, their share (0 to 1), and latency percentiles in ms."""

    model_config = ConfigDict(frozen=True)

    count: int
    errors: int
    error_rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


class RouteFigures(Figures):
    route: str


class BucketFigures(Figures):
    start: str


class SeriesFigures(Figures):
    route: str
    start: str


class RouteChange(BaseModel):
    """The p95 over all requests of a route, before the rise and during it."""

    model_config = ConfigDict(frozen=True)

    route: str
    before_ms: float
    after_ms: float
    ratio: float


def bucket_ms(bucket: str) -> int:
    """Milliseconds of a bucket such as 5m."""
    return int(bucket[:-1]) * UNIT_MS[bucket[-1]]


class LogTable:
    """Figures of the table `data` that an access log was loaded into, in buckets of one width."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, width_ms: int) -> None:
        self.connection = connection
        self.width_ms = width_ms

    def keep_route(self, path: str, route: str) -> None:
        """Deletes the requests of all other routes. Raises `InvalidInput` if this one has none."""
        busiest = self.connection.execute(
            "SELECT route FROM data GROUP BY route ORDER BY count(*) DESC, route LIMIT 10"
        ).fetchall()
        self.connection.execute("DELETE FROM data WHERE route != $route", {"route": route})
        if self.connection.execute("SELECT 1 FROM data LIMIT 1").fetchone() is None:
            known = ", ".join(str(row[0]) for row in busiest)
            raise InvalidInput(
                f"{path!r} has no request for the route {route!r}; its busiest routes are {known}"
            )

    def span(self) -> tuple[str, str]:
        row = self.connection.execute(
            "SELECT min(epoch_ms(time)), max(epoch_ms(time)) FROM data"
        ).fetchone() or (0, 0)
        return _instant(row[0]), _instant(row[1])

    def by(self, *keys: str, order: str | None = None) -> list[dict[str, Any]]:
        """One row for each value of the keys (`route`, `start`), ordered by the keys unless `order` is given."""
        expressions = {"route": "route", "start": f"epoch_ms(time) // {self.width_ms} * {self.width_ms}"}
        selected = "".join(f"{expressions[key]} AS {key}, " for key in keys)
        grouping = f"GROUP BY {', '.join(keys)} ORDER BY {order or ', '.join(keys)}" if keys else ""
        rows = self.connection.execute(f"SELECT {selected} {FIGURES} FROM data {grouping}").fetchall()  # noqa: S608 - our own names
        return [self._row(keys, row) for row in rows]

    def route_changes(self, start: str, end: str | None) -> list[RouteChange]:
        """The p95 of each route before `start`, and from `start` to `end`. The largest increase comes first."""
        rows = self.connection.execute(
            """
            SELECT route, before, after FROM (
                SELECT route,
                    quantile_cont(latency_ms, 0.95) FILTER (WHERE time < $start::TIMESTAMPTZ) AS before,
                    quantile_cont(latency_ms, 0.95)
                        FILTER (WHERE time >= $start::TIMESTAMPTZ AND time < $end::TIMESTAMPTZ) AS after
                FROM data GROUP BY route)
            WHERE before > 0 AND after > 0 ORDER BY after / before DESC, route LIMIT $limit
            """,
            {"start": start, "end": end or END_OF_TIME, "limit": MAX_ROUTES},
        ).fetchall()
        return [
            RouteChange(
                route=route,
                before_ms=round(before, 3),
                after_ms=round(after, 3),
                ratio=round(after / before, 3),
            )
            for route, before, after in rows
        ]

    @staticmethod
    def _row(keys: tuple[str, ...], values: tuple[Any, ...]) -> dict[str, Any]:
        *group, count, errors, quantiles = values
        row = dict(zip(keys, group, strict=True))
        if "start" in row:
            row["start"] = _instant(row["start"])
        p50, p95, p99 = (round(value, 3) for value in quantiles)
        rate = round(errors / count, 6)
        return row | {
            "count": count,
            "errors": errors,
            "error_rate": rate,
            "p50_ms": p50,
            "p95_ms": p95,
            "p99_ms": p99,
        }


def _instant(epoch_ms: int) -> str:
    instant = datetime.fromtimestamp(epoch_ms / 1000, UTC)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z").replace(".000Z", "Z")
