"""Agents: their profiles, written in YAML."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pydantic

from orchestrator.messages.bounds import MOST, MOST_TOKENS, MOST_USD
from orchestrator.messages.types import (
    AgentProfile,
    EvaluationPoint,
    EvaluationPolicy,
    Limits,
    OnExhausted,
    ReviewPolicy,
    ReviewVerdict,
    ToolPolicy,
)
from orchestrator.messages.usage import micro_usd
from orchestrator.sdk.grammar import ROUTE, Duration, Grammar, Name, Retry
from orchestrator.sdk.thinking import Thinking, json_text

ROUTER: Final = "router"
"""The planner that has routes."""

Amount = Annotated[int, pydantic.Field(ge=0, le=MOST_TOKENS)]


class Tools(Grammar):
    """Which tools the agent may use, as shell patterns. A tool that matches both lists is denied."""

    allow: list[str] = pydantic.Field(default_factory=list, description="Allowed tools; empty allows all.")
    deny: list[str] = pydantic.Field(default_factory=list, description="Denied tools.")


class ReviewerOf(Grammar):
    """A reviewer that must accept each plan before it runs."""

    name: Name
    timeout: Duration = 30_000
    on_timeout: Literal["accept", "reject"] = "reject"

    def policy(self) -> ReviewPolicy:
        verdict = ReviewVerdict.ACCEPT if self.on_timeout == "accept" else ReviewVerdict.REJECT
        return ReviewPolicy(reviewer=self.name, timeout_ms=self.timeout, on_timeout=verdict)


class Evaluate(Grammar):
    """When and how results are evaluated."""

    after: Literal["plan", "step"] = "plan"
    evaluator: Name = "criteria"
    settings: dict[str, Any] = pydantic.Field(
        default_factory=dict, description="Settings of the evaluator, such as the rubric of a judge."
    )
    max_revisions: int = pydantic.Field(
        default=3, ge=1, le=MOST, description="Plan revisions in total, including the first."
    )
    timeout: Duration = pydantic.Field(default=60_000, description="Timeout of one evaluation.")

    def policy(self) -> EvaluationPolicy:
        return EvaluationPolicy(
            after=EvaluationPoint.STEP if self.after == "step" else EvaluationPoint.PLAN,
            evaluator=self.evaluator,
            settings=json_text(self.settings),
            max_revisions=self.max_revisions,
            timeout_ms=self.timeout,
        )


class LimitsOf(Grammar):
    """Limits of a session. What is left out has only the platform's limits."""

    deadline: Duration | None = None
    step_timeout: Duration | None = None
    tool_calls: int | None = pydantic.Field(default=None, ge=0, le=MOST)
    tokens: Amount | None = None
    cost_usd: float | None = pydantic.Field(default=None, ge=0, le=MOST_USD, allow_inf_nan=False)
    parallel_steps: int | None = pydantic.Field(default=None, ge=1, le=MOST)
    turns: int | None = pydantic.Field(default=None, ge=1, le=MOST)

    def limits(self) -> Limits:
        return Limits(
            deadline_ms=self.deadline,
            step_timeout_ms=self.step_timeout,
            tool_calls=self.tool_calls,
            tokens=self.tokens,
            cost_micro_usd=None if self.cost_usd is None else micro_usd(self.cost_usd),
            parallel_steps=self.parallel_steps,
            turns=self.turns,
        )


class Agent(Thinking):
    """An agent: how it plans and thinks, which tools it may use, who reviews its plans, and its limits."""

    agent: Name
    description: str = ""
    planner: Name = "playbook"
    playbook: str = pydantic.Field(
        default="", description="Playbook for tasks that name none. Empty: the one whose match is true."
    )
    planning_timeout: Duration = pydantic.Field(default=60_000, description="Timeout of one planning call.")
    on_exhausted: Literal["report", "escalate"] = pydantic.Field(
        default="report",
        description="What follows in an open plan when a step cannot be done: the planner is told, or a person.",
    )
    routes: list[Annotated[str, pydantic.Field(pattern=ROUTE)]] = pydantic.Field(
        default_factory=list,
        description="Of a router: agents and playbooks that it may choose, as shell patterns of their names, such as "
        "support.*, or of one kind, such as playbook refund-*; empty allows all that have a description.",
    )
    tools: Tools = Tools()
    retry: Retry = Retry()
    reviewers: list[ReviewerOf] = pydantic.Field(default_factory=list)
    evaluate: Evaluate = Evaluate()
    limits: LimitsOf = LimitsOf()

    @pydantic.model_validator(mode="after")
    def _each_reviewer_once(self) -> "Agent":
        names = Counter(reviewer.name for reviewer in self.reviewers)
        if twice := sorted(name for name, times in names.items() if times > 1):
            raise ValueError(f"these reviewers are listed twice: {', '.join(twice)}")
        return self

    @pydantic.model_validator(mode="after")
    def _a_model_has_a_planner(self) -> "Agent":
        if self.model is not None and "planner" not in self.model_fields_set:
            raise ValueError("no planner asks the model: add planner: react, or another strategy")
        return self

    @pydantic.model_validator(mode="after")
    def _only_routers_have_routes(self) -> "Agent":
        if self.routes and self.planner != ROUTER:
            raise ValueError(f"routes are what a router chooses from: add planner: {ROUTER}, or remove them")
        return self

    def profile(self, folder: Path | None = None) -> AgentProfile:
        """The profile as messages carry it. `folder` is where the paths of files start.

        Raises `ConfigurationError` for a file that cannot be read, and for what needs a model where none is named.
        """
        return AgentProfile(
            name=self.agent,
            description=self.description,
            planner=self.planner,
            playbook=self.playbook,
            planning_timeout_ms=self.planning_timeout,
            routes=tuple(self.routes),
            model=self.thinking(folder),
            on_exhausted=OnExhausted.ESCALATE if self.on_exhausted == "escalate" else OnExhausted.REPORT,
            tools=ToolPolicy(allow=tuple(self.tools.allow), deny=tuple(self.tools.deny)),
            retry=self.retry.policy(),
            reviewers=tuple(reviewer.policy() for reviewer in self.reviewers),
            evaluation=self.evaluate.policy(),
            limits=self.limits.limits(),
        )
