"""Access logs: their figures, and when latency rose. `access_log` documents the accepted formats."""

from collections.abc import Callable
from statistics import median
from typing import Annotated, TypeVar

import duckdb
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.sdk import InvalidInput, tool
from orchestrator_services.tools.duck import calculate, refusal
from orchestrator_services.tools.heavy import HEAVY
from orchestrator_services.tools.log_figures import (
    MAX_ROUTES,
    BucketFigures,
    Figures,
    LogTable,
    RouteChange,
    RouteFigures,
    SeriesFigures,
    bucket_ms,
)
from orchestrator_services.tools.rises import MIN_LENGTH, find_rise
from orchestrator_services.tools.settings import PREFIX, ToolSettings, tool_settings
from orchestrator_services.tools.tables import load_log

Answer = TypeVar("Answer", bound=BaseModel)
Bucket = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,4}[smhd]$", description="Such as 30s, 5m, 1h, 1d.")]
# The p95 of fewer requests is hardly more than their maximum.
MIN_BUCKET_REQUESTS = 10
MAX_POINTS = 1_500


class LogStatistics(BaseModel):
    """Figures of a log: in total, by route (busiest first), by bucket, and by both if requested."""

    model_config = ConfigDict(frozen=True)

    first: str
    last: str
    malformed_lines: int = Field(description="Lines in no accepted format, which no figure counts.")
    malformed: list[str] = Field(description="The first of them, and why.")
    total: Figures
    routes: list[RouteFigures] = Field(description=f"At most {MAX_ROUTES}, the busiest.")
    buckets: list[BucketFigures]
    series: list[SeriesFigures]


class Point(BaseModel):
    model_config = ConfigDict(frozen=True)

    start: str
    value: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ChangePoint(BaseModel):
    """Whether and when the level rose. Without a rise `before_ms` is the median of all buckets, the rest
    null.

    `before_ms` and `after_ms` are medians of the buckets' p95 ahead of the rise and during it. `end` is the
    first bucket that was back at the old level, null if none was. `score` is the rise in units of its
    standard error.
    """

    model_config = ConfigDict(frozen=True)

    found: bool
    start: str | None
    end: str | None
    before_ms: float
    after_ms: float | None
    ratio: float | None
    score: float | None
    buckets: int = Field(description="Buckets that were compared.")
    malformed_lines: int = Field(
        default=0, description="Lines in no accepted format, which were not counted."
    )
    routes: list[RouteChange] = Field(description="What rose most first; empty unless a log without `route`.")


@tool("logs.statistics", capability="log-statistics", timeout="60s", isolation=HEAVY)
async def statistics(
    file: str, bucket: Bucket = "5m", route: str | None = None, series: bool = False
) -> LogStatistics:
    """Counts, error rates and p50/p95/p99 latency of an access log by route and by time bucket.

    `route` keeps one route only; `series` adds the figures of every route in every bucket.
    """
    settings = tool_settings()
    width = bucket_ms(bucket)

    def work(connection: duckdb.DuckDBPyConnection) -> LogStatistics:
        loaded = load_log(connection, file, settings)
        log = LogTable(connection, width)
        if route is not None:
            log.keep_route(file, route)
        first, last = log.span()
        return LogStatistics(
            first=first,
            last=last,
            malformed_lines=loaded.left_out.count,
            malformed=[str(wrong) for wrong in loaded.left_out.first],
            total=Figures(**log.by()[0]),
            routes=[RouteFigures(**row) for row in log.by("route", order="count DESC, route")[:MAX_ROUTES]],
            buckets=[BucketFigures(**row) for row in log.by("start")],
            series=[SeriesFigures(**row) for row in log.by("route", "start")] if series else [],
        )

    result = await _measured(settings, file, work)
    if len(result.model_dump_json()) > settings.max_result_bytes:
        raise InvalidInput(
            f"the figures are larger than {settings.max_result_bytes} bytes; choose a longer bucket or one "
            f"route, or raise {PREFIX}MAX_RESULT_BYTES"
        )
    return result


@tool("logs.change_point", capability="log-change-point", timeout="60s", isolation=HEAVY)
async def change_point(
    file: str | None = None,
    series: list[Point] | None = None,
    route: str | None = None,
    bucket: Bucket = "1m",
    min_ratio: Annotated[float, Field(gt=1)] = 1.5,
) -> ChangePoint:
    """Finds when the p95 latency of an access log, or the level of a series, rose and whether it fell back.

    The p95 of every bucket with at least 10 requests is one point; `series` gives the points instead, in
    order of time. One raised stretch is looked for by ranks and least absolute deviations: see
    `rises.find_rise` for the method and its sources. A rise below `min_ratio` is none.
    """
    if (file is None) == (series is None):
        raise InvalidInput("give either `file`, an access log, or `series`, a list of {start, value}")
    settings = tool_settings()
    if series is not None:
        return _change(series, min_ratio)
    path = str(file)
    width = bucket_ms(bucket)

    def work(connection: duckdb.DuckDBPyConnection) -> ChangePoint:
        malformed = load_log(connection, path, settings).left_out.count
        log = LogTable(connection, width)
        if route is not None:
            log.keep_route(path, route)
        points = [
            Point(start=row["start"], value=row["p95_ms"])
            for row in log.by("start")
            if row["count"] >= MIN_BUCKET_REQUESTS and row["p95_ms"] > 0
        ]
        change = _change(points, min_ratio).model_copy(update={"malformed_lines": malformed})
        if change.start is None or route is not None:
            return change
        return change.model_copy(update={"routes": log.route_changes(change.start, change.end)})

    return await _measured(settings, path, work)


async def _measured(
    settings: ToolSettings, path: str, work: Callable[[duckdb.DuckDBPyConnection], Answer]
) -> Answer:
    try:
        return await calculate(settings, work)
    except duckdb.Error as error:
        raise refusal(error, f"the figures of {path!r} cannot be computed", settings) from None


def _change(points: list[Point], min_ratio: float) -> ChangePoint:
    if len(points) < 2 * MIN_LENGTH:
        raise InvalidInput(
            f"{len(points)} buckets are too few to compare; at least {2 * MIN_LENGTH} are needed. Choose a shorter "
            f"bucket, or a longer one if buckets have fewer than {MIN_BUCKET_REQUESTS} requests"
        )
    if len(points) > MAX_POINTS:
        raise InvalidInput(f"{len(points)} buckets are more than {MAX_POINTS}; choose a longer bucket")
    values = [point.value for point in points]
    rise = find_rise(values, min_ratio)
    if rise is None:
        return ChangePoint(
            found=False,
            start=None,
            end=None,
            before_ms=round(median(values), 3),
            after_ms=None,
            ratio=None,
            score=None,
            buckets=len(points),
            routes=[],
        )
    return ChangePoint(
        found=True,
        start=points[rise.start].start,
        end=points[rise.end].start if rise.end < len(points) else None,
        before_ms=round(rise.before, 3),
        after_ms=round(rise.after, 3),
        ratio=round(rise.ratio, 3),
        score=round(rise.score, 1),
        buckets=len(points),
        routes=[],
    )
