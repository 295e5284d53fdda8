"""Reviewers: they accept or reject plans before a step of them runs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar

from msgspec.structs import replace

from orchestrator.messages import types
from orchestrator.messages.events import PlanCreated, PlanReviewed
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
    """Whether it sees only the plans of agents whose profile names it."""

    def service(self) -> Service:
        """The service that shows it the plans and writes its reviews."""
        service = Service(self.group)

        @service.on(PlanCreated)
        async def review_plan(message: PlanCreated, context: ServiceContext) -> PlanReviewed | None:
            if self.named_only and not self._is_named(context):
                return None
            started = context.now()
            revision = message.call.revision
            review = await self.review(PlanReview(plan=message.plan, revision=revision), context)
            return context.write(
                PlanReviewed,
                plan_call_id=message.call.call_id,
                revision=revision,
                review=replace(review, reviewer=self.name),
                usage=context.usage(started),
            )

        return service

    def _is_named(self, context: Context) -> bool:
        """Whether the agent's profile, as it is now, names it. An unknown agent may."""
        profile = context.definitions.agents.get(context.agent)
        return profile is None or any(one.reviewer == self.name for one in profile.reviewers)


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
