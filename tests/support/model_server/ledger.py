"""What the server has seen: each request, what became of it, and what was charged."""

import json
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.support.model_server.requests import Request
from tests.support.model_server.usage import Usage


class Outcome(StrEnum):
    OPEN = "open"
    """Not yet sent to its end."""
    ANSWERED = "answered"
    """Sent to its end, on a connection that was up. Whether the client still read it, only the client knows."""
    LOST = "lost"
    """The connection broke before the end, or the server ended. Where it has usage, it is charged all the same."""
    REFUSED = "refused"
    """Answered by an error."""
    INVALID = "invalid"
    """The server does not understand the request, or its script failed: the test is wrong."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A request of the log."""

    number: int
    received_at: float
    """Seconds since the epoch."""
    model: str
    conversation: str
    task: str
    """The first user message."""
    turn: int
    seen: int
    """The how manieth time this turn of this conversation was asked for, from 1."""
    streamed: bool
    outcome: Outcome = Outcome.OPEN
    status: int = 0
    """Of HTTP; 0 where none was sent."""
    error: str | None = None
    usage: Usage | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def entry_of(document: dict[str, Any]) -> Entry:
    usage = document["usage"]
    values = {**document, "outcome": Outcome(document["outcome"]), "usage": usage and Usage(**usage)}
    return Entry(**values)


class Ledger:
    """The log of requests, in memory and, if a path is given, in a file that the next process reads.

    In the file the last line of a number counts, so that a process may be killed at any time.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._changed = threading.Condition()
        self._entries: dict[int, Entry] = {}
        self._seen: Counter[tuple[str, int]] = Counter()
        self._path = path
        if path is not None and path.exists():
            self._read(path)

    @property
    def entries(self) -> list[Entry]:
        with self._changed:
            return list(self._entries.values())

    def open(self, request: Request) -> Entry:
        """Notes a request that has come."""
        with self._changed:
            turn = (request.conversation, request.turn)
            self._seen[turn] += 1
            entry = Entry(
                len(self._entries) + 1,
                time.time(),
                request.model,
                request.conversation,
                request.task,
                request.turn,
                self._seen[turn],
                request.streamed,
            )
            self._write(entry)
        return entry

    def change(self, number: int, **values: Any) -> None:
        with self._changed:
            self._write(replace(self._entries[number], **values))

    def wait_settled(self, wait_s: float) -> bool:
        """Whether no request is open within the time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._is_any_open(), wait_s)

    def _is_any_open(self) -> bool:
        return any(each.outcome == Outcome.OPEN for each in self._entries.values())

    def _write(self, entry: Entry) -> None:
        self._entries[entry.number] = entry
        self._changed.notify_all()
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(entry.to_json()) + "\n")

    def _read(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        # A process that was killed may have left half a line.
        complete = text[: text.rfind("\n") + 1]
        path.write_text(complete, encoding="utf-8")
        for line in complete.splitlines():
            entry = entry_of(json.loads(line))
            self._entries[entry.number] = entry
        self._seen.update((entry.conversation, entry.turn) for entry in self._entries.values())
        for entry in self.entries:
            if entry.outcome == Outcome.OPEN:
                self.change(entry.number, outcome=Outcome.LOST)
