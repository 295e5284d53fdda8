"""One trial: an installation with its fleet under load, and the judgement at its end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.local import StackAddress
from tests.chaos import workload
from tests.chaos.checker import Run, check
from tests.chaos.fleet import Fleet
from tests.chaos.load import Load
from tests.chaos.topics import LiveReader, Reader, Record
from tests.support.installation import Installation

SETTLED_S: Final = 600.0
"""Several times what a call may wait that nobody answers: even what was lost has been driven again by then."""


@dataclass
class Trial:
    fleet: Fleet
    load: Load
    live: LiveReader
    read: Callable[[], Reader]

    def conclude(self) -> list[Record]:
        """Every session settles, all members end in order, and the topics tell a run without a fault: this one."""
        self.load.await_settled(SETTLED_S, self.fleet.restart_fallen)
        codes = self.fleet.stop()
        seen_meanwhile = self.live.finish()
        records = self.read().catch_up()
        assert not self.fleet.fallen, "\n".join(self.fleet.fallen)
        assert set(codes.values()) == {0}, codes
        violations = check(records, seen_meanwhile)
        assert not violations, "\n".join(map(str, violations))
        assert Run(records).outcomes["TaskCompleted"] > self.load.submitted / 2
        return records


@contextmanager
def trial(installation: Installation, reading: Callable[[Installation], Reader]) -> Iterator[Trial]:
    """A fleet that is ready, a reader that runs all the while, and no load yet."""
    with LiveReader(reading(installation)) as live, Fleet(installation) as fleet:
        load = Load(installation, live)
        try:
            yield Trial(fleet, load, live, lambda: reading(installation))
        finally:
            load.close()


def installed(address: StackAddress, prefix: str, folder: Path) -> Installation:
    """An installation with the agents of the workload."""
    agents = folder / "agents"
    agents.mkdir()
    (agents / "agents.yaml").write_text(workload.AGENTS)
    made = Installation(address, prefix, folder)
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
