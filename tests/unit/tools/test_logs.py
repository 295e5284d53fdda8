"""logs.statistics and logs.change_point against figures computed another way."""

import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import Any

import pytest
from orchestrator_services.tools import change_point, statistics
from orchestrator_services.tools.logs import Point

from orchestrator.sdk import InvalidInput

START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
ROUTES = ["/checkout", "/cart", "/search"]


class Traffic:
    """Requests of three routes; from `rises_at` on /checkout takes four times as long."""

    def __init__(self, count: int, seconds: float, rises_at: datetime) -> None:
        random = Random(7)  # noqa: S311 - traffic, not secrets
        self.requests: list[tuple[datetime, str, int, float]] = []
        for number in range(count):
            at = START + timedelta(milliseconds=int(number * seconds * 1000 / count))
            route = random.choice(ROUTES)
            factor = 4 if route == "/checkout" and at >= rises_at else 1
            status = random.choice([200] * 40 + [404, 500])
            self.requests.append((at, route, status, round(factor * random.lognormvariate(3.5, 0.4), 1)))

    def write(self, path: Path) -> None:
        path.write_text(
            "".join(
                f'127.0.0.1 - - [{at.isoformat(timespec="milliseconds")[:-6]}Z] "GET {route}?n=1 HTTP/1.1" '
                f"{status} 5120 {latency}\n"
                for at, route, status, latency in self.requests
            )
        )

    def p95(self, route: str | None = None) -> float:
        latencies = [latency for _, of, _, latency in self.requests if route in (None, of)]
        return quantiles(latencies, n=100, method="inclusive")[94]


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return Traffic(count=12_000, seconds=3600, rises_at=START + timedelta(minutes=40))


@pytest.fixture
def log(root: Path, traffic: Traffic) -> Traffic:
    traffic.write(root / "access.log")
    return traffic


@pytest.mark.usefixtures("log")
class TestStatistics:
    async def test_totals_and_routes(self, log: Traffic) -> None:
        result = await statistics("access.log")

        assert result.total.count == 12_000
        assert result.total.errors == sum(status == 500 for _, _, status, _ in log.requests)
        assert result.total.p95_ms == pytest.approx(log.p95(), abs=0.001)
        assert {figures.route for figures in result.routes} == set(ROUTES)
        assert [figures.count for figures in result.routes] == sorted(
            (figures.count for figures in result.routes), reverse=True
        )
        for figures in result.routes:
            assert figures.p95_ms == pytest.approx(log.p95(figures.route), abs=0.001)
            assert figures.error_rate == pytest.approx(figures.errors / figures.count, abs=1e-6)
        assert (result.first, result.malformed_lines) == ("2026-11-02T08:00:00Z", 0)

    async def test_buckets(self, log: Traffic) -> None:
        result = await statistics("access.log", bucket="10m", series=True)

        assert [figures.start for figures in result.buckets] == [
            f"2026-11-02T08:{minute:02}:00Z" for minute in range(0, 60, 10)
        ]
        assert sum(figures.count for figures in result.buckets) == 12_000
        assert len(result.series) == 18
        first = [latency for at, _, _, latency in log.requests if at < START + timedelta(minutes=10)]
        assert result.buckets[0].p50_ms == pytest.approx(median(first), abs=0.001)

    async def test_one_route(self, log: Traffic) -> None:
        result = await statistics("access.log", route="/cart")

        assert [figures.route for figures in result.routes] == ["/cart"]
        assert result.total.p95_ms == pytest.approx(log.p95("/cart"), abs=0.001)

    async def test_the_failure_on_an_unknown_route_lists_known_ones(self) -> None:
        with pytest.raises(
            InvalidInput, match=r"no request for the route '/nope'; its busiest routes are .*/checkout"
        ):
            await statistics("access.log", route="/nope")

    async def test_too_many_buckets_for_a_result(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ORCHESTRATOR_TOOLS_MAX_RESULT_BYTES", "2000")

        with pytest.raises(InvalidInput, match=r"choose a longer bucket"):
            await statistics("access.log", bucket="1s")

    async def test_every_accepted_format_and_nothing_else(self, root: Path) -> None:
        request = {
            "timestamp": "2026-11-02T10:00:00+01:00",
            "url": "/json?x",
            "status": "200",
            "duration_ms": 3,
        }
        lines = [
            b'127.0.0.1 - - [2026-11-02T09:00:00.500Z] "GET /iso HTTP/1.1" 200 5120 37.4\r',
            b'::1 - ada [02/Nov/2026:10:00:01 +0100] "POST /apache HTTP/1.1" 503 - 1',
            b'1.2.3.4 - - [2026-11-02T09:00:02] "GET /agent HTTP/2" 200 1 "-" "say \\"hi\\"" 12',
            json.dumps(request).encode(),
            b"",
            b"not a request",
            b'127.0.0.1 - - [2026-11-02T09:00:00Z] "GET /no-latency HTTP/1.1" 200 5120',
            b'127.0.0.1 - - [yesterday] "GET /no-time HTTP/1.1" 200 5120 1',
            b'127.0.0.1 - - [2026-11-02T09:00:00Z] "GET /caf\xe9 HTTP/1.1" 200 5120 1',
            b'{"time": "2026-11-02T09:00:00Z", "path": "/cut',
            b"x" * 2_000_000,
        ]
        (root / "mixed.log").write_bytes(b"\n".join(lines))

        result = await statistics("mixed.log", bucket="1s")

        assert sorted(figures.route for figures in result.routes) == ["/agent", "/apache", "/iso", "/json"]
        assert [figures.start[17:19] for figures in result.buckets] == ["00", "01", "02"]
        assert result.malformed_lines == 6
        assert result.total.errors == 1

    async def test_identifiers_do_not_make_routes(self, root: Path) -> None:
        paths = [
            "/orders/1",
            "/orders/22/items/3?a=1",
            "/orders/0a1b2c3d-0000-4000-8000-000000000000",
            "/v2/orders",
        ]
        (root / "ids.log").write_text(
            "".join(f'h - - [2026-11-02T09:00:00Z] "GET {path} HTTP/1.1" 200 1 1\n' for path in paths)
        )

        result = await statistics("ids.log")

        assert {figures.route: figures.count for figures in result.routes} == {
            "/orders/{id}": 2, "/orders/{id}/items/{id}": 1, "/v2/orders": 1,
        }  # fmt: skip

    async def test_a_file_without_requests(self, root: Path) -> None:
        (root / "empty.log").write_text("")

        with pytest.raises(InvalidInput, match=r"has no access-log line"):
            await statistics("empty.log")

    async def test_a_hundred_thousand_lines_take_a_few_times_a_plain_pass_over_their_words(
        self, root: Path
    ) -> None:
        Traffic(count=100_000, seconds=40_000, rises_at=START).write(root / "large.log")

        started = time.process_time()
        words = len(re.findall(r"\S+", (root / "large.log").read_text()))
        plain = time.process_time() - started
        result = await statistics("large.log")
        work = time.process_time() - started - plain

        assert words > result.total.count == 100_000
        assert work < 8 * plain


@pytest.mark.usefixtures("log")
class TestChangePoint:
    async def test_when_and_which_route(self) -> None:
        result = await change_point("access.log")

        assert (result.found, result.start, result.end) == (True, "2026-11-02T08:40:00Z", None)
        assert result.buckets == 60
        assert result.routes[0].route == "/checkout"
        assert result.routes[0].ratio == pytest.approx(4, rel=0.1)
        assert all(change.ratio == pytest.approx(1, rel=0.1) for change in result.routes[1:])

    async def test_figures_are_medians_of_the_buckets(self) -> None:
        result = await change_point("access.log", route="/checkout", bucket="5m")

        buckets = (await statistics("access.log", route="/checkout", bucket="5m")).buckets
        before = median(figures.p95_ms for figures in buckets[:8])
        after = median(figures.p95_ms for figures in buckets[8:])
        assert result.before_ms == pytest.approx(before, abs=0.001)
        assert result.after_ms == pytest.approx(after, abs=0.001)
        assert result.ratio == pytest.approx(after / before, abs=0.001)

    async def test_a_route_that_did_not_change(self) -> None:
        result = await change_point("access.log", route="/cart", bucket="2m")

        assert (result.found, result.start, result.ratio) == (False, None, None)

    async def test_a_series(self) -> None:
        levels = [10.0] * 8 + [30.0] * 4 + [10.0] * 8
        series = [
            Point(start=f"2026-11-02T{hour:02}:00:00Z", value=value) for hour, value in enumerate(levels)
        ]

        result = await change_point(series=series)

        assert (result.start, result.end) == ("2026-11-02T08:00:00Z", "2026-11-02T12:00:00Z")
        assert (result.before_ms, result.after_ms, result.ratio) == (10.0, 30.0, 3.0)

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ({}, "give either `file`"),
            ({"file": "access.log", "bucket": "1h"}, "buckets are too few to compare"),
            ({"file": "access.log", "bucket": "1s"}, "too few to compare.*fewer than 10 requests"),
            ({"series": [Point(start=str(n), value=1) for n in range(2000)]}, "more than 1500"),
        ],
    )
    async def test_what_cannot_be_compared(self, arguments: dict[str, Any], reason: str) -> None:
        with pytest.raises(InvalidInput, match=reason):
            await change_point(**arguments)
