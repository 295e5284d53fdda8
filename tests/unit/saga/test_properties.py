"""What holds for every session, whatever services reply, in which order, how late and how often."""

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.messages import events, identity
from orchestrator.messages.base import Message
from orchestrator.messages.call_kinds import OF_STEPS
from orchestrator.messages.types import Limits, Usage
from orchestrator.messages.usage import cost_at_most, tokens_at_most, tokens_of, total_usage
from orchestrator.saga import ENDING, Decision, Session, TimePassed, decide, evolve, next_due
from orchestrator.saga.limits import reserved
from orchestrator.testing.scenario import SESSION, Scenario
from tests.support.saga_docs import diagram
from tests.support.simulation import Choices, FatedSimulation, Simulation, some_profile


def long_script(seed: int) -> list[int]:
    random = Random(seed)  # noqa: S311 - not for secrets
    return [random.randrange(2**16) for _ in range(random.randrange(250))]


numbers = st.lists(st.integers(0, 2**16), max_size=100) | st.integers(0, 2**64).map(long_script)
"""Choices: short scripts, which shrink towards sessions in which all goes well, and long ones."""


MOVES = diagram.moves()


def later(now: int) -> TimePassed:
    """That this time has come."""
    return TimePassed(message_id=identity.derived_id("test", "later"), until=now)


def simulated(script: Sequence[int]) -> Simulation:
    simulation = Simulation(Choices(script))
    simulation.submit()
    return simulation


@given(numbers)
def test_a_message_handled_twice_changes_nothing(script: Sequence[int]) -> None:
    simulation = simulated(script)
    for _ in simulation.walk():
        now = simulation.scenario.now
        state = decide(simulation.scenario.session, later(now), SESSION, now).session
        for input in simulation.handled:
            assert decide(state, input, SESSION, now).outputs == ()
        for input in simulation.pool:
            once = decide(state, input, SESSION, now)
            assert decide(once.session, input, SESSION, now) == Decision(once.session, ())


@given(numbers)
def test_the_state_is_the_fold_of_the_history_and_survives_a_snapshot(script: Sequence[int]) -> None:
    simulation = simulated(script)
    for _ in simulation.walk():
        state = simulation.scenario.state
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=Session) == state
    replayed = None
    for event in simulation.scenario.history:
        replayed = evolve(replayed, event)
    assert replayed == simulation.scenario.session


@given(numbers)
def test_a_restored_session_decides_as_the_live_one(script: Sequence[int]) -> None:
    """To the byte, including the state in a dead letter."""
    simulation = simulated(script)
    for _ in simulation.walk():
        live, now = simulation.scenario.state, simulation.scenario.now
        restored = msgspec.msgpack.decode(msgspec.msgpack.encode(live), type=Session)
        for input in simulation.pool:
            assert decide(restored, input, SESSION, now) == decide(live, input, SESSION, now)


@given(numbers)
def test_history_is_gapless_and_ends_once(script: Sequence[int]) -> None:
    simulation = simulated(script)
    for _ in simulation.walk():
        pass
    simulation.settle()
    simulation.run_out()
    history = simulation.scenario.history
    assert [event.sequence for event in history] == list(range(1, len(history) + 1))
    assert [isinstance(event, ENDING) for event in history].count(True) == 1
    assert isinstance(history[-1], ENDING)
    for input in (*simulation.handled, *simulation.pool):
        assert decide(simulation.scenario.session, input, SESSION, simulation.scenario.now).outputs == ()


@given(numbers)
def test_a_session_moves_between_phases_as_the_diagram_has_it(script: Sequence[int]) -> None:
    simulation = simulated(script)
    for _ in simulation.walk():
        pass
    simulation.settle()
    simulation.run_out()
    assert set(diagram.moves_in(simulation.scenario.history)) <= MOVES


@given(numbers)
def test_ids_of_outputs_are_never_used_twice(script: Sequence[int]) -> None:
    simulation = simulated(script)
    written: list[Message] = []
    for outputs in simulation.walk():
        written += outputs
    ids = [getattr(message, "event_id", "") or getattr(message, "command_id", "") for message in written]
    assert len(set(ids)) == len(ids)


@given(numbers)
def test_no_step_succeeds_twice(script: Sequence[int]) -> None:
    simulation = simulated(script)
    for _ in simulation.walk():
        pass
    simulation.settle()
    done = [
        (event.call.revision, event.call.step_id)
        for event in simulation.scenario.history
        if isinstance(event, events.StepSucceeded)
    ]
    assert len(set(done)) == len(done)


@given(numbers)
def test_a_session_that_gets_its_replies_settles(script: Sequence[int]) -> None:
    simulation = simulated(script)
    for _ in simulation.walk():
        pass
    simulation.settle()


@given(numbers)
def test_a_session_that_gets_no_reply_ends(script: Sequence[int]) -> None:
    simulation = simulated(script)
    for _ in simulation.walk():
        pass
    simulation.run_out()


@given(numbers)
def test_next_due_is_exact(script: Sequence[int]) -> None:
    """Before that time nothing happens, and at that time something does."""
    simulation = simulated(script)
    for _ in simulation.walk():
        state = simulation.scenario.state
        due = next_due(state)
        assert (due is None) == state.ended
        if due is not None:
            assert decide(state, later(due), SESSION, due).outputs
            assert not decide(state, later(due - 1), SESSION, due - 1).outputs


@given(numbers)
def test_time_that_passes_in_between_changes_nothing(script: Sequence[int]) -> None:
    simulation = simulated(script)
    for outputs in simulation.walk():
        state, due = simulation.scenario.state, next_due(simulation.scenario.state)
        if outputs and due is not None and due > simulation.scenario.now:
            assert (
                decide(state, later(simulation.scenario.now), SESSION, simulation.scenario.now).outputs == ()
            )


@given(numbers)
def test_nothing_is_opened_beyond_the_limits(script: Sequence[int]) -> None:
    simulation = simulated(script)
    for outputs in simulation.walk():
        state = simulation.scenario.state
        assert state.task is not None
        limits = state.task.limits
        assert len(state.waiting_for(*OF_STEPS)) <= (limits.parallel_steps or 0)
        if any(isinstance(output, events.PlanStepReady) for output in outputs) and not state.settled:
            wanted = total_usage(state.used, reserved(state))
            assert wanted.tool_calls <= (limits.tool_calls or 0)
            assert limits.tokens is None or tokens_of(wanted) <= limits.tokens
            assert limits.cost_micro_usd is None or wanted.cost_micro_usd <= limits.cost_micro_usd


@given(numbers, numbers)
def test_services_that_keep_to_what_they_are_told_never_exceed_the_limits(
    script: Sequence[int], order: Sequence[int]
) -> None:
    """Planners, selectors, reviewers, tools and recovery use all that they may, in any order; until calls are void,
    which may still cost something."""
    simulation = simulated(script)
    simulation.choices = Choices([*script, *order])
    for _ in range(len(script) + len(order)):
        state = simulation.scenario.state
        assert state.task is not None
        limits = state.task.limits
        assert limits.tokens is None or tokens_at_most(state.used) <= limits.tokens
        assert limits.cost_micro_usd is None or cost_at_most(state.used) <= limits.cost_micro_usd
        if state.settled:
            break
        outputs = simulation.deliver() if simulation.pool else simulation.wait()
        if any(isinstance(output, events.CallsVoided) for output in outputs):
            break


@given(numbers)
def test_turns_are_bounded(script: Sequence[int]) -> None:
    simulation = simulated(script)
    for _ in simulation.walk():
        pass
    simulation.settle()
    state = simulation.scenario.state
    assert state.task is not None
    assert state.turn <= (state.task.limits.turns or 0)


@given(numbers)
def test_runs_are_counted_at_most_once_each(script: Sequence[int]) -> None:
    simulation = simulated(script)
    for _ in simulation.walk():
        pass
    begun = [event for event in simulation.scenario.history if isinstance(event, events.PlanStepReady)]
    assert simulation.scenario.state.used.tool_calls <= len(begun)


@given(numbers)
def test_the_usage_of_every_reply_counts_once(script: Sequence[int]) -> None:
    """In time or late, open or void, once or often; and each of those to a command that was handled twice."""
    simulation = simulated(script)
    for _ in simulation.walk():
        replies = {
            (input.message_id, getattr(input, "occurred_at", 0)): input for input in simulation.handled
        }.values()
        used = [getattr(input, "usage", Usage()) for input in replies]
        assert tokens_of(simulation.scenario.state.used) == sum(map(tokens_of, used))


@given(numbers, numbers, numbers)
def test_any_order_of_independent_replies_gives_the_same_end(
    fates: Sequence[int], one_order: Sequence[int], other_order: Sequence[int]
) -> None:
    """Without limits, which depend on the order, and while each reply comes in time."""
    profile = replace(some_profile(Choices(fates)), limits=Limits(parallel_steps=1 + len(fates) % 3))
    one, other = FatedSimulation(fates, one_order, profile), FatedSimulation(fates, other_order, profile)
    one.settle()
    other.settle()
    assert end_of(one.scenario) == end_of(other.scenario)


def end_of(scenario: Scenario) -> dict[str, Any]:
    """What must not depend on the order of replies.

    That is how the session ended, with which plan, result and usage, and the state of every step. It excludes
    the numbers of events, evaluations and the feedback of several reviewers; and for an escalated session, the
    progress of its other steps at that moment.
    """
    state = scenario.state
    end: dict[str, Any] = {"outcome": state.outcome, "revision": state.revision, "plan": state.plan}
    if state.escalated is not None:
        return end | {"escalated": state.escalated.code}
    outputs = {
        (event.call.revision, event.call.step_id): event.output
        for event in scenario.history
        if isinstance(event, events.StepSucceeded)
    }
    return end | {"result": state.result, "used": state.used, "steps": state.steps, "outputs": outputs}
