"""(h) Runs in processes of their own: what they add to a call, and how many a second there can be."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any, Final

from benchmarks.cluster import Cluster
from orchestrator.sdk import IsolatedCall, Isolation, ProcessPool, Target

RUNS: Final = {"short": 20, "long": 300}
AT_ONCE: Final = 16


def nothing(value: int) -> int:
    """What each run does."""
    return value


def run(_cluster: Cluster, form: str) -> dict[str, Any]:
    """Milliseconds of a run: the first, which starts the process that the others are forked from, and the others."""
    return asyncio.run(_measured(RUNS[form]))


async def _measured(runs: int) -> dict[str, Any]:
    pool = ProcessPool(AT_ONCE)
    limits, variables = Isolation(), Isolation().variables()

    async def one() -> None:
        call = IsolatedCall(
            name="nothing",
            target=Target.of(nothing),
            arguments={"value": 1},
            limits=limits.limits(60.0),
            variables=variables,
        )
        await pool.run(call)

    first = await _seconds(one)
    warm = [await _seconds(one) for _ in range(runs)]
    thread = [await _seconds(lambda: asyncio.to_thread(nothing, 1)) for _ in range(runs)]
    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(runs)))
    together = time.perf_counter() - began
    return {
        "benchmark": "isolation",
        "runs": runs,
        "first_ms": round(first * 1000),
        "warm_ms": {"median": _ms(median(warm)), "p95": _ms(sorted(warm)[int(len(warm) * 0.95)])},
        "thread_ms": _ms(median(thread)),
        "runs_per_s": {
            "one at a time": round(runs / sum(warm)),
            f"{AT_ONCE} at once": round(runs / together),
        },
    }


async def _seconds(work: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
