"""A rolling upgrade as in docs/deploy.md: schemas, then readers, then writers, one process at a time."""

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Final

import pytest

from orchestrator.local import LocalStack, StackAddress
from tests.chaos.fleet import Member
from tests.chaos.load import Load
from tests.chaos.topics import Reader, Record
from tests.chaos.trial import Trial, installed, readers, trial
from tests.support.installation import COMMAND_S, Installation
from tests.support.newer_version import CHANGED, NewerVersion

IN_FLIGHT: Final = 30
BEFORE_S: Final = 30.0
BETWEEN_S: Final = 3.0
REPLACED_S: Final = 90.0
READERS_FIRST: Final = ("services-0", "services-1", "orchestrator-0", "orchestrator-1")


@dataclass(frozen=True)
class Completed:
    """A session that reached its goal."""

    begun: datetime
    ended: datetime

    @property
    def seconds(self) -> float:
        return (self.ended - self.begun).total_seconds()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StackAddress]:
    with LocalStack(tmp_path / "stack", short_lived=True) as running:
        yield running.address


@pytest.fixture
def installation(stack: StackAddress, tmp_path: Path) -> Installation:
    return installed(stack, "upgrade.", tmp_path)


@pytest.fixture
def reading() -> Iterator[Callable[[Installation], Reader]]:
    with readers() as read:
        yield read


@pytest.mark.deploy
def test_a_rolling_upgrade_under_load_loses_nothing_and_delays_little(
    installation: Installation, reading: Callable[[Installation], Reader], tmp_path: Path
) -> None:
    newer = NewerVersion.made_in(tmp_path / "newer")
    with trial(installation, reading) as chaos:
        # given: sessions that flow through the current version
        chaos.load.flow(IN_FLIGHT, BEFORE_S)
        begun = datetime.now(UTC)
        # when: the schemas of the next version are registered, and process after process is replaced
        _apply_schemas(newer, installation)
        for name in READERS_FIRST:
            _replace(chaos, name, newer)
            chaos.load.flow(IN_FLIGHT, BETWEEN_S)
        ended = datetime.now(UTC)
        records = chaos.conclude()
    # then: nothing was lost, nothing came twice (`conclude`), both versions wrote while the other one read
    for changed in CHANGED:
        name = changed.rpartition("/")[2]
        assert _versions(record for record in records if record.name == name) == {False, True}, name
    # and sessions in flight meanwhile took less than twice as long
    completed = list(_completed(records))
    before = [one.seconds for one in completed if one.ended < begun]
    meanwhile = [one.seconds for one in completed if one.begun < ended and one.ended > begun]
    assert _p95(meanwhile) < 2 * _p95(before), (_p95(before), _p95(meanwhile))


def _apply_schemas(newer: NewerVersion, installation: Installation) -> None:
    environment = {**installation.environment, **newer.environment}
    command = [*newer.program, "schemas", "apply"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    assert done.returncode == 0, done.stderr


def _replace(chaos: Trial, name: str, newer: NewerVersion) -> None:
    """Replaces it as a cluster does: SIGTERM, the old one drains and ends, the new one starts in its slot."""
    old = chaos.fleet.members[name]
    old.running.terminate()
    _flow_until(chaos.load, lambda: old.has_ended)
    assert old.running.returncode == 0, old.since_start()
    new: Member = replace(
        old, program=newer.program, environment={**old.environment, **newer.environment}, process=None
    )
    chaos.fleet.members[name] = new
    new.start()
    _flow_until(chaos.load, lambda: new.is_ready)


def _flow_until(load: Load, reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + REPLACED_S
    while not reached():
        assert time.monotonic() < deadline, f"not within {REPLACED_S:.0f} s"
        load.top_up(IN_FLIGHT)
        time.sleep(0.05)


def _versions(records: Iterable[Record]) -> set[bool]:
    """Whether records have the field that the newer version adds."""
    return {"added_later" in record.body for record in records}


def _completed(records: Iterable[Record]) -> Iterator[Completed]:
    begun: dict[str, datetime] = {}
    for record in records:
        if record.name == "TaskReceived":
            begun[record.session] = record.body["occurred_at"]
        elif record.name == "TaskCompleted":
            yield Completed(begun[record.session], record.body["occurred_at"])


def _p95(seconds: list[float]) -> float:
    return quantiles(seconds, n=20)[-1]
