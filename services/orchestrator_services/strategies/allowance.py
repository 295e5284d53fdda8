"""What the requests of one planning call may use together."""

from orchestrator.sdk import Context
from orchestrator.sdk.messages import cost_at_most, replace, tokens_at_most, types
from orchestrator_services.models import Budget


class Allowance:
    """What was left of the session's limits when the call began, less what the call has used since."""

    def __init__(self, limits: types.Limits, context: Context) -> None:
        self._limits = limits
        self._context = context
        self._before = context.used
        self.most_requests: int | None = None
        """Most requests of the whole call, where its turns share them."""

    def limits(self) -> types.Limits:
        """The limits that are left now."""
        used, before = self._context.used, self._before
        return replace(
            self._limits,
            tokens=_left(self._limits.tokens, tokens_at_most(used) - tokens_at_most(before)),
            cost_micro_usd=_left(self._limits.cost_micro_usd, cost_at_most(used) - cost_at_most(before)),
        )

    @property
    def requests(self) -> int:
        """How many requests the call has made."""
        return self._context.used.model_requests - self._before.model_requests

    def budget(self) -> Budget:
        """The same, for the next request."""
        limits = self.limits()
        return Budget(limits.tokens, limits.cost_micro_usd, _left(self.most_requests, self.requests))


def _left(limit: int | None, used: int) -> int | None:
    return None if limit is None else max(0, limit - used)
