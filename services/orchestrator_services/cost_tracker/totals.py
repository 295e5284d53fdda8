"""Usage of sessions, agents and tenants, with each report counted once."""

from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from orchestrator.sdk import Usage, total_usage

MOST_SESSIONS: Final = 10_000
"""Sessions that are remembered, the most recent ones. A reply redelivered after its session was forgotten is
counted again."""

MOST_REPORTS: Final = 500_000
"""Reports that are remembered, of all these sessions together: some 60 MB."""

MOST_PAIRS: Final = 1_000
"""Pairs of tenant and agent with counters of their own. Each pair is a set of time series until the process ends."""

LONGEST_NAME: Final = 255
"""Characters of a tenant's or agent's name. Whoever writes a reply may make it longer."""

OTHERS: Final = ("others", "others")


@dataclass
class _Session:
    counted: set[bytes] = field(default_factory=set)
    total: Usage = Usage()  # noqa: RUF009 - frozen


class Ledger:
    """Totals of one process since its start. Memory is bounded; used from one thread."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()
        self._reports = 0
        self._pairs: dict[tuple[str, str], Usage] = {}

    def add(self, session: str, report: str, pair: tuple[str, str], usage: Usage) -> tuple[str, str] | None:
        """Counts a report of usage for its session and its pair of tenant and agent.

        Returns the pair that it was counted for (`OTHERS` beyond `MOST_PAIRS`, and for long names), or None for a
        report that was counted already, when a reply is delivered twice.
        """
        known, digest = self._session(_digest(session)), _digest(report)
        if digest in known.counted:
            return None
        known.counted.add(digest)
        known.total = total_usage(known.total, usage)
        self._reports += 1
        self._forget()
        is_new = pair not in self._pairs
        if is_new and (len(self._pairs) >= MOST_PAIRS or max(map(len, pair)) > LONGEST_NAME):
            pair = OTHERS
        self._pairs[pair] = total_usage(self._pairs.get(pair, Usage()), usage)
        return pair

    @property
    def remembered(self) -> int:
        """How many reports are remembered."""
        return self._reports

    def of_session(self, session: str) -> Usage:
        known = self._sessions.get(_digest(session))
        return known.total if known else Usage()

    def of_agent(self, agent: str) -> Usage:
        return self._sum(1, agent)

    def of_tenant(self, tenant: str) -> Usage:
        return self._sum(0, tenant)

    def _sum(self, position: int, name: str) -> Usage:
        total = Usage()
        for pair, usage in self._pairs.items():
            if pair[position] == name:
                total = total_usage(total, usage)
        return total

    def _session(self, session: bytes) -> _Session:
        known = self._sessions.setdefault(session, _Session())
        self._sessions.move_to_end(session)
        return known

    def _forget(self) -> None:
        """Forgets the sessions that reported longest ago, as many as are too many."""
        while len(self._sessions) > MOST_SESSIONS or self._reports > MOST_REPORTS:
            _, forgotten = self._sessions.popitem(last=False)
            self._reports -= len(forgotten.counted)


def _digest(text: str) -> bytes:
    """In place of a text that its writer may make as long as a message."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
