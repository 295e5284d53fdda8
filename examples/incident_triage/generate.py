"""Generates the data of the incident that the example triages: one working day of a small web shop.

`generate(folder)` writes three files, the same bytes for the same seed on every machine:

- `access.log`: about 100,000 requests in common log format, with ISO 8601 UTC times and the latency in ms at the end
- `metrics.csv`: a row per host and minute; a cell is empty if the host has no such resource
- `deploys.json`: the deploys of five days

Latencies come from piecewise linear quantile tables, and the only source of randomness is `Random.random()`,
whose sequence Python guarantees: neither a C library's `exp` nor a new Python version changes a digit.

    python generate.py FOLDER [SEED]
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

DAY = "2026-11-02"
FIRST_HOUR, HOURS = 6, 12
SEED = 20261102

Quantiles = Sequence[tuple[float, float]]


class Dataset(NamedTuple):
    """Paths of the three files."""

    log: Path
    metrics: Path
    deploys: Path


class Incident(NamedTuple):
    """What really happened; only the tests may read it.

    `changed_at` is when the new release took all traffic, 100 seconds after its deploy began.
    """

    route: str
    changed_at: str
    service: str
    version: str


INCIDENT = Incident("/checkout", f"{DAY}T14:35:00Z", "checkout", "2.14.0")


class Route(NamedTuple):
    """One route: its share of the traffic per mille, its median latency in ms, its typical body in bytes."""

    method: str
    path: str
    share: int
    median_ms: float
    size: int
    errors: dict[int, int]
    """Responses per mille by status; the rest have the status `ok`."""
    ok: int = 200


ROUTES = (
    Route("GET", "/", 150, 18.0, 14200, {304: 180, 500: 1}),
    Route("GET", "/search", 145, 64.0, 22800, {400: 6, 500: 2}),
    Route("GET", "/products", 140, 31.0, 18400, {304: 60, 404: 9, 500: 1}),
    Route("GET", "/products/reviews", 80, 27.0, 9600, {404: 14, 500: 1}),
    Route("GET", "/recommendations", 105, 46.0, 6100, {503: 3}),
    Route("GET", "/cart", 70, 24.0, 3900, {401: 4, 500: 1}),
    Route("POST", "/cart", 60, 38.0, 1200, {400: 7, 409: 5, 500: 1}, ok=201),
    Route("GET", "/checkout", 40, 105.0, 5100, {401: 3, 500: 2}),
    Route("POST", "/checkout", 60, 120.0, 2300, {400: 9, 402: 21, 500: 3}, ok=201),
    Route("POST", "/login", 35, 88.0, 700, {401: 92, 429: 8, 500: 1}),
    Route("GET", "/orders", 40, 52.0, 8700, {401: 5, 500: 1}),
    Route("GET", "/account", 25, 33.0, 4400, {401: 8, 500: 1}),
    Route("GET", "/reports/export", 10, 640.0, 310000, {403: 11, 500: 6}),
    Route("GET", "/healthz", 40, 1.2, 15, {}),
)

NORMAL: Quantiles = (
    (0.0, 0.45), (0.25, 0.8), (0.5, 1.0), (0.75, 1.4), (0.9, 2.0),
    (0.95, 2.6), (0.99, 5.0), (0.999, 12.0), (1.0, 26.0),
)  # fmt: skip
"""Latency as a multiple of the route's median, by cumulative probability: long-tailed."""

REGRESSED: Quantiles = (
    (0.0, 0.6), (0.25, 1.3), (0.5, 2.1), (0.75, 4.0), (0.9, 6.6),
    (0.95, 8.8), (0.99, 15.0), (0.999, 26.0), (1.0, 48.0),
)  # fmt: skip
"""The same for the route of the incident after the change: baskets with many lines suffer most."""

TABLE_SIZE = 10_000
GATEWAY_TIMEOUT_MS = 5000.0
PEAK_PER_MINUTE = 182.0
RATE_BY_HOUR = (0.22, 0.4, 0.6, 0.76, 0.86, 0.93, 1.0, 0.96, 0.88, 0.85, 0.87, 0.94, 1.0)
"""Share of the peak rate at 06:00, 07:00, … 18:00; linear in between."""


class Spike(NamedTuple):
    """A temporary disturbance; `path` None means every route."""

    minute: int
    length: int
    path: str | None
    slowdown: float


SPIKES = (
    Spike(3 * 60 + 41, 2, None, 3.5),
    Spike(5 * 60 + 10, 4, "/search", 7.0),
    Spike(7 * 60 + 52, 2, "/recommendations", 6.0),
    Spike(10 * 60 + 6, 3, "/reports/export", 2.5),
    Spike(11 * 60 + 20, 1, "/login", 9.0),
)
CHANGE_MINUTE = (14 - FIRST_HOUR) * 60 + 35


class Host(NamedTuple):
    """One host: percent of CPU when idle and in addition at the peak, percent of memory, size of its database pool."""

    service: str
    name: str
    idle_cpu: float
    load_cpu: float
    memory: float
    pool: int = 0
    queue: bool = False


HOSTS = (
    Host("web", "web-1", 9, 38, 48),
    Host("web", "web-2", 9, 37, 49),
    Host("checkout", "checkout-1", 7, 24, 55, pool=40),
    Host("checkout", "checkout-2", 7, 25, 54, pool=40),
    Host("search", "search-1", 14, 46, 71),
    Host("cart", "cart-1", 6, 21, 44, pool=30),
    Host("orders", "orders-1", 6, 18, 46, pool=20, queue=True),
    Host("reports", "reports-1", 5, 12, 30, pool=10),
    Host("postgres", "db-1", 12, 30, 78),
)
METRICS_HEADER = "time,service,host,cpu_percent,memory_percent,db_pool_in_use,db_pool_size,queue_depth"

DEPLOYS: tuple[tuple[str, str, str, str, str, list[str]], ...] = (
    ("2026-10-29T09:12:40Z", "web", "7.0.3", "ines", "Serve images as AVIF", ["/", "/products"]),
    ("2026-10-29T10:47:05Z", "search", "5.7.0", "tomasz", "Synonyms for sizes", ["/search"]),
    ("2026-10-29T13:30:22Z", "checkout", "2.12.4", "amara", "Log the payment reference", ["/checkout"]),
    ("2026-10-29T15:58:51Z", "reports", "1.4.0", "jonas", "Export as Parquet", ["/reports/export"]),
    ("2026-10-30T08:41:19Z", "cart", "3.1.8", "li-wei", "Keep a cart for thirty days", ["/cart"]),
    ("2026-10-30T09:25:33Z", "login", "4.0.1", "ines", "Lock out after ten attempts", ["/login", "/account"]),
    ("2026-10-30T11:02:48Z", "checkout", "2.13.0", "amara", "Vouchers on gift cards", ["/checkout", "/cart"]),
    ("2026-10-30T11:36:10Z", "checkout", "2.13.1", "amara", "Round vouchers down", ["/checkout"]),
    ("2026-10-30T14:20:02Z", "orders", "6.2.0", "farid", "Page the order list", ["/orders"]),
    ("2026-10-30T16:11:57Z", "recommendations", "0.9.7", "tomasz", "New ranking model", ["/recommendations"]),
    ("2026-10-31T10:05:44Z", "search", "5.7.1", "tomasz", "Fix plural synonyms", ["/search"]),
    ("2026-10-31T12:48:26Z", "web", "7.0.4", "ines", "Inline critical styles", ["/", "/products"]),
    ("2026-11-01T18:22:13Z", "postgres", "16.4-r2", "farid", "Raise work_mem to 32 MB", []),
    ("2026-11-02T06:40:31Z", "reports", "1.4.1", "jonas", "Stream large exports", ["/reports/export"]),
    ("2026-11-02T08:15:08Z", "products", "9.3.0", "li-wei", "Reviews with photos", ["/products/reviews"]),
    ("2026-11-02T09:39:50Z", "cart", "3.2.0", "li-wei", "Merge carts at login", ["/cart", "/login"]),
    ("2026-11-02T11:06:17Z", "search", "5.8.0", "tomasz", "Rebuild the index online", ["/search"]),
    ("2026-11-02T12:31:39Z", "recommendations", "0.9.8", "tomasz", "Cache by segment", ["/recommendations"]),
    ("2026-11-02T13:44:12Z", "payments", "1.9.4", "amara", "Rotate the card gateway's key", ["/checkout"]),
    ("2026-11-02T14:29:45Z", "search", "5.8.1", "tomasz", "Drop the old index", ["/search"]),
    ("2026-11-02T14:33:20Z", "checkout", "2.14.0", "farid", "Reserve stock line by line", ["/checkout"]),
    ("2026-11-02T14:34:30Z", "web", "7.1.0", "ines", "Banner of the winter sale", ["/", "/products"]),
    ("2026-11-02T14:41:10Z", "cart", "3.2.1", "li-wei", "Show stock in the cart", ["/cart", "/checkout"]),
    ("2026-11-02T15:27:55Z", "orders", "6.2.1", "farid", "Index for the order list", ["/orders"]),
    ("2026-11-02T16:02:20Z", "reports", "1.4.2", "jonas", "Compress exports", ["/reports/export"]),
    ("2026-11-02T17:18:09Z", "login", "4.0.2", "ines", "Explain a lock-out", ["/login"]),
)


def generate(folder: Path, seed: int = SEED) -> Dataset:
    """Writes the three files into `folder`, creating it if needed and replacing older files."""
    folder.mkdir(parents=True, exist_ok=True)
    data = Dataset(folder / "access.log", folder / "metrics.csv", folder / "deploys.json")
    _write(data.log, _access_log(Random(seed)))  # noqa: S311 - repeatable data, not a secret
    _write(data.metrics, _metrics(Random(seed + 1)))  # noqa: S311
    _write(data.deploys, [json.dumps(_deploys(), indent=1)])
    return data


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _access_log(random: Random) -> list[str]:
    chance = random.random
    by_share = [index for index, route in enumerate(ROUTES) for _ in range(route.share)]
    statuses = [_per_mille(route.errors, route.ok) for route in ROUTES]
    normal, regressed = _table(NORMAL), _table(REGRESSED)
    clients = [f"10.0.{1 + int(30 * chance())}.{1 + int(254 * chance())}" for _ in range(3000)]
    lines = []
    for minute in range(HOURS * 60):
        clock, rate = _clock(minute), _rate(minute)
        scales = [route.median_ms * (1 + 0.12 * rate) * _slowdown(minute, route.path) for route in ROUTES]
        tables = [regressed if _is_regressed(minute, route) else normal for route in ROUTES]
        count = int(PEAK_PER_MINUTE * rate * (0.92 + 0.16 * chance()))
        for millis in sorted([int(60_000 * chance()) for _ in range(count)]):
            index = by_share[int(1000 * chance())]
            route, status = ROUTES[index], statuses[index][int(1000 * chance())]
            latency = scales[index] * tables[index][int(TABLE_SIZE * chance())]
            if latency > GATEWAY_TIMEOUT_MS:
                latency, status = GATEWAY_TIMEOUT_MS, 504
            size = 0 if status == 304 else int(route.size * (0.6 + 0.8 * chance()))
            client = clients[int(3000 * chance() * chance())]
            lines.append(
                f"{client} - - [{clock}:{millis // 1000:02d}.{millis % 1000:03d}Z] "
                f'"{route.method} {route.path} HTTP/1.1" {status} {size} {latency:.1f}'
            )
    return lines


def _is_regressed(minute: int, route: Route) -> bool:
    return minute >= CHANGE_MINUTE and route.path == INCIDENT.route


def _slowdown(minute: int, path: str) -> float:
    factor = 1.0
    for spike in SPIKES:
        if spike.minute <= minute < spike.minute + spike.length and spike.path in (None, path):
            factor *= spike.slowdown
    return factor


def _metrics(random: Random) -> list[str]:
    return [METRICS_HEADER] + [
        f"{_clock(minute)}:00Z,{host.service},{host.name},{_resources(minute, host, random)}"
        for minute in range(HOURS * 60)
        for host in HOSTS
    ]


def _resources(minute: int, host: Host, random: Random) -> str:
    """CPU, memory, pool in use, pool size and queue depth of one host in one minute, as cells of the CSV.

    During the incident, requests hold database connections for longer: the pools of the checkout hosts fill
    within four minutes, the load of the database rises, and orders queue up. The checkout hosts only wait, so
    their CPU does not change. The index rebuild at 11:06 and the slow leak of the reports host are unrelated.
    """
    rate = _rate(minute)
    impact = min(1.0, max(0.0, (minute - CHANGE_MINUTE + 1) / 4))
    cpu = host.idle_cpu + host.load_cpu * rate + 6 * (random.random() - 0.5)
    memory = host.memory + 4 * rate + 2 * random.random()
    if host.service == "postgres":
        cpu += 27 * impact
    if host.service == "search" and 306 <= minute < 330:
        cpu = 91 + 6 * random.random()
    if host.service == "reports":
        memory += 50 * (minute % 240) / 240
    in_use = size = queue = ""
    if host.pool:
        share = 0.12 + 0.14 * rate + 0.08 * random.random()
        if host.service == "checkout":
            share += 0.55 * impact
        in_use, size = str(round(host.pool * min(1.0, share))), str(host.pool)
    if host.queue:
        queue = str(int(3 + 9 * rate * random.random() + 60 * impact * (0.7 + 0.6 * random.random())))
    return f"{min(cpu, 100.0):.1f},{memory:.1f},{in_use},{size},{queue}"


def _deploys() -> list[dict[str, object]]:
    fields = ("time", "service", "version", "author", "summary", "routes")
    return [dict(zip(fields, deploy, strict=True)) for deploy in DEPLOYS]


def _clock(minute: int) -> str:
    return f"{DAY}T{FIRST_HOUR + minute // 60:02d}:{minute % 60:02d}"


def _rate(minute: int) -> float:
    """Share of the peak rate."""
    hour, rest = divmod(minute, 60)
    return RATE_BY_HOUR[hour] + (RATE_BY_HOUR[hour + 1] - RATE_BY_HOUR[hour]) * rest / 60


def _table(quantiles: Quantiles) -> list[float]:
    """`TABLE_SIZE` equally likely values with these quantiles."""
    values = []
    segment = 0
    for index in range(TABLE_SIZE):
        probability = (index + 0.5) / TABLE_SIZE
        while probability > quantiles[segment + 1][0]:
            segment += 1
        (low, at_low), (high, at_high) = quantiles[segment], quantiles[segment + 1]
        values.append(at_low + (at_high - at_low) * (probability - low) / (high - low))
    return values


def _per_mille(shares: dict[int, int], rest: int) -> list[int]:
    table = [status for status, share in shares.items() for _ in range(share)]
    return table + [rest] * (1000 - len(table))


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit("usage: python generate.py FOLDER [SEED]")
    written = generate(Path(sys.argv[1]), *map(int, sys.argv[2:]))
    print(*written, sep="\n")  # noqa: T201
