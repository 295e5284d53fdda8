"""The agents of a trial: plans in layers of parallel steps, and tools that take time and fail by rule.

Everything is derived from the task's number, so that the work is the same on every machine.
"""

import asyncio
import time
from random import Random
from typing import Any

from orchestrator.sdk import (
    Context,
    PermanentError,
    Plan,
    PlanRequest,
    PlanReview,
    PlanStep,
    Review,
    ReviewVerdict,
    TransientError,
    planner,
    retry_policy,
    reviewer,
    step,
    tool,
)

LAYERS = 4
LONGEST_MS = 300
HOPELESS_EVERY = 20
"""One in this many tasks has a step that never succeeds: its session is escalated."""
REVISED_EVERY = 10
"""One in this many tasks misses its goal with the first plan."""
ISOLATED_SHARE = 0.05
"""Of the steps that run in processes of their own, which die with their executor."""
# An attempt that a timeout cut off counts as well, so there are more attempts than the rules need.
_RETRY = retry_policy(attempts=10, initial="1s", longest="5s")

AGENTS = """
agent: steady
planner: chaos
tools: {allow: ["chaos.*"]}
retry: {attempts: 10, initial: 500ms, max: 4s}
evaluate: {max_revisions: 2}
limits: {deadline: 30m, parallel_steps: 4}
---
agent: reviewed
planner: chaos
tools: {allow: ["chaos.*"]}
retry: {attempts: 10, initial: 500ms, max: 4s}
reviewers: [{name: chaos, timeout: 5m}]
evaluate: {max_revisions: 2}
limits: {deadline: 30m, parallel_steps: 2}
"""


def agent_of(number: int) -> str:
    return "reviewed" if number % 3 == 0 else "steady"


def is_hopeless(number: int) -> bool:
    return number % HOPELESS_EVERY == 7


@planner("chaos")
async def chaos(request: PlanRequest) -> Plan:
    """Layers of two or three steps side by side; each layer needs one output of the layer before."""
    number = int(request.context["number"])
    random = Random(f"{number}/{request.revision}")  # noqa: S311 - the same plan for the same number
    steps: list[PlanStep] = []
    before: PlanStep | None = None
    for layer in range(LAYERS):
        width = random.choice((2, 3))
        own = [_step(f"s{layer}{place}", before, random, is_hopeless(number)) for place in range(width)]
        steps += own
        before = random.choice(own)
    met = request.revision > 1 or number % REVISED_EVERY != 3
    last = step("last", judge, met=met, after=[one.step.step_id for one in steps[-2:]])
    return Plan([*steps, last], result=last.output, success="outputs.last.met")


def _step(name: str, before: PlanStep | None, random: Random, hopeless: bool) -> PlanStep:
    value = before.output.at("/value") if before else 1
    if random.random() < ISOLATED_SHARE:
        return step(name, isolated, value=value, millis=random.randrange(LONGEST_MS), retry=_RETRY)
    use = random.choice((waiting, blocking))
    fails = random.choice((0, 0, 1, 1, 2))
    if hopeless and name == "s20":
        fails = -1
    return step(name, use, value=value, fails=fails, millis=random.randrange(LONGEST_MS), retry=_RETRY)


@tool("chaos.waiting", timeout="20s")
async def waiting(value: int, fails: int, millis: int, context: Context) -> dict[str, int]:
    """Adds one, after a while, on the event loop."""
    await asyncio.sleep(millis / 1000)
    _fail_by_rule(fails, context)
    return {"value": value + 1}


@tool("chaos.blocking", timeout="20s")
def blocking(value: int, fails: int, millis: int, context: Context) -> dict[str, int]:
    """Adds one, after a while, in a thread."""
    time.sleep(millis / 1000)
    _fail_by_rule(fails, context)
    return {"value": value + 1}


@tool("chaos.isolated", timeout="20s", isolation="process")
def isolated(value: int, millis: int) -> dict[str, int]:
    """Adds one, after a while, in a process of its own."""
    time.sleep(millis / 1000)
    return {"value": value + 1}


@tool("chaos.judge")
async def judge(met: bool) -> dict[str, Any]:
    """Whether this plan meets the goal."""
    return {"met": met}


def _fail_by_rule(fails: int, context: Context) -> None:
    if fails < 0:
        raise PermanentError("this step never succeeds")
    attempt: int = getattr(context.message, "call").attempt  # noqa: B009 - an ExecuteTool
    if attempt <= fails:
        raise TransientError(f"attempt {attempt} of this step fails, as the first {fails} do")


@reviewer("chaos")
async def look(request: PlanReview) -> Review:
    return Review(reviewer="chaos", verdict=ReviewVerdict.ACCEPT, reason=f"{len(request.plan.steps)}")
