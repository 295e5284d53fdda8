"""Ended sessions on disk, found by their id or by their claim.

The file is a temporary database of SQLite: it belongs to this process alone, and is gone with it. A restore fills it
again from the snapshots topic.
"""

import sqlite3
import weakref
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final, NamedTuple
from uuid import UUID

from orchestrator.errors import UnavailableError
from orchestrator.messages.identity import has_key

_DAY_HOURS: Final = 24
_SETUP: Final = ("PRAGMA journal_mode = MEMORY", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -2048")
"""Nothing is restored from the file, so its journal may be lost with the process. Without one, a write that fails on a
full disk would leave a damaged file. Two MiB of it are cached in memory."""


class Entry(NamedTuple):
    """An ended session."""

    id: bytes
    """Its correlation id, 16 bytes."""
    claim: bytes | None
    """Whose it is, see `claim_of`; None if it is not known."""
    hour: int
    """The hour in which it ended: Unix time divided by 3600 seconds."""

    @property
    def correlation_id(self) -> str:
        return str(UUID(bytes=self.id))

    @property
    def day(self) -> int:
        return self.hour // _DAY_HOURS


_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS ids_{day} (id BLOB PRIMARY KEY, claim BLOB, hour INT) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS claims_{day} (claim BLOB PRIMARY KEY, id BLOB, hour INT) WITHOUT ROWID",
)
_DROP: Final = ("DROP TABLE IF EXISTS ids_{day}", "DROP TABLE IF EXISTS claims_{day}")
_ADD_IDS: Final = "INSERT OR REPLACE INTO ids_{day} (id, claim, hour) VALUES (?, ?, ?)"
_ADD_CLAIMS: Final = "INSERT OR REPLACE INTO claims_{day} (id, claim, hour) VALUES (?, ?, ?)"
_IDS: Final = "SELECT id FROM ids_{day}"
_WITH_ID: Final = "SELECT id, claim, hour FROM ids_{day} WHERE id = ?"
_WITH_CLAIM: Final = "SELECT id, claim, hour FROM claims_{day} WHERE claim = ?"


class EndedIndex:
    """Ended sessions of a partition, in tables of one day each: a day expires by dropping its tables.

    Its methods raise `UnavailableError` where the disk is full or does not respond.
    """

    def __init__(self) -> None:
        self._days: list[int] = []
        self._database: sqlite3.Connection | None = None

    def __iter__(self) -> Iterator[bytes]:
        """The ids, in no particular order."""
        for day in self._days:
            yield from (row[0] for row in self._rows(_IDS, day))

    def add(self, entries: Iterable[Entry]) -> None:
        in_order = sorted(entries, key=lambda entry: (entry.day, entry.id))
        for day, of_day in groupby(in_order, lambda entry: entry.day):
            self._add(day, list(of_day))

    def with_id(self, packed: bytes) -> Entry | None:
        """The session with this correlation id, in 16 bytes."""
        return self._newest(_WITH_ID, packed)

    def with_claim(self, claim: bytes) -> Entry | None:
        """The last session with this claim. Only those with a business key are found."""
        return self._newest(_WITH_CLAIM, claim)

    def drop_before(self, hour: int) -> None:
        """Drops the days that were over before this hour."""
        for day in [day for day in self._days if (day + 1) * _DAY_HOURS <= hour]:
            self._days.remove(day)
            for statement in _DROP:
                self._rows(statement, day)

    def _add(self, day: int, entries: list[Entry]) -> None:
        if day not in self._days:
            for statement in _CREATE:
                self._rows(statement, day)
            self._days = sorted([*self._days, day])
        # In the order of their keys, which takes a third of the time.
        self._write(_ADD_IDS, day, entries)
        by_hour = sorted(entries, key=lambda entry: entry.hour)
        keyed = {entry.claim: entry for entry in by_hour if entry.claim and has_key(entry.claim)}
        self._write(_ADD_CLAIMS, day, [keyed[claim] for claim in sorted(keyed)])

    def _newest(self, statement: str, name: bytes) -> Entry | None:
        for day in reversed(self._days):
            for row in self._rows(statement, day, name):
                return Entry(*row)
        return None

    def _rows(self, statement: str, day: int, *values: object) -> list[Any]:
        try:
            return self._opened().execute(statement.format(day=day), values).fetchall()
        except sqlite3.Error as error:
            raise _unavailable(error) from error

    def _write(self, statement: str, day: int, entries: list[Entry]) -> None:
        """All entries in one transaction."""
        try:
            with self._opened() as database:
                database.executemany(statement.format(day=day), entries)
        except sqlite3.Error as error:
            raise _unavailable(error) from error

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            # A partition is restored by one thread and may be closed by another, never at the same time.
            self._database = sqlite3.connect("", check_same_thread=False)
            weakref.finalize(self, self._database.close)
            for statement in _SETUP:
                self._database.execute(statement)
        return self._database


def _unavailable(error: sqlite3.Error) -> UnavailableError:
    return UnavailableError(
        f"ended sessions cannot be kept in the folder for temporary files: {error}. Is its disk full?"
    )
