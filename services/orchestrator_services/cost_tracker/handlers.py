"""The cost tracker service: counts the usage that replies report, and logs a session's total when it ends.

Counters, by `agent` and `tenant`: `agents_tool_calls`, `agents_model_requests`, `agents_tokens` (also by `direction`:
input, output), `agents_tokens_cached` (part of the input), `agents_cost_usd`; and of requests to models without a
response what they may have used: `agents_model_requests_unsettled`, `agents_tokens_unsettled`,
`agents_cost_unsettled_usd`. They start at 0 with the process; the session store keeps the total of each session.
"""

import logging
from typing import Final

from orchestrator.sdk import Service, ServiceContext, Usage, tokens_of
from orchestrator.sdk.messages import events, replace
from orchestrator_services.cost_tracker.totals import Ledger

logger: Final = logging.getLogger(__name__)

service = Service("cost-tracker", writes=())
ledger: Final = Ledger()

Reply = (
    events.PlanCreated
    | events.PlanningFailed
    | events.ToolSelected
    | events.SelectionFailed
    | events.ToolCompleted
    | events.ToolFailed
    | events.RetryScheduled
    | events.FallbackChosen
    | events.RecoveryExhausted
    | events.TaskEvaluated
    | events.EvaluationFailed
    | events.UsageReported
)
End = events.TaskCompleted | events.TaskFailed | events.TaskCancelled


@service.on(
    events.PlanCreated,
    events.PlanningFailed,
    events.ToolSelected,
    events.SelectionFailed,
    events.ToolCompleted,
    events.ToolFailed,
    events.RetryScheduled,
    events.FallbackChosen,
    events.RecoveryExhausted,
    events.TaskEvaluated,
    events.EvaluationFailed,
    events.UsageReported,
)
async def reply(message: Reply, context: ServiceContext) -> None:
    _count(message, message.call.call_id, context)


@service.on(events.ReviewFailed)
async def review_failed(message: events.ReviewFailed, context: ServiceContext) -> None:
    _count(message, f"{message.plan_call_id}/{message.reviewer}", context)


@service.on(events.PlanReviewed)
async def plan_reviewed(message: events.PlanReviewed, context: ServiceContext) -> None:
    """A review has no call of its own: the plan's call and the reviewer identify it."""
    _count(message, f"{message.plan_call_id}/{message.review.reviewer}", context)


@service.on(events.TaskCompleted, events.TaskFailed, events.TaskCancelled)
async def task_ended(message: End, context: ServiceContext) -> None:
    """Logs one line per session, with the total that the orchestrator counted."""
    total = message.total
    tokens = tokens_of(total)
    logger.info(
        "the session used %d tool calls, %d tokens, %.6f USD",
        total.tool_calls,
        tokens,
        total.cost_micro_usd / 1_000_000,
        extra={
            "correlation_id": context.correlation_id,
            "agent": context.agent,
            "tenant": context.tenant,
            "tool_calls": total.tool_calls,
            "model_requests": total.model_requests,
            "tokens": tokens,
            "tokens_cached": total.tokens_cached,
            "cost_micro_usd": total.cost_micro_usd,
        },
    )


def _count(
    message: Reply | events.PlanReviewed | events.ReviewFailed, call: str, context: ServiceContext
) -> None:
    """Counts the run of a call once, and what models used each time that they were asked.

    A command that is delivered twice is handled twice: its replies are the same, but for when they were written. A
    selection, its run, and what recovery says of it have one call.
    """
    used = message.usage
    if used.tool_calls:
        _add(call, Usage(tool_calls=used.tool_calls, duration_ms=used.duration_ms), context)
    _add(
        f"{call}/{type(message).__name__}/{message.occurred_at}",
        replace(used, tool_calls=0, duration_ms=0),
        context,
    )


def _add(counted_as: str, usage: Usage, context: ServiceContext) -> None:
    if usage == Usage():
        return
    counted_for = ledger.add(context.correlation_id, counted_as, (context.tenant, context.agent), usage)
    if counted_for is None:
        return
    tenant, agent = counted_for
    count = context.metrics.count
    count("agents_tool_calls", usage.tool_calls, agent=agent, tenant=tenant)
    count("agents_model_requests", usage.model_requests, agent=agent, tenant=tenant)
    count("agents_tokens", usage.tokens_input, agent=agent, tenant=tenant, direction="input")
    count("agents_tokens", usage.tokens_output, agent=agent, tenant=tenant, direction="output")
    count("agents_tokens_cached", usage.tokens_cached, agent=agent, tenant=tenant)
    count("agents_cost_usd", usage.cost_micro_usd / 1_000_000, agent=agent, tenant=tenant)
    if usage.requests_unsettled:
        count("agents_model_requests_unsettled", usage.requests_unsettled, agent=agent, tenant=tenant)
        count("agents_tokens_unsettled", usage.tokens_unsettled, agent=agent, tenant=tenant)
        cost = usage.cost_unsettled_micro_usd / 1_000_000
        count("agents_cost_unsettled_usd", cost, agent=agent, tenant=tenant)
