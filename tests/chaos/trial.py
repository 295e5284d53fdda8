"""One trial: an installation with its fleet under load, and the check at its end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.local import StackAddress
from tests.chaos.archived import FILE, Archive
from tests.chaos.checker import Run, check
from tests.chaos.fleet import Fleet
from tests.chaos.load import Load
from tests.chaos.topics import LiveReader, Reader, Record
from tests.chaos.workloads import ARCHIVED, STEPS, Workload
from tests.support.installation import Installation

ROOT: Final = Path(__file__).parents[2]
SETTLED_S: Final = 600.0
"""Several times the timeout of a call, so that even calls whose reply was lost have been retried by then."""


@dataclass
class Trial:
    fleet: Fleet
    load: Load
    live: LiveReader
    read: Callable[[], Reader]
    archive: Archive | None = None
    """What the sink of the workload writes to."""

    def conclude(self) -> list[Record]:
        """Waits until every session has settled, stops all members, and checks the topics; returns their records."""
        self.load.await_settled(SETTLED_S, self.fleet.restart_crashed)
        if self.archive is not None:
            self.archive.await_stored(lambda: self.live.since(0), self.fleet.restart_crashed)
        codes = self.fleet.stop()
        seen_meanwhile = self.live.finish()
        records = self.read().catch_up()
        assert not self.fleet.crashed, "\n".join(self.fleet.crashed)
        assert set(codes.values()) == {0}, codes
        violations = check(records, seen_meanwhile)
        assert not violations, "\n".join(map(str, violations))
        if self.archive is not None:
            assert not (faults := self.archive.faults(records)), "\n".join(faults)
        assert Run(records).outcomes["TaskCompleted"] > self.load.submitted / 2
        return records


@contextmanager
def trial(
    installation: Installation, reading: Callable[[Installation], Reader], workload: Workload = STEPS
) -> Iterator[Trial]:
    """A ready fleet and a reader that reads all the time, without load yet."""
    with LiveReader(reading(installation)) as live, Fleet(installation, workload) as fleet:
        load = Load(installation, live, workload)
        archive = Archive(Path(installation.environment[FILE])) if workload is ARCHIVED else None
        try:
            yield Trial(fleet, load, live, lambda: reading(installation), archive)
        finally:
            load.close()


def installed(address: StackAddress, prefix: str, folder: Path, workload: Workload = STEPS) -> Installation:
    """An installation with the agents of the workload."""
    agents = folder / "agents"
    agents.mkdir()
    (agents / "agents.yaml").write_text(workload.module.AGENTS)
    environment = {
        FILE: str(folder / "archive.sqlite"),
        # Modules of agents and sinks are named as modules of these tests.
        "PYTHONPATH": str(ROOT),
    }
    made = Installation(address, prefix, folder, environment)
    made.apply(agents)
    return made


@contextmanager
def readers() -> Iterator[Callable[[Installation], Reader]]:
    """Opens plain readers of an installation's topics; closes them at the end."""
    opened: list[Reader] = []

    def read(installation: Installation) -> Reader:
        address = installation.address
        opened.append(Reader(address.bootstrap_servers, address.schema_registry_url, installation.prefix))
        return opened[-1]

    yield read
    for reader in opened:
        reader.close()
