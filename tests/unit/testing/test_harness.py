"""The harness runs whole sessions with real handlers, and time passes only when a test moves the clock."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from orchestrator.errors import ConfigurationError, ContractError
from orchestrator.messages import commands, events
from orchestrator.messages.base import Message
from orchestrator.messages.types import AgentProfile, Limits, ReviewPolicy
from orchestrator.saga import Outcome
from orchestrator.sdk import (
    Context,
    Event,
    History,
    Plan,
    PlanRequest,
    Review,
    ReviewVerdict,
    Service,
    ServiceContext,
    TransientError,
    middleware,
    planner,
    reviewer,
    step,
    subscriber,
    tool,
)
from orchestrator.sessions.timeline import timeline
from orchestrator.testing import Harness
from tests.support.bare_services import SERVICES

SECOND = 1_000_000


class Weather:
    """A tool that fails a given number of times, and one that uses its output."""

    def __init__(self, failures: int = 0) -> None:
        self.runs: list[tuple[int, str]] = []

        @tool()
        async def forecast(city: str, context: Context) -> dict[str, str]:
            self.runs.append((context.now(), context.idempotency_key))
            if len(self.runs) <= failures:
                raise TransientError("503", code="busy")
            return {"summary": f"rain in {city}"}

        @tool()
        def pack(weather: str) -> list[str]:
            return ["umbrella", weather]

        @planner("travel")
        async def travel(request: PlanRequest) -> Plan:
            rain = step("rain", forecast, city=request.context["city"])
            packing = step("packing", pack, weather=rain.output.at("/summary"))
            return Plan([rain, packing], result=packing.output)

        self.plugins = (forecast, pack, travel, *SERVICES)


TRAVELLER = AgentProfile(name="traveller", planner="travel")


def harness(*plugins: Any, agent: AgentProfile = TRAVELLER, **settings: Any) -> Harness:
    return Harness(*plugins, agents=[agent], installed=False, **settings)


@pytest_asyncio.fixture
async def travelling() -> AsyncIterator[Harness]:
    async with harness(*Weather().plugins) as running:
        yield running


async def test_a_session_runs_to_its_result(travelling: Harness) -> None:
    session = await travelling.submit("pack for Oslo", {"city": "Oslo"}, agent="traveller")
    assert session.outcome is Outcome.COMPLETED
    assert session.result == ["umbrella", "rain in Oslo"]
    assert session.outputs == {"rain": {"summary": "rain in Oslo"}, "packing": ["umbrella", "rain in Oslo"]}
    assert session.usage.tool_calls == 2
    assert [entry.type for entry in session.timeline][:4] == [
        "TaskReceived",
        "PlanRequested",
        "PlanCreated",
        "PlanAccepted",
    ]
    assert [event.sequence for event in session.history] == list(range(1, len(session.history) + 1))
    assert session.reason == ""
    assert travelling.dead_letters == []


def bringing(profile: AgentProfile) -> Sequence[Any]:
    """Tools and a planner that brings an agent, for services that are installed."""
    forecast, pack, travel, *_ = Weather().plugins
    return forecast, pack, replace(travel, profile=profile)


async def test_an_agent_that_its_planner_brings_needs_no_document() -> None:
    async with Harness(*bringing(AgentProfile(name="tourist"))) as running:
        session = await running.submit("pack", {"city": "Oslo"}, agent="tourist")
    assert session.result == ["umbrella", "rain in Oslo"]
    (received,) = session.of(events.TaskReceived)
    assert received.profile == AgentProfile(name="tourist", planner="travel", announced=True)


async def test_an_applied_agent_has_precedence_over_one_that_a_planner_brings() -> None:
    applied = AgentProfile(name="tourist", planner="travel", limits=Limits(tool_calls=2))
    async with Harness(*bringing(AgentProfile(name="tourist")), agents=[applied]) as running:
        session = await running.submit("pack", {"city": "Oslo"}, agent="tourist")
    (received,) = session.of(events.TaskReceived)
    assert received.profile == applied


async def test_the_default_agent_can_be_one_that_a_planner_brings() -> None:
    async with Harness(*bringing(AgentProfile(name="default"))) as running:
        session = await running.submit("pack", {"city": "Oslo"})
    assert session.result == ["umbrella", "rain in Oslo"]


async def test_a_retry_happens_and_moves_the_clock_by_its_delay() -> None:
    weather = Weather(failures=2)
    async with harness(*weather.plugins) as running:
        began = running.clock.now
        session = await running.submit("pack", {"city": "Oslo"}, agent="traveller")
    assert session.outcome is Outcome.COMPLETED
    assert [time - began for time, _ in weather.runs] == [0, SECOND // 2, 3 * SECOND // 2]
    assert len({key for _, key in weather.runs}) == 1


async def test_without_auto_advance_a_retry_waits_for_the_test() -> None:
    weather = Weather(failures=1)
    async with harness(*weather.plugins, auto_advance=False) as running:
        session = await running.submit("pack", {"city": "Oslo"}, agent="traveller")
        assert not session.settled
        await running.advance("499ms")
        assert len(weather.runs) == 1
        await running.advance("1ms")
        assert session.outcome is Outcome.COMPLETED


async def test_a_dead_service_costs_time_and_never_the_session() -> None:
    weather = Weather()
    alive = [service for service in weather.plugins if getattr(service, "name", "") != "tool-executor"]
    async with harness(*alive, *[silent_executor()]) as running:
        session = await running.submit("pack", {"city": "Oslo"}, agent="traveller")
        assert not session.settled
        await running.advance("1h")
        assert session.outcome is Outcome.FAILED
        assert {event.call.kind.value for event in session.of(events.CallTimedOut)} == {"TOOL"}
        assert session.failure is not None
        assert session.failure.code == "timed_out"


def silent_executor() -> Service:
    service = Service("tool-executor")
    service.announcement = next(known for known in SERVICES if known.name == service.name).announcement
    return service


async def test_a_tool_that_hangs_is_left_behind_when_time_is_moved() -> None:
    stopped = asyncio.Event()

    @tool("forecast")
    async def hangs(city: str) -> str:
        try:
            await asyncio.sleep(3600)
        finally:
            stopped.set()
        return city

    _, pack, travel, *services = Weather().plugins
    agent = AgentProfile(name="traveller", planner="travel", limits=Limits(deadline_ms=60_000))
    async with harness(hangs, pack, travel, *services, agent=agent, timeout_s=0.02) as running:
        session = await running.submit("pack", {"city": "Oslo"}, agent="traveller")
        assert not session.settled
        await running.advance("1m")
        assert session.outcome is Outcome.FAILED
        assert session.reason == "the session's deadline has passed"
        assert stopped.is_set()


async def test_a_refused_task_says_why(travelling: Harness) -> None:
    session = await travelling.submit("pack", agent="nobody")
    assert session.outcome is Outcome.REFUSED
    assert "there is no agent nobody" in session.reason


async def test_an_escalated_session_is_parked_with_its_dead_letter() -> None:
    weather = Weather(failures=99)
    async with harness(*weather.plugins) as running:
        session = await running.submit("pack", {"city": "Oslo"}, agent="traveller")
        assert session.state.parked
        assert session.outcome is None
        assert session.reason == "503 (nothing is left to try)"
        (dead_letter,) = session.dead_letters
        assert dead_letter == running.dead_letters[0]
        (task,) = session.of(commands.SubmitTask)
        assert dead_letter.original.value is not None
        assert task.goal.encode() in dead_letter.original.value
        await running.advance("1h")
        assert session.outcome is Outcome.FAILED


async def test_cancel_ends_a_session_that_waits_for_a_retry() -> None:
    async with harness(*Weather(failures=1).plugins, auto_advance=False) as running:
        session = await running.submit("pack", {"city": "Oslo"}, agent="traveller")
        await running.cancel(session, "never mind")
        assert session.outcome is Outcome.CANCELLED
        assert session.reason == "never mind"


async def test_what_a_planner_has_used_is_reported_when_its_session_is_cancelled() -> None:
    @planner("slow")
    async def slow(_request: PlanRequest, context: Context) -> Plan:
        context.use(model_requests=1, tokens_input=10_000)
        running.send(
            commands.CancelTask(
                command_id="019a0000-0000-7000-8000-000000000001",
                correlation_id=context.correlation_id,
                occurred_at=running.clock.now,
            )
        )
        return await asyncio.Future()

    async with Harness(slow, documents=["{agent: thinker, planner: slow}"]) as running:
        session = await running.submit("think", agent="thinker")

    assert session.outcome is Outcome.CANCELLED
    (report,) = session.of(events.UsageReported)
    assert report.usage.tokens_input == 10_000


async def test_a_cancel_of_another_tenant_is_a_dead_letter() -> None:
    async with harness(*Weather(failures=1).plugins, auto_advance=False) as travelling:
        session = await travelling.submit("go", {"city": "Oslo"}, agent="traveller", tenant="acme")

        travelling.send(
            commands.CancelTask(
                command_id="019a0000-0000-7000-8000-000000000001",
                correlation_id=session.correlation_id,
                tenant="mallory",
                occurred_at=travelling.clock.now,
            )
        )
        await travelling.run()
        assert [letter.stage for letter in travelling.dead_letters] == ["match"]
        assert session.outcome is None

        await travelling.cancel(session)
        assert session.outcome is Outcome.CANCELLED


async def test_a_task_for_later_begins_later(travelling: Harness) -> None:
    soon = travelling.clock.after("5m")
    session = await travelling.submit("pack", {"city": "Oslo"}, agent="traveller", not_before=soon)
    assert session.outcome is Outcome.COMPLETED
    assert travelling.clock.now == soon


async def test_tasks_of_one_key_are_one_session(travelling: Harness) -> None:
    first = await travelling.submit("pack", {"city": "Oslo"}, agent="traveller", key="trip-1")
    second = await travelling.submit("pack", {"city": "Rome"}, agent="traveller", key="trip-1")
    assert second.correlation_id == first.correlation_id
    assert second.outputs["rain"] == {"summary": "rain in Oslo"}
    assert travelling.dropped == 1


async def test_plug_ins_read_what_happened_before_them() -> None:
    weather = Weather()
    forecast, pack, travel, *services = weather.plugins
    seen: dict[str, History] = {}

    async def make(request: PlanRequest, context: Context) -> Plan:
        seen["planner"] = await context.history()
        return await travel.make(request, context)

    @subscriber("Task*", group="watch")
    async def watch(event: Event, context: Context) -> None:
        seen[event.type] = await context.history()

    planning = replace(travel, make=make)
    async with harness(forecast, pack, planning, watch, *services) as running:
        await running.submit("pack for Bergen", {"city": "Bergen"}, agent="traveller")
        session = await running.submit("pack for Oslo", {"city": "Oslo"}, agent="traveller")

    asked, ended = seen["planner"], seen["TaskCompleted"]
    assert [entry.type for entry in asked.timeline] == ["TaskReceived", "PlanRequested"]
    assert asked.plan is None
    assert list(ended.events) == session.history
    assert ended.plan is not None
    assert [one.step_id for one in ended.plan.steps] == ["rain", "packing"]
    assert list(ended.timeline) == timeline(session.events)
    assert {entry.step for entry in ended.timeline} == {"", "rain", "packing"}


async def test_reviewers_subscribers_and_middleware_take_part() -> None:
    seen: list[str] = []

    @reviewer("careful")
    async def careful(_review: Any) -> Review:
        return Review(reviewer="careful", verdict=ReviewVerdict.REJECT, reason="too wet")

    @subscriber("Plan*", group="watch", ordered=True)
    async def watch(event: Event) -> None:
        await asyncio.sleep(0)
        seen.append(event.type)

    @middleware("planner")
    async def hurried(message: Message, context: Context, call_next: Any) -> Sequence[Message]:
        seen.append("middleware")
        written: Sequence[Message] = await call_next(message, context)
        return written

    agent = AgentProfile(name="traveller", planner="travel", reviewers=(ReviewPolicy(reviewer="careful"),))
    async with harness(*Weather().plugins, careful, watch, hurried, agent=agent) as running:
        session = await running.submit("pack", {"city": "Oslo"}, agent="traveller")
    assert session.state.parked
    assert "careful: too wet" in session.reason
    assert seen.count("middleware") == 3
    assert seen.count("PlanRejected") == 3
    assert seen.index("PlanCreated") < seen.index("PlanReviewed") < seen.index("PlanRejected")


async def test_what_a_handler_cannot_handle_is_a_dead_letter() -> None:
    @subscriber("PlanCreated", group="broken")
    async def broken(_event: Event) -> None:
        raise RuntimeError("it broke")

    async with harness(*Weather().plugins, broken) as running:
        session = await running.submit("pack", {"city": "Oslo"}, agent="traveller")
    assert session.outcome is Outcome.COMPLETED
    (dead_letter,) = running.dead_letters
    assert (dead_letter.service, dead_letter.stage) == ("broken", "handle")
    assert dead_letter.failure.message == "RuntimeError: it broke"


@pytest.mark.parametrize("writes", [(), (events.ToolSelected,)], ids=["nothing", "replies"])
async def test_what_a_service_emits_and_does_not_write_is_refused(writes: tuple[type[Message], ...]) -> None:
    loud = Service("loud", writes=writes)
    tried: list[str] = []

    @loud.on(events.PlanCreated)
    async def speak(message: events.PlanCreated, context: ServiceContext) -> None:
        tried.append(context.correlation_id)
        await context.emit(context.write(commands.CancelTask, reason="loud"))
        tried.append("sent")

    async with harness(*Weather().plugins, loud) as running:
        session = await running.submit("pack", {"city": "Oslo"}, agent="traveller")

    (dead_letter,) = running.dead_letters
    assert "service loud may not write CancelTask, which goes to control" in dead_letter.failure.message
    assert tried == [session.correlation_id]
    assert session.of(commands.CancelTask) == []


async def test_what_a_service_emits_and_writes_is_sent_in_its_name() -> None:
    fast = Service("fast", writes=(commands.CancelTask,))

    @fast.on(events.PlanCreated)
    async def cancel(message: events.PlanCreated, context: ServiceContext) -> None:
        await context.emit(context.write(commands.CancelTask, reason="fast"))

    async with harness(*Weather().plugins, fast) as running:
        session = await running.submit("pack", {"city": "Oslo"}, agent="traveller")

    assert session.outcome is Outcome.CANCELLED
    assert running.dead_letters == []


async def test_reports_of_a_service_that_writes_none_are_left_out() -> None:
    done: list[str] = []

    @subscriber("PlanCreated", group="quiet")
    async def quiet(_event: Event, context: Context) -> None:
        await context.progress("half way", 0.5)
        done.append("quiet")

    async with harness(*Weather().plugins, quiet) as running:
        await running.submit("pack", {"city": "Oslo"}, agent="traveller")

    assert done == ["quiet"]
    assert running.dead_letters == []
    assert [one for one in running.produced if isinstance(one, events.ToolProgressed)] == []


async def test_a_session_that_a_test_shows_says_how_it_stands_and_why(travelling: Harness) -> None:
    session = await travelling.submit("pack", agent="nobody")

    assert "refused: " in repr(session)
    assert "nobody" in repr(session)


async def test_large_outputs_travel_by_reference() -> None:
    async with harness(*Weather().plugins, inline_bytes=20) as running:
        session = await running.submit("pack", {"city": "Oslo"}, agent="traveller")
        (assigned, _) = session.of(events.StepSucceeded)
    assert assigned.output.uri is not None
    assert session.result == ["umbrella", "rain in Oslo"]


async def test_a_message_that_does_not_fit_its_schema_is_refused(travelling: Harness) -> None:
    task = commands.SubmitTask(goal=7, correlation_id="x")  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="goal"):
        travelling.send(task)


async def test_only_what_has_a_name_is_a_playbook() -> None:
    with pytest.raises(ConfigurationError, match="playbook: NAME"):
        Harness(installed=False, documents=["steps: {}"])


async def test_a_session_without_a_task_is_not_found(travelling: Harness) -> None:
    with pytest.raises(KeyError, match="not found"):
        travelling.session("00000000-0000-0000-0000-000000000000")
