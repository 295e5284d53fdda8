"""The sink of a trial, a plug-in of processes that are killed."""

import os
import sqlite3
from collections.abc import Sequence
from typing import Final

from orchestrator.sdk import Delivery, Positions, sink
from tests.chaos.archived import FILE, NAME, PREFIX, is_refused

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS stored (topic TEXT, part INTEGER, number INTEGER);
CREATE TABLE IF NOT EXISTS next (topic TEXT, part INTEGER, number INTEGER, PRIMARY KEY (topic, part));
"""


@sink(NAME, f"{PREFIX}*")
class Archive:
    """Stores places in a table without a key, so that what is stored twice shows."""

    def __init__(self) -> None:
        self._database = sqlite3.connect(os.environ[FILE], check_same_thread=False)
        self._database.executescript(_TABLES)

    def positions(self) -> Positions:
        rows = self._database.execute("SELECT topic, part, number FROM next")
        return {(topic, partition): offset for topic, partition, offset in rows}

    def write(self, batch: Sequence[Delivery], positions: Positions) -> None:
        with self._database:
            for one in batch:
                goal = getattr(one.message, "goal", None)
                if is_refused(type(one.message).__name__, goal):
                    raise ValueError(f"the archive has no place for {goal}")
                place = (one.topic, one.partition, one.offset)
                self._database.execute("INSERT INTO stored VALUES (?, ?, ?)", place)
            rows = [(*position, offset) for position, offset in positions.items()]
            self._database.executemany("INSERT OR REPLACE INTO next VALUES (?, ?, ?)", rows)

    def close(self) -> None:
        self._database.close()
