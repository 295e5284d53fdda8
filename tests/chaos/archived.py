"""What the sink of a trial has to store: every event about a task once, but for those that it refuses."""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from tests.chaos.topics import Place, Record

NAME: Final = "chaos-archive"
FILE: Final = "CHAOS_ARCHIVE"
"""The variable that names its database."""
PREFIX: Final = "Task"
"""It stores the events whose names begin so."""
REFUSED_EVERY: Final = 100
"""Of one in this many tasks it cannot store that the task was received."""
_TOPICS: Final = ("sessions", "events")
_STORED_S: Final = 240.0


def is_refused(name: str, goal: Any) -> bool:
    """Whether the sink cannot store an event of this name, of a task with this goal."""
    number = str(goal).removeprefix("task ")
    return name == "TaskReceived" and number.isdigit() and int(number) % REFUSED_EVERY == 10


def refused(records: Iterable[Record]) -> set[Place]:
    """The places of the events that the sink cannot store."""
    return {
        record.place
        for record in records
        if record.topic in _TOPICS and is_refused(record.name, record.body.get("goal"))
    }


class Archive:
    """The database that the sink writes to, in another process."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def await_stored(self, records: Callable[[], Sequence[Record]], each: Callable[[], None]) -> None:
        """Waits until everything among `records` is stored or set aside; calls `each` repeatedly meanwhile."""
        deadline = time.monotonic() + _STORED_S
        while missing := self._missing(records()):
            assert time.monotonic() < deadline, f"not stored within {_STORED_S:.0f} s: {sorted(missing)[:10]}"
            each()
            time.sleep(0.5)

    def faults(self, records: Sequence[Record]) -> list[str]:
        """What is missing, what is stored twice, and what is refused without a dead letter."""
        set_aside = _set_aside(records)
        return [
            *(f"{place} is not stored" for place in sorted(self._missing(records))),
            *(f"{place} is stored {count} times" for place, count in self._stored().items() if count > 1),
            *(f"{place} has no dead letter" for place in sorted(refused(records) - set_aside)),
        ]

    def _missing(self, records: Iterable[Record]) -> set[Place]:
        due = {each.place for each in records if each.topic in _TOPICS and each.name.startswith(PREFIX)}
        return due - self._stored().keys() - _set_aside(records)

    def _stored(self) -> Counter[Place]:
        with closing(sqlite3.connect(self._file)) as database:
            return Counter(database.execute("SELECT topic, part, number FROM stored").fetchall())


def _set_aside(records: Iterable[Record]) -> set[Place]:
    """The places of records that the sink has written dead letters about."""
    return {
        place
        for record in records
        if record.body.get("service") == NAME and (place := record.subject) is not None
    }
