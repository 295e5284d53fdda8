"""The generator of the incident example: the same bytes, a realistic size, one incident in the noise."""

import csv
import hashlib
import json
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import mean

from tests.support import incident_example
from tests.support.incident_figures import BUCKET, Findings, Request, expected_findings, p95

generate = incident_example.load("generate")

FILES = ("access.log", "metrics.csv", "deploys.json")
SHA256_OF_DEFAULT_SEED = {
    "access.log": "a6fb7fe8186ab3b427b41150a6d6945f08ec4ddc11ab474b6ed97da795752513",
    "metrics.csv": "7bf458070a24a7db74530e96ccf028bf36dcd59fc018c37e95b219e936519355",
    "deploys.json": "b63842b83acaff413cc4699b35e1241a6e4f4db2137ba550d5074b00e07dd5c7",
}


def test_default_seed_gives_the_documented_bytes(data: Path) -> None:
    assert {name: _sha256(data / name) for name in FILES} == SHA256_OF_DEFAULT_SEED


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    command = [sys.executable, str(incident_example.FOLDER / "generate.py"), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, env={"PYTHONHASHSEED": "7"})

    assert {name: _sha256(tmp_path / name) for name in FILES} == SHA256_OF_DEFAULT_SEED


def test_figures_name_the_incident_that_was_made(findings: Findings) -> None:
    assert _incident(findings) == generate.INCIDENT
    assert findings.factor > 3


def test_another_seed_writes_another_day_with_the_same_incident(data: Path, tmp_path: Path) -> None:
    generate.generate(tmp_path, seed=1)

    assert _sha256(tmp_path / "access.log") != _sha256(data / "access.log")
    assert _incident(expected_findings(tmp_path)) == generate.INCIDENT


def test_log_has_the_size_of_a_real_one_and_runs_forward(requests: list[Request]) -> None:
    assert 95_000 <= len(requests) <= 110_000
    assert len({request.route for request in requests}) == 12
    assert all(earlier.time <= later.time for earlier, later in pairwise(requests))


def test_rate_follows_the_day(requests: list[Request]) -> None:
    by_hour = Counter(request.time.hour for request in requests)

    assert by_hour[6] < 0.5 * by_hour[12]
    assert set(by_hour) == set(range(6, 18))


def test_incident_is_a_shift_and_the_red_herrings_are_not(requests: list[Request]) -> None:
    changed_at = datetime.fromisoformat(generate.INCIDENT.changed_at)

    checkout = _p95_of_buckets(requests, "/checkout", since=changed_at)
    search = _p95_of_buckets(requests, "/search", since=datetime.fromisoformat("2026-11-02T11:10:00Z"))

    assert min(checkout) > 600
    assert search[0] > 600
    assert max(search[1:6]) < 350


def test_slowest_route_is_not_the_one_that_changed(requests: list[Request]) -> None:
    export = [request.latency_ms for request in requests if request.route == "/reports/export"]
    checkout = [request.latency_ms for request in requests if request.route == "/checkout"]

    assert p95(export) > p95(checkout)


def test_pool_and_database_follow_the_incident_and_cpu_of_the_hosts_does_not(data: Path) -> None:
    with (data / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    def change(host: str, column: str) -> float:
        of_host = [row for row in rows if row["host"] == host]
        before = [float(row[column]) for row in of_host if "T14:00" <= row["time"][10:16] < "T14:30"]
        after = [float(row[column]) for row in of_host if "T14:45" <= row["time"][10:16] < "T15:15"]
        assert len(before) == len(after) == 30
        return mean(after) / mean(before)

    assert change("checkout-1", "db_pool_in_use") > 2.5
    assert change("db-1", "cpu_percent") > 1.5
    assert change("orders-1", "queue_depth") > 5
    assert 0.8 < change("checkout-1", "cpu_percent") < 1.25
    assert 0.8 < change("cart-1", "db_pool_in_use") < 1.25


def test_decoys_are_close_in_time_and_one_deploy_explains_the_incident(data: Path) -> None:
    deploys = json.loads((data / "deploys.json").read_text(encoding="utf-8"))
    changed_at = datetime.fromisoformat(generate.INCIDENT.changed_at)

    def after_change(deploy: dict[str, str]) -> timedelta:
        return datetime.fromisoformat(deploy["time"]) - changed_at

    near = [d for d in deploys if abs(after_change(d)) < timedelta(minutes=10)]
    explaining = [d for d in near if "/checkout" in d["routes"] and after_change(d) <= timedelta(0)]

    assert 20 <= len(deploys) <= 30
    assert len(near) == 4
    assert [(d["service"], d["version"]) for d in explaining] == [("checkout", "2.14.0")]


def _incident(found: Findings) -> tuple[str, str, str, str]:
    return found.route, found.changed_at.strftime("%Y-%m-%dT%H:%M:%SZ"), found.service, found.version


def _p95_of_buckets(requests: list[Request], route: str, since: datetime) -> list[float]:
    """One value per bucket of five minutes, from `since` on, for half an hour at most."""
    latencies: list[list[float]] = [[] for _ in range(6)]
    for request in requests:
        index = (request.time - since) // BUCKET
        if request.route == route and 0 <= index < len(latencies):
            latencies[index].append(request.latency_ms)
    return [p95(bucket) for bucket in latencies]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
