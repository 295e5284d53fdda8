"""Which schemas the records of a topic may be written with: those of the topic's own subjects, and no others.

A registry is shared, and so are ids: any id may stand in a record, of anybody's schema. The subjects of a topic are
listed when a process starts and again when a record names an id that is not among theirs. The lists are read by a
thread of its own, so no record waits for the registry but those of such an id, and a flood of them costs a few lists a
second. What a list has found counts at once, however long the rest of it takes.
"""

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from uuid import UUID

from orchestrator.bus.errors import SchemaPending, SchemaUnresolved
from orchestrator.errors import ContractError, OrchestratorError
from orchestrator.messages.catalogue import Topic

logger: Final = logging.getLogger(__name__)

Key: TypeAlias = int | UUID
"""Id or GUID of a schema."""

SET_ASIDE_S: Final = 30.0
"""How long the registry may not respond before records of unknown ids are set aside: longer than its restart takes."""
_LONGEST_WAIT: Final = 10
"""For how many times `SET_ASIDE_S` an id waits at most, while the registry does respond but lists take that long."""
_SHORT_WAIT_S: Final = 3.0
"""How long an id waits that comes up when the registry has not responded for that long already."""
ABSENT_S: Final = 5.0
"""How long an id counts as foreign. Somebody may write an id that is registered only afterwards, so not for long."""
_SHORTEST_GAP_S: Final = 0.2
_LONGEST_GAP_S: Final = 5.0
_GAP_PER_LIST: Final = 4
"""Between two lists of a topic, in durations of the last one: a flood of ids takes a fifth of a registry's client.
Within bounds: an id that comes up after a list waits for the gap and the next list."""
_RETRY_S: Final = 1.0
_MOST_KEYS: Final = 10_000
"""Ids that are remembered at once as asked for, and as foreign."""
_FORGET_S: Final = 60.0
"""An id that nobody asks for again for this long is not looked up any more."""
_IDLE_S: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Listed:
    """A version of a subject: the keys that stand for it, and its text, or why it cannot be used."""

    keys: tuple[Key, ...]
    schema: Any
    """Parsed JSON, or a `ContractError`."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A subject with more versions than are read: an id that no list has may be one of the others."""

    problem: str


ReadSubjects: TypeAlias = Callable[[Topic], Iterable[Listed | Unread]]
"""The versions of a topic's subjects, each as soon as the registry has responded. Raises at the end if one of them
cannot be read."""


@dataclass
class _Subjects:
    """What is known about the subjects of one topic."""

    known: dict[Key, Any] = field(default_factory=dict)
    asked: OrderedDict[Key, float] = field(default_factory=OrderedDict)
    """When each key was asked for first that no list answers yet."""
    foreign: OrderedDict[Key, float] = field(default_factory=OrderedDict)
    """When each key was found to be in no subject."""
    wanted: bool = False
    """Whether to list them although no key asks for it."""
    was_tried: bool = False
    """Whether a list has ended, well or not."""
    unread: str = ""
    """Which subject has more versions than are read."""
    failing_since: float | None = None
    tried_at: float = 0.0
    """When the last list began that failed."""
    problem: str = ""
    next_at: float = 0.0
    """Not to be listed before."""


class SchemaLookup:
    """Answers for the schemas of all topics. Any thread may call."""

    def __init__(self, read: ReadSubjects, clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._topics: dict[Topic, _Subjects] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._answered_at = -math.inf
        """When the registry has last responded to any part of a list."""

    def schema(self, key: Key, topic: Topic) -> Any:
        """The schema of a key, as parsed JSON.

        Raises `ContractError` for a key that belongs to no subject of the topic, `SchemaPending` while it is looked
        up, and `SchemaUnresolved` if the registry has not responded for too long, or not all was read.
        """
        with self._changed:
            subjects = self._of(topic)
            if key in subjects.known:
                return _usable(subjects.known[key], key)
            now = self._clock()
            if now - subjects.foreign.get(key, -math.inf) < ABSENT_S:
                if subjects.unread:
                    raise SchemaUnresolved(
                        f"schema {key} of {topic} could not be looked up: {subjects.unread}; delete those that nobody "
                        "writes with, for good"
                    )
                raise ContractError(
                    f"schema {key} is none of the subjects of {topic}: write messages with the schemas that "
                    "`orchestrator schemas apply` registers, or name the subject in ORCHESTRATOR_SCHEMA_SUBJECTS"
                )
            asked_at = subjects.asked.setdefault(key, now)
            _drop_oldest(subjects.asked)
            self._wake()
            if self._is_set_aside(subjects, asked_at, now):
                raise SchemaUnresolved(f"schema {key} of {topic} could not be looked up: {subjects.problem}")
            raise SchemaPending(f"schema {key} of {topic} is being looked up")

    def add(self, topic: Topic, listed: Listed) -> None:
        """A schema that is known to be in a subject of the topic."""
        with self._changed:
            subjects = self._of(topic)
            for key in listed.keys:
                subjects.known[key] = listed.schema
                if subjects.asked.pop(key, None) is not None:
                    self._changed.notify_all()

    def list_soon(self, topics: Iterable[Topic]) -> None:
        """Lists the subjects of these topics before anybody asks, in the background."""
        with self._changed:
            for topic in topics:
                subjects = self._of(topic)
                subjects.wanted = subjects.wanted or not subjects.was_tried
            self._wake()

    def wait_listed(self, topics: Iterable[Topic], timeout_s: float) -> None:
        """Returns when each of these topics was listed, or could not be, and at the latest after `timeout_s`."""
        with self._changed:
            all_tried = self._changed.wait_for(
                lambda: self._is_closed or all(self._of(topic).was_tried for topic in topics), timeout_s
            )
        if not all_tried:
            logger.warning(
                "listing the schemas takes longer than %.0f s; starting without the rest", timeout_s
            )

    def wait(self, timeout_s: float) -> None:
        """Returns when something was listed, or could not be, and at the latest after `timeout_s`."""
        with self._changed:
            self._changed.wait(timeout_s)

    def close(self) -> None:
        """Ends the thread, after the request that it is making."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _of(self, topic: Topic) -> _Subjects:
        return self._topics.setdefault(topic, _Subjects())

    def _is_set_aside(self, subjects: _Subjects, asked_at: float, now: float) -> bool:
        silent_since = max(asked_at, self._answered_at)
        if now - silent_since > 2 * SET_ASIDE_S or now - asked_at > _LONGEST_WAIT * SET_ASIDE_S:
            # It hangs, or no record may wait for all that it has.
            subjects.problem = subjects.problem or "the registry takes too long"
            return True
        if subjects.failing_since is None or now - subjects.failing_since < SET_ASIDE_S:
            return False
        # In a long outage an id is tried once more, and does not wait for a registry that hangs.
        return subjects.tried_at >= asked_at or now - asked_at >= _SHORT_WAIT_S

    # -- the thread

    def _wake(self) -> None:
        if self._thread is None and not self._is_closed:
            self._thread = threading.Thread(target=self._run, name="schema-lookup", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                topic = self._due()
                while topic is None:
                    if self._is_closed:
                        return
                    self._changed.wait(self._idle_s())
                    topic = self._due()
            self._list(topic)

    def _due(self) -> Topic | None:
        now = self._clock()
        if self._is_closed:
            return None
        due = [
            (not subjects.asked, subjects.next_at, topic)
            for topic, subjects in self._topics.items()
            if (subjects.asked or subjects.wanted) and subjects.next_at <= now
        ]
        # The one that has waited longest: slow lists of two topics must not leave out a third.
        return min(due)[-1] if due else None

    def _idle_s(self) -> float:
        now = self._clock()
        waiting = [each.next_at - now for each in self._topics.values() if each.asked or each.wanted]
        return max(0.01, min(waiting, default=_IDLE_S))

    def _list(self, topic: Topic) -> None:
        began = self._clock()
        problem = unread = ""
        try:
            for found in self._read(topic):
                self._answered_at = self._clock()
                if isinstance(found, Unread):
                    unread = found.problem
                else:
                    self.add(topic, found)
        except OrchestratorError as error:
            problem = str(error)
        except Exception as error:
            logger.exception("listing the schemas of %s failed", topic)
            problem = repr(error)
        with self._changed:
            subjects = self._of(topic)
            subjects.was_tried = True
            if unread and unread != subjects.unread:
                logger.warning("not all schemas of %s are read: %s", topic, unread)
            subjects.unread = unread
            if problem:
                self._failed(topic, subjects, began, problem)
            else:
                self._listed(subjects, began)
            self._changed.notify_all()

    def _listed(self, subjects: _Subjects, began: float) -> None:
        now = self._clock()
        subjects.failing_since, subjects.problem, subjects.wanted = None, "", False
        self._answered_at = now
        gap = max(_SHORTEST_GAP_S, _GAP_PER_LIST * (now - began))
        subjects.next_at = now + min(_LONGEST_GAP_S, gap)
        for key, asked_at in list(subjects.asked.items()):
            if asked_at <= began:
                del subjects.asked[key]
                subjects.foreign[key] = now
                subjects.foreign.move_to_end(key)
        _drop_oldest(subjects.foreign)

    def _failed(self, topic: Topic, subjects: _Subjects, began: float, problem: str) -> None:
        logger.warning("the schemas of %s cannot be listed, trying again: %s", topic, problem)
        now = self._clock()
        if subjects.failing_since is None:
            subjects.failing_since = max(began, self._answered_at)
        subjects.tried_at, subjects.problem, subjects.next_at = began, problem, now + _RETRY_S
        for key, asked_at in list(subjects.asked.items()):
            if now - asked_at > _FORGET_S:
                del subjects.asked[key]
        if not subjects.asked and not subjects.wanted:
            subjects.failing_since = None


def _usable(schema: Any, key: Key) -> Any:
    if isinstance(schema, ContractError):
        raise ContractError(f"schema {key} cannot be used: {schema}")
    return schema


def _drop_oldest(keys: OrderedDict[Key, float]) -> None:
    while len(keys) > _MOST_KEYS:
        keys.popitem(last=False)
