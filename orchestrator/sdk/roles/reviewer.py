"""Reviewers: they accept or reject plans before a step of them runs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar

from msgspec.structs import replace

from orchestrator.messages import types
from orchestrator.messages.events import ModelProgressed, PlanCreated, PlanProposed, PlanReviewed
from orchestrator.messages.types import Review, ReviewVerdict
from orchestrator.sdk.context import Context
from orchestrator.sdk.roles.functions import RoleFunction, with_context
from orchestrator.sdk.service import Service
from orchestrator.sdk.service_context import ServiceContext


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

    If it raises there is no review, and the agent's profile decides at the review's timeout.
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
        service = Service(self.group, writes=(PlanReviewed, ModelProgressed))
        if self.named_only:

            @service.on(PlanProposed)
            async def review_proposed(message: PlanProposed, context: ServiceContext) -> PlanReviewed | None:
                asked = next((call for call in message.reviews if call.step_id == self.name), None)
                if asked is None:
                    return None
                return await self._reviewed(message, context, asked.limits or types.Limits())

        else:

            @service.on(PlanCreated)
            async def review_created(message: PlanCreated, context: ServiceContext) -> PlanReviewed:
                return await self._reviewed(message, context, types.Limits())

        return service

    async def _reviewed(
        self, message: PlanCreated | PlanProposed, context: ServiceContext, limits: types.Limits
    ) -> PlanReviewed:
        started = context.now()
        revision = message.call.revision
        review = await self.review(PlanReview(plan=message.plan, revision=revision, limits=limits), context)
        return context.write(
            PlanReviewed,
            plan_call_id=message.call.call_id,
            revision=revision,
            review=replace(review, reviewer=self.name),
            usage=context.usage(started),
        )


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
