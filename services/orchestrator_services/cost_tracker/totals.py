"""Usage of sessions, agents and tenants, with each report counted once."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from orchestrator.sdk import Usage, total_usage

MOST_SESSIONS: Final = 10_000
"""Sessions that are remembered, the most recent ones. A reply redelivered after its session was forgotten is
counted again."""

MOST_PAIRS: Final = 1_000
"""Pairs of tenant and agent with counters of their own. Each pair is a set of time series until the process ends."""

OTHERS: Final = ("others", "others")


@dataclass
class _Session:
    counted: set[str] = field(default_factory=set)
    total: Usage = Usage()  # noqa: RUF009 - frozen


class Ledger:
    """Totals of one process since its start. Memory is bounded; used from one thread."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._pairs: dict[tuple[str, str], Usage] = {}

    def add(self, session: str, report: str, pair: tuple[str, str], usage: Usage) -> tuple[str, str] | None:
        """Counts a report of usage for its session and its pair of tenant and agent.

        Returns the pair that it was counted for (`OTHERS` beyond `MOST_PAIRS`), or None for a report that was
        counted already, when a reply is delivered twice.
        """
        known = self._session(session)
        if report in known.counted:
            return None
        known.counted.add(report)
        known.total = total_usage(known.total, usage)
        if pair not in self._pairs and len(self._pairs) >= MOST_PAIRS:
            pair = OTHERS
        self._pairs[pair] = total_usage(self._pairs.get(pair, Usage()), usage)
        return pair

    def of_session(self, session: str) -> Usage:
        known = self._sessions.get(session)
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

    def _session(self, session: str) -> _Session:
        known = self._sessions.setdefault(session, _Session())
        self._sessions.move_to_end(session)
        if len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return known
