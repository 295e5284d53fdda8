"""The recovery strategy `adviser`: the default one, advised by a model where advice can help."""

import asyncio
from dataclasses import replace
from typing import Final

from orchestrator.sdk import (
    Context,
    FailedCall,
    FailureKind,
    Fallback,
    Recovery,
    contained,
    described,
    recovery,
)
from orchestrator_services.recovery.fallbacks import narrowed
from orchestrator_services.recovery.mending import mended
from orchestrator_services.recovery.strategy import by_class_of_failure

LONGEST_S: Final = 20.0
"""How long advice may take, seconds: after 30 the orchestrator asks again."""


@recovery("adviser")
async def adviser(failed: FailedCall, context: Context) -> Recovery:
    """Decides as the default strategy does, but for two things.

    Arguments that did not fit are mended, if the call has attempts left and the agent has no reviewers, who would
    not see the change. Where several other tools could run the step, the model rules out those that would fail too.
    Nothing else is asked about. Advice never repeats a call that must not run twice: once it has begun, the arguments
    are not here to be mended. Without advice, or with advice that cannot be followed, the default strategy's decision
    stands; its reason says why.
    """
    decision = await by_class_of_failure.decide(failed, context)
    try:
        async with asyncio.timeout(LONGEST_S):
            return await contained(_advised(decision, failed, context))
    except Exception as error:  # noqa: BLE001 - it can be done without
        return replace(decision, reason=f"{decision.reason}; no advice: {described(error)}")


async def _advised(decision: Recovery, failed: FailedCall, context: Context) -> Recovery:
    if failed.failure.kind is FailureKind.INVALID_INPUT:
        return await mended(failed, context) or decision
    if isinstance(decision, Fallback) and len(failed.alternatives) > 1:
        return await narrowed(decision, failed, context)
    return decision
