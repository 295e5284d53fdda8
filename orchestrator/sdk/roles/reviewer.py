"""Reviewers: they accept or reject plans before a step of them runs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

from msgspec.structs import replace

from orchestrator.errors import unforeseen
from orchestrator.messages import types
from orchestrator.messages.events import (
    ModelProgressed,
    PlanCreated,
    PlanProposed,
    PlanReviewed,
    ReviewFailed,
)
from orchestrator.messages.types import Review, ReviewVerdict
from orchestrator.sdk.containment import contained
from orchestrator.sdk.context import Context
from orchestrator.sdk.errors import PermanentError
from orchestrator.sdk.failures import described, failure_of
from orchestrator.sdk.roles.functions import RoleFunction, with_context
from orchestrator.sdk.service import Service
from orchestrator.sdk.service_context import ServiceContext

logger: Final = logging.getLogger(__name__)

Reply: TypeAlias = PlanReviewed | ReviewFailed


@dataclass(frozen=True)
class PlanReview:
    """A plan to be reviewed."""

    plan: types.Plan
    revision: int
    limits: types.Limits = types.Limits()  # noqa: RUF009 - frozen
    """For a reviewer that only sees plans of agents that name it: the tokens and the cost that a model may use which
    is asked; None is no limit."""


@dataclass(frozen=True)
class Reviewer:
    """A reviewer of plans, in a consumer group of its own.

    If it raises there is no review, and the agent's profile decides at once, as at the review's timeout. What it has
    used by then counts.
    """

    role: ClassVar[str] = "reviewer"

    name: str
    review: Callable[[PlanReview, Context], Awaitable[Review]]
    group: str
    named_only: bool = False
    """Whether it sees only the plans of agents whose profile names it: when the session proposes them, with what a
    model may use for the review."""

    def service(self) -> Service:
        """The service that shows it the plans and writes its reviews."""
        service = Service(self.group, writes=(PlanReviewed, ReviewFailed, ModelProgressed))
        if self.named_only:

            @service.on(PlanProposed)
            async def review_proposed(message: PlanProposed, context: ServiceContext) -> Reply | None:
                asked = next((call for call in message.reviews if call.step_id == self.name), None)
                if asked is None:
                    return None
                return await self._reply(message, context, asked)

        else:

            @service.on(PlanCreated)
            async def review_created(message: PlanCreated, context: ServiceContext) -> Reply:
                return await self._reply(message, context, None)

        return service

    async def _reply(
        self, message: PlanCreated | PlanProposed, context: ServiceContext, asked: types.Call | None
    ) -> Reply:
        """`PlanReviewed`, or `ReviewFailed` with the reason. `asked` is the review's call, where it is known."""
        started = context.now()
        plan_call_id, revision = message.call.call_id, message.call.revision
        limits = asked.limits if asked else None
        request = PlanReview(plan=message.plan, revision=revision, limits=limits or types.Limits())
        try:
            review = await contained(
                self._review(request, context, context.seconds_left(asked) if asked else None)
            )
        except Exception as error:
            logger.warning(
                "the reviewer %s has no verdict on a plan: %s",
                *(self.name, described(error)),
                exc_info=unforeseen(error),
            )
            return context.write(
                ReviewFailed,
                plan_call_id=plan_call_id,
                revision=revision,
                reviewer=self.name,
                failure=failure_of(error, "reviewer_error"),
                usage=context.usage(started),
            )
        return context.write(
            PlanReviewed,
            plan_call_id=plan_call_id,
            revision=revision,
            review=replace(review, reviewer=self.name),
            usage=context.usage(started),
        )

    async def _review(self, request: PlanReview, context: Context, timeout_s: float | None) -> Review:
        async with asyncio.timeout(timeout_s):
            review: Any = await self.review(request, context)
        if not isinstance(review, Review):
            raise PermanentError(
                f"the reviewer {self.name} returned {type(review).__name__}, not a Review",
                code="reviewer_error",
            )
        return review


def reviewer(
    name: str, *, group: str = "", named_only: bool = False
) -> Callable[[RoleFunction[PlanReview, Review | None]], Reviewer]:
    """Declares `async def f(review) -> Review | None`, or `f(review, context)`, as a reviewer; None accepts.

    `group` names its consumer group (`reviewer-NAME` by default). With `named_only` it sees only the plans of agents
    that name it, which is for reviews that cost something.
    """

    def declare(function: RoleFunction[PlanReview, Review | None]) -> Reviewer:
        inner = with_context(function)

        async def review(request: PlanReview, context: Context) -> Review:
            verdict = await inner(request, context)
            return verdict or Review(reviewer=name, verdict=ReviewVerdict.ACCEPT)

        return Reviewer(name, review, group or f"reviewer-{name}", named_only)

    return declare
