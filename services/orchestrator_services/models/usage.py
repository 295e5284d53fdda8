"""What servers say that a request used. Anybody may be that server, so it counts only where it is a count."""

import logging
from decimal import Decimal
from functools import cache
from typing import Any, Final

from pydantic_ai.usage import RequestUsage

from orchestrator.sdk.messages import MOST_COUNTED

logger: Final = logging.getLogger(__name__)

_NOT_COUNTS: Final = frozenset({"details", "cost", "audio_seconds", "unmeasured_requests"})


def counted(usage: RequestUsage, model: str) -> RequestUsage:
    """What was reported, if every number of it is one: else nothing was, so what was reserved counts."""
    counts = {name: _count(value) for name, value in vars(usage).items() if name not in _NOT_COUNTS}
    wrong = [name for name, count in counts.items() if count is None]
    if wrong:
        report_uncounted(model)
        return RequestUsage(unmeasured_requests=1)
    details = {name: count for name, value in usage.details.items() if (count := _count(value)) is not None}
    return RequestUsage(
        **counts,
        details=details,
        cost=_cost(usage.cost),
        audio_seconds=_cost(usage.audio_seconds) or 0,
        unmeasured_requests=_count(usage.unmeasured_requests) or 0,
    )


def _count(value: Any) -> int | None:
    """A whole number that messages can hold; None for anything else. JSON does not tell 12.0 from 12."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_COUNTED:
        return None
    return int(value) if value == int(value) else None


def _cost(value: Any) -> Any:
    """An amount of dollars or seconds, whose millionths messages can hold; None for anything else."""
    if not isinstance(value, int | float | Decimal) or (isinstance(value, Decimal) and value.is_nan()):
        return None
    return value if 0 <= value <= MOST_COUNTED // 1_000_000 else None


@cache
def report_uncounted(model: str) -> None:
    """Logs, once in a process, that what a model reports cannot be counted."""
    logger.warning(
        "the provider of %s reports a usage that is no count of tokens, as 1.5 or -5 is: the most that its requests "
        "may have used is counted instead",
        model,
    )
