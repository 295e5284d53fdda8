"""A simulated session: each output brings replies of services, which arrive in any order, late, twice or never.

Everything that may go one way or the other is a choice. Once the choices are used up, all goes well.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from msgspec.structs import replace

from orchestrator.messages import commands, events
from orchestrator.messages.base import Event, Message
from orchestrator.messages.call_kinds import call_of
from orchestrator.messages.types import (
    AgentProfile,
    Call,
    CallKind,
    Evaluation,
    EvaluationPoint,
    EvaluationPolicy,
    FailureKind,
    Limits,
    NextMove,
    OnExhausted,
    Plan,
    Review,
    ReviewPolicy,
    ReviewVerdict,
    Usage,
    Value,
)
from orchestrator.messages.usage import share_of
from orchestrator.messages.values import json_value
from orchestrator.saga import Input
from orchestrator.testing.scenario import Scenario, cancel, failure, plan, step, task, time_comes

T = TypeVar("T")

RESERVED = Usage(tokens_input=20, cost_micro_usd=5)
"""What a step with a reservation may use in one attempt."""


@dataclass
class Choices:
    """Answers to every question, from a list of numbers; the first option once they are used up."""

    numbers: Sequence[int] = ()
    _next: int = 0

    def of(self, *options: T) -> T:
        """One of the options; the first is the one where all goes well."""
        if self.over:
            return options[0]
        self._next += 1
        return options[self.numbers[self._next - 1] % len(options)]

    @property
    def over(self) -> bool:
        return self._next >= len(self.numbers)


@dataclass
class Simulation:
    """A session and the replies that are in flight to it."""

    choices: Choices
    scenario: Scenario = field(default_factory=Scenario)
    pool: list[Input] = field(default_factory=list)
    """Replies in flight."""
    handled: list[Input] = field(default_factory=list)

    def submit(self) -> None:
        self.handle(task(profile=some_profile(self.choices))(self.scenario))

    def handle(self, input: Input) -> tuple[Message, ...]:
        outputs = self.scenario.handle(input)
        self.handled.append(input)
        for output in outputs:
            self.pool += self.services.replies(output, self.fate(output))
        return outputs

    def fate(self, _output: Message) -> Choices:
        """Decides how services answer an output."""
        return self.choices

    @property
    def services(self) -> "Services":
        return Services(self.scenario.event)

    def deliver(self) -> tuple[Message, ...]:
        """One of the replies in flight."""
        return self.handle(self.pool.pop(self.choices.of(*range(len(self.pool)))))

    def wait(self) -> tuple[Message, ...]:
        """Until something is due."""
        assert self.scenario.due_in is not None
        return self.handle(time_comes()(self.scenario))

    def again(self, reply: Input) -> Input:
        """What a service replies when the command of this reply is delivered to it once more."""
        if isinstance(reply, Event):
            return replace(reply, occurred_at=reply.occurred_at + 1 + len(self.handled))
        return reply

    def disturb(self) -> tuple[Message, ...]:
        """A fault: a repeated, lost or delayed input, or one that is handled twice; or a person who cancels."""
        state = self.scenario.state
        faults = (
            *["repeat"] * 4,
            *["redeliver"] * 2,
            *["lose"] * 3,
            *["wait"] * 4,
            *["dawdle"] * 4,
            "cancel",
        )
        match self.choices.of(*faults):
            case "repeat":
                return self.handle(self.choices.of(*self.handled))
            case "redeliver":
                return self.handle(self.again(self.choices.of(*self.handled[-5:])))
            case "lose" if self.pool:
                self.pool.pop(self.choices.of(*range(len(self.pool))))
                return ()
            case "wait" if not state.settled:
                return self.wait()
            case "dawdle":
                self.scenario.now += self.choices.of(1, 1_000, 1_000_000, 30_000_000)
                return ()
            case "cancel":
                return self.handle(cancel("never mind")(self.scenario))
            case _:
                return ()

    def walk(self) -> Iterator[tuple[Message, ...]]:
        """Outputs of one decision after another, while there are choices."""
        while not self.choices.over and not self.scenario.state.ended:
            orderly = bool(self.pool) and self.choices.of(True, True, True, True, False)
            yield self.deliver() if orderly else self.disturb()

    def settle(self, most: int = 1_000) -> None:
        """Delivers every reply, and lets time pass where none is in flight, until the session has settled."""
        for _ in range(most):
            if self.scenario.state.settled:
                return
            if self.pool:
                self.deliver()
            else:
                self.wait()
        raise AssertionError(f"not settled after {most} replies")

    def run_out(self, most: int = 200) -> None:
        """Lets time pass without any reply until the session has ended."""
        for _ in range(most):
            if self.scenario.state.ended:
                return
            self.wait()
        raise AssertionError(f"not ended after {most} timeouts")


class Services:
    """Replies of services to what the orchestrator writes."""

    def __init__(self, event: Callable[..., Any], *, advised: bool = True) -> None:
        """`advised`: whether selectors, reviewers and recovery may ask a model."""
        self._event = event
        self._advised = advised

    def _advice(self, choices: Choices, call: Call, parts: int = 1) -> Usage:
        """What a model used that was asked about a call: all that it may, in so many parts."""
        if not (self._advised and choices.of(False, True)):
            return Usage()
        limits = share_of(call.limits or Limits(tokens=2), parts)
        return Usage(
            model_requests=1, tokens_output=limits.tokens or 0, cost_micro_usd=limits.cost_micro_usd or 0
        )

    def replies(self, output: Message, choices: Choices) -> list[Any]:
        match output:
            case commands.CreatePlan():
                return [self._planned(output, choices)]
            case events.PlanProposed():
                return [self._reviewed(output, review, choices) for review in output.reviews]
            case events.PlanStepReady():
                return self._run(output, choices)
            case events.CallFailed():
                return [self._recovered(output.call, choices)]
            case events.CallTimedOut() if output.next is not None:
                return [self._recovered(output.next, choices)]
            case commands.EvaluateTask():
                return [self._evaluated(output, choices)]
            case _:
                return []

    def _planned(self, command: commands.CreatePlan, choices: Choices) -> Any:
        call, most = command.call, command.limits.tokens
        used = Usage(tokens_output=min(choices.of(0, 3), 3 if most is None else most))
        if choices.of(True, True, True, False):
            head = choices.of(None, None, Value(uri=f"values:{call.call_id}", sha256=call.call_id, size=1))
            return self._event(
                events.PlanCreated, call=call, plan=some_plan(choices), usage=used, conversation=head
            )
        return self._event(events.PlanningFailed, call=call, failure=failure(), usage=used)

    def _reviewed(self, proposed: events.PlanProposed, asked: Call, choices: Choices) -> Any:
        verdict = choices.of(ReviewVerdict.ACCEPT, ReviewVerdict.ACCEPT, ReviewVerdict.REJECT, None)
        if verdict is None:
            return self._event(
                events.ReviewFailed,
                plan_call_id=proposed.call.call_id,
                revision=asked.revision,
                reviewer=asked.step_id,
                failure=failure(),
                usage=self._advice(choices, asked),
            )
        return self._event(
            events.PlanReviewed,
            plan_call_id=proposed.call.call_id,
            revision=asked.revision,
            review=Review(reviewer=asked.step_id, verdict=verdict),
            usage=self._advice(choices, asked),
        )

    def _run(self, ready: events.PlanStepReady, choices: Choices) -> list[Any]:
        call = ready.call
        if not choices.of(True, True, True, True, False):
            return [self._event(events.SelectionFailed, call=call, failure=failure(FailureKind.PERMANENT))]
        run = replace(call, kind=CallKind.TOOL, tool="work")
        reserved = ready.step.reserve or Usage()
        used = replace(reserved, tool_calls=1, tokens_input=choices.of(reserved.tokens_input, 0))
        reply: dict[str, Any] = {"call": run, "tool": "work", "usage": used}
        if choices.of(True, True, False):
            output = json_value([ready.step.step_id, *sorted(ready.inputs)])
            end = self._event(events.ToolCompleted, output=output, **reply)
        else:
            end = self._event(events.ToolFailed, failure=failure(), **reply)
        chosen = self._advice(choices, call)
        return [
            self._event(events.ToolSelected, call=call, tool="work", timeout_ms=30_000, usage=chosen),
            end,
        ]

    def _recovered(self, call: Call, choices: Choices) -> Any:
        usage = self._advice(choices, call, 2**call.asked)
        match choices.of("retry", "retry", "retry", "fallback", "exhausted"):
            case "retry":
                return self._event(
                    events.RetryScheduled,
                    call=call,
                    delay_ms=choices.of(0, 500, 40_000),
                    spared=choices.of(False, False, True),
                    arguments=choices.of(None, None, step("a").arguments),
                    usage=usage,
                )
            case "fallback":
                return self._event(
                    events.FallbackChosen, call=call, avoid=(*call.avoid, call.tool), usage=usage
                )
            case _:
                return self._event(
                    events.RecoveryExhausted, call=call, failure=call.failure or failure(), usage=usage
                )

    def _evaluated(self, command: commands.EvaluateTask, choices: Choices) -> Any:
        onward = NextMove.CONTINUE if command.remaining_steps else NextMove.FINISH
        if not choices.of(True, True, True, False):
            return self._event(events.EvaluationFailed, call=command.call, failure=failure())
        move = choices.of(*[onward] * 4, NextMove.REVISE, NextMove.GIVE_UP, NextMove.UNKNOWN)
        found = Evaluation(goal_met=move is NextMove.FINISH, next=move)
        result = json_value(sorted(command.outputs)) if command.result is not None else None
        return self._event(events.TaskEvaluated, call=command.call, evaluation=found, result=result)


class FatedSimulation(Simulation):
    """A simulation in which a call's fate follows from the call alone: only the order is chosen."""

    def __init__(self, script: Sequence[int], order: Sequence[int], profile: AgentProfile) -> None:
        super().__init__(Choices(order))
        self._script = script
        self._after = profile.evaluation.after
        self.handle(task(profile=profile)(self.scenario))

    @property
    def services(self) -> "Services":
        """What a reply reports after the end does not count, so it would depend on the order."""
        return Services(self.scenario.event, advised=False)

    def fate(self, output: Message) -> Choices:
        """Evaluations of steps are numbered in order of arrival, so no call has a fate of its own: all go well."""
        call = call_of(output)
        by_step = self._after is EvaluationPoint.STEP and isinstance(output, commands.EvaluateTask)
        if call is None or call.attempt > 3 or by_step or not self._script:
            return Choices()
        places = (number + place for place, number in enumerate(call.call_id.encode()))
        return Choices([self._script[place % len(self._script)] for place in places])


def some_profile(choices: Choices) -> AgentProfile:
    reviewers = [
        ReviewPolicy(reviewer="safety", timeout_ms=30_000),
        ReviewPolicy(reviewer="style", timeout_ms=5_000, on_timeout=ReviewVerdict.ACCEPT),
    ]
    return AgentProfile(
        name="default",
        reviewers=tuple(reviewers[: choices.of(0, 1, 2)]),
        evaluation=EvaluationPolicy(
            after=choices.of(EvaluationPoint.PLAN, EvaluationPoint.STEP), max_revisions=choices.of(3, 2, 1)
        ),
        limits=Limits(
            deadline_ms=choices.of(3_600_000, 400_000),
            parallel_steps=choices.of(3, 2, 1),
            tool_calls=choices.of(None, 10, 4),
            tokens=choices.of(None, None, 50),
            cost_micro_usd=choices.of(None, None, 12),
            turns=choices.of(None, 4, 2),
        ),
        on_exhausted=choices.of(OnExhausted.REPORT, OnExhausted.ESCALATE),
    )


def some_plan(choices: Choices) -> Plan:
    """One to six steps, each after some of those before it; now and then open, an answer, or one that cannot run."""
    names = "abcdef"[: choices.of(2, 1, 3, 4, 5, 6)]
    if choices.of(False, False, False, False, False, False, True):
        return plan(step("a", needs=("a",)))
    if choices.of(False, False, False, False, True):
        return plan(answer="known")
    steps = []
    for place, name in enumerate(names):
        earlier = names[:place]
        needs = tuple(other for other in earlier if choices.of(False, True))
        uses = {f"from-{other}": other for other in earlier if choices.of(False, False, True)}
        reserve = choices.of(None, None, RESERVED)
        steps.append(step(name, needs=needs, uses=uses, reserve=reserve))
    return plan(
        *steps,
        result=choices.of(names[-1], ""),
        criteria=choices.of((), (names[0],)),
        open=choices.of(False, False, True),
    )
