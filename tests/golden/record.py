"""Records histories of sessions: `python -m tests.golden.record`. Ids and times are fixed.

A released history is never recorded again: new behaviour is a new event or version, and a new file beside it.
So this writes only missing files. Before the first release a file may be deleted and recorded again.
"""

from pathlib import Path
from typing import Any

import msgspec

from orchestrator.messages.base import SessionEvent
from orchestrator.messages.catalogue import avro_name, entry_named
from orchestrator.messages.types import (
    EvaluationPoint,
    EvaluationPolicy,
    NextMove,
    ReviewPolicy,
    ReviewVerdict,
    Usage,
    Value,
)
from orchestrator.messages.values import json_value
from orchestrator.saga import Session
from orchestrator.testing.scenario import (
    SECOND,
    START,
    Scenario,
    agent,
    answered,
    bounded,
    cancel,
    completed,
    done,
    evaluated,
    evaluation_failed,
    exhausted,
    failed,
    fallback,
    given,
    plan_created,
    planning_failed,
    retry,
    reviewed,
    selected,
    step,
    task,
    task_of_nobody,
    turn,
)

FOLDER = Path(__file__).parent
HEAD = Value(uri="values:sha256/1", sha256="1", size=1)
CYCLE = (step("a", needs=("b",)), step("b", needs=("a",)))
REVIEWED = agent(
    reviewers=(
        ReviewPolicy(reviewer="safety"),
        ReviewPolicy(reviewer="style", timeout_ms=5_000, on_timeout=ReviewVerdict.ACCEPT),
    )
)


def completed_with_steps_side_by_side() -> Scenario:
    plan = plan_created("a", "b", step("c", uses={"left": "a", "right": "b"}), result="c", criteria=("c",))
    first = task("compare", context=json_value({"city": "Oslo"}), key="order-17", labels={"team": "blue"})
    session = given(first, plan, selected("b"), selected("a"), completed("b", 2), completed("a", {"x": 1}))
    return session.when(*done("c", [1, 2]), evaluated(result=json_value([1, 2])))


def retried_then_another_tool() -> Scenario:
    session = given(task(), planning_failed(), retry("2s")).after("2s")
    session.when(plan_created("a"), selected("a", alternatives=("other",)), failed("a"), retry("500ms"))
    session.after("500ms").when(failed("a"), fallback("work"), *done("a"))
    session.when(evaluation_failed(), retry("1s")).after("1s")
    return session.when(evaluated())


def reviewed_and_revised() -> Scenario:
    session = given(task(profile=REVIEWED), plan_created(*CYCLE), plan_created("a"))
    session.when(reviewed("safety", ReviewVerdict.REJECT, "deletes files"), plan_created("b"))
    session.when(reviewed("safety")).after("5s")
    return session.when(*done("b"), evaluated())


def evaluated_after_every_step() -> Scenario:
    each_step = agent(evaluation=EvaluationPolicy(after=EvaluationPoint.STEP))
    session = given(task(profile=each_step), plan_created("a", step("b", needs=("a",)), result="b"))
    session.when(*done("a"), evaluated(NextMove.CONTINUE), selected("b"))
    session.when(completed("b"), evaluated(NextMove.REVISE, reason="too cold"))
    return session.when(plan_created("a"), *done("a"), evaluated(result=json_value("warm")))


def cancelled_while_tools_run() -> Scenario:
    session = given(task(), plan_created("a", "b", "c"), selected("a"), selected("b"), cancel("never mind"))
    session.when(completed("a"), failed("b"), retry("1s"))
    return session.after("10s")


def cancelled_before_its_task() -> Scenario:
    return given(cancel("never mind"), task())


def cancelled_and_its_task_never_came() -> Scenario:
    return given(cancel()).after("1h")


def escalated_until_its_deadline() -> Scenario:
    session = given(task(profile=bounded(deadline_ms=60_000)), plan_created("a", "b"), selected("b"))
    late = session.prepared(completed("b", usage=Usage(tool_calls=1, tokens_input=7)))
    session.when(failed("a"), exhausted("no tool is left"), late)
    return session.after("1m")


def nobody_answers() -> Scenario:
    session = given(task(profile=bounded(deadline_ms=600_000)), plan_created("a"), selected("a"))
    session.after("3m").after("30s").after("30s").after("30s")
    return session.after("10m")


def recovery_answers_late() -> Scenario:
    session = given(task(), plan_created("a"), selected("a"))
    late = session.prepared(completed("a", usage=Usage(tool_calls=1, tokens_output=5)))
    session.after("3m").when(late).after("30s").when(retry("1s")).after("1s")
    return session.when(*done("a"), evaluated())


def out_of_budget() -> Scenario:
    reserve = Usage(tokens_input=600)
    session = given(task(profile=bounded(tokens=1_000)), plan_created(step("a", reserve=reserve), "b"))
    return session.when(selected("a"), completed("a", usage=Usage(tool_calls=1, tokens_input=1_000)))


def begun_later() -> Scenario:
    session = given(task(not_before=START + 60 * SECOND)).after("1m")
    return session.when(plan_created("a"), *done("a"), evaluated(NextMove.GIVE_UP, reason="hopeless"))


def thought_around() -> Scenario:
    session = given(task(), turn("a", "b", conversation=HEAD), selected("a"), selected("b"))
    session.when(failed("a"), retry("1s", spared=True, arguments=step("a").arguments)).after("1s")
    session.when(selected("a"), failed("a"), exhausted("no tool is left"), completed("b"))
    return session.when(answered("found another way", conversation=HEAD), evaluated())


def refused() -> Scenario:
    return given(task_of_nobody())


HISTORIES = (
    completed_with_steps_side_by_side,
    retried_then_another_tool,
    reviewed_and_revised,
    evaluated_after_every_step,
    cancelled_while_tools_run,
    cancelled_before_its_task,
    cancelled_and_its_task_never_came,
    escalated_until_its_deadline,
    nobody_answers,
    recovery_answers_late,
    out_of_budget,
    begun_later,
    refused,
    thought_around,
)


def written(scenario: Scenario) -> bytes:
    """A history and the state it leads to, as JSON; bytes are Base64."""
    history = [{"type": avro_name(type(event)), **_plain(event)} for event in scenario.history]
    content = {"events": history, "state": _plain(scenario.state)}
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def read(recorded: bytes) -> tuple[list[SessionEvent], Session]:
    """The events of a history, and the state that they led to when it was recorded."""
    content = msgspec.json.decode(recorded)
    history = [_event(event) for event in content["events"]]
    return history, msgspec.convert(content["state"], Session)


def _event(fields: dict[str, Any]) -> SessionEvent:
    entry = entry_named(fields.pop("type"))
    assert entry is not None
    event = msgspec.convert(fields, entry.message)
    assert isinstance(event, SessionEvent)
    return event


def _plain(struct: msgspec.Struct) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(struct)
    return plain


def main() -> None:
    for history in HISTORIES:
        path = FOLDER / f"{history.__name__}.json"
        if not path.exists():
            path.write_bytes(written(history()))
            print(path.name)  # noqa: T201 - a script


if __name__ == "__main__":
    main()
