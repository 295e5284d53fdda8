"""Requests and tokens a minute: what one copy of a service may take of the limits that a provider sets for a key.

Nobody coordinates the copies: each takes the part that its share of the service's partitions is. A request waits for
its turn. One that a provider has refused for its rate makes all others to that model wait, too.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Final

from orchestrator.sdk import TransientError

_MINUTE: Final = 60.0
_PROBE_S: Final = 1.0
"""How long others wait for the first request after a refusal; a refusal comes at once."""
_LEAST_SHARE: Final = 0.001
"""Of a copy that has no partition any more and finishes what it began."""

_NEXT_TO_NOTHING: Final = 1e-6
"""A clock does not see how long it takes to refill this much."""


@dataclass(frozen=True)
class Rate:
    """Most requests and tokens a minute of all copies together. None is no limit."""

    requests: int | None = None
    tokens: int | None = None


class Pace:
    """The requests to one model from one process. Used on one event loop."""

    def __init__(self, rate: Rate) -> None:
        self._requests = _Bucket(rate.requests)
        self._tokens = _Bucket(rate.tokens)
        self._paused_until = 0.0
        self._probes = False
        """Whether the next request tries alone whether the provider responds again."""

    def pause(self, seconds: float, now: float) -> None:
        """Sends nothing for this long: the provider has said so. Then one request goes first."""
        self._paused_until = max(self._paused_until, now + seconds)
        self._probes = True

    async def turn(self, tokens: int, share: float, longest_s: float, clock: Callable[[], float]) -> None:
        """Waits until a request may be sent that may use so many tokens, and counts it. `clock` reads seconds.

        Raises `TransientError` with `rate_limited` if that is later than in `longest_s` seconds, and `retry_after_ms`
        says when to try again.
        """
        share = max(share, _LEAST_SHARE)
        # Others may have taken the room that was waited for, or the share may have become less: then ask again.
        for longest in (longest_s, min(longest_s, _PROBE_S), 0.0):
            wait = self._wait(tokens, share, clock())
            if wait > longest:
                raise TransientError(
                    f"the limits of the model's rate leave no room for {wait:.0f} s",
                    code="rate_limited",
                    retry_after_ms=ceil(wait * 1_000),
                )
            if wait <= 0:
                break
            await asyncio.sleep(wait)
        if self._probes:
            # It may be refused as well; the others wait for that, not for its response, which may take long.
            self._probes = False
            self._paused_until = clock() + _PROBE_S
        self._requests.take(1)
        self._tokens.take(tokens)

    def settle(self, reserved: int, used: int) -> None:
        """Gives back what a request has reserved and not used: the provider has responded."""
        if not self._probes:
            # Nobody was refused since the request that tried.
            self._paused_until = 0.0
        self._tokens.take(used - reserved)

    def _wait(self, tokens: int, share: float, now: float) -> float:
        """Seconds until a request may be sent; 0 or less if it may be now."""
        return max(
            self._paused_until - now,
            self._requests.wait(1, share, now),
            self._tokens.wait(tokens, share, now),
        )


class _Bucket:
    """A token bucket that holds a minute's worth. It is refilled by the share that the process has at that time."""

    def __init__(self, a_minute: int | None) -> None:
        self._a_minute = a_minute
        self._spent = 0.0
        """Of what the bucket holds; it goes down as the bucket is refilled."""
        self._at = 0.0

    def take(self, amount: float) -> None:
        if self._a_minute is not None:
            self._spent = max(0.0, self._spent + amount)

    def wait(self, amount: int, share: float, now: float) -> float:
        """Seconds until there is room. One that is larger than a whole bucket may go when the bucket is full."""
        if self._a_minute is None:
            return 0.0
        size = self._a_minute * share
        a_second = size / _MINUTE
        self._spent = max(0.0, self._spent - (now - self._at) * a_second)
        self._at = now
        over = self._spent - max(0.0, size - amount)
        return over / a_second if over > _NEXT_TO_NOTHING else 0.0
