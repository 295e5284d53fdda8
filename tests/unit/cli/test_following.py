"""`submit`, `cancel`, `sessions watch` and `--from-log` on an embedded broker; the tests act as the platform."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.bus.ports import Bus, Position
from orchestrator.bus.standalone import all_partitions, read_to_end, session_partition
from orchestrator.cli.live import LiveText
from orchestrator.client import client
from orchestrator.errors import ConfigurationError
from orchestrator.messages import commands, events, identity
from orchestrator.messages.base import Command, Event
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import Call, CallKind, Failure, FailureKind, Limits
from orchestrator.messages.values import read_json
from orchestrator.operations import documents
from orchestrator.operations.documents import progress_document
from tests.support.samples import sample_of
from tests.support.stories import Story, completed_triage
from tests.unit.cli.conftest import Installation, Run


def sent(installation: Installation, topic: Topic) -> list[Command]:
    """The messages in a topic."""
    wiring = installation.wiring
    return [
        wiring.codec.decode(one) for one in read_to_end(wiring.bus, all_partitions(wiring.bus, topic), 10)
    ]


def task_of(installation: Installation, goal: str) -> commands.SubmitTask:
    found = [one for one in sent(installation, Topic.TASKS) if isinstance(one, commands.SubmitTask)]
    return next(task for task in found if task.goal == goal)


@contextmanager
def answering(
    installation: Installation, goal: str, events_of: Callable[[str], list[Event]]
) -> Iterator[None]:
    """Writes the events of the session that the task with this goal starts, as soon as the task is submitted."""

    def answer() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for task in sent(installation, Topic.TASKS):
                if isinstance(task, commands.SubmitTask) and task.goal == goal:
                    installation.writes(*events_of(task.correlation_id))
                    return
            time.sleep(0.05)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def wait_for(condition: Callable[[], Any]) -> None:
    """Waits in a thread of the test's own."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def completed(session: str) -> list[Event]:
    return [
        replace(event, correlation_id=session, event_id=identity.derived_id(session, event.event_id))
        for event in completed_triage().events
    ]


def failed(session: str) -> list[Event]:
    failure = Failure(kind=FailureKind.PERMANENT, code="no_tea", message="there is no tea")
    begun = completed(session)[:2]
    ended = sample_of(
        events.TaskFailed, correlation_id=session, sequence=3, failure=failure, tenant="default"
    )
    return [*begun, ended]


def test_a_submitted_task_has_everything_that_was_given(
    run: Run, installation: Installation, place: Path
) -> None:
    place.joinpath("context.json").write_text('{"log": "access.log"}')

    ended = run(
        *("submit", "everything", "--context", "context.json", "--playbook", "tea", "--agent", "cook"),
        *("--tenant", "kitchen", "--label", "team=blue", "--label", "why=a=b", "--deadline", "15m"),
        *(
            "--step-timeout",
            "5s",
            "--tool-calls",
            "3",
            "--tokens",
            "9",
            "--cost-usd",
            "0.5",
            "--parallel-steps",
            "2",
            "--turns",
            "7",
        ),
        *("--not-before", "2026-03-01T09:30:00Z", "--not-after", "2026-03-02T09:30:00Z"),
    )

    assert ended.code == 0, ended.err
    task = task_of(installation, "everything")
    assert ended.out == f"{task.correlation_id}\n"
    assert read_json(task.context) == {"log": "access.log"}
    assert (task.playbook, task.agent, task.tenant) == ("tea", "cook", "kitchen")
    assert task.labels == {"team": "blue", "why": "a=b"}
    assert task.limits == Limits(
        deadline_ms=900_000,
        step_timeout_ms=5_000,
        tool_calls=3,
        tokens=9,
        cost_micro_usd=500_000,
        parallel_steps=2,
        turns=7,
    )
    assert (task.not_before, task.not_after) == (1_772_357_400_000_000, 1_772_443_800_000_000)


def test_submit_prints_the_id_for_programs(run: Run, installation: Installation) -> None:
    ended = run("submit", "for programs", "-o", "json")

    assert ended.document == {"correlation_id": task_of(installation, "for programs").correlation_id}
    assert task_of(installation, "for programs").limits is None


def test_a_key_names_the_session(run: Run, installation: Installation) -> None:
    with answering(installation, "keyed", completed):
        first = run("submit", "keyed", "--key", "order-17").out.strip()

    def repeated(session: str) -> list[Event]:
        refused = sample_of(events.TaskRefused)
        return [replace(refused, correlation_id=session, repeats=first, sequence=1)]

    with answering(installation, "keyed again", repeated):
        second = run("submit", "keyed again", "--key", "order-17").out.strip()

    assert first == task_of(installation, "keyed").correlation_id
    assert second == first


def test_a_task_of_a_key_is_submitted_although_nobody_accepts_it(
    run: Run, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.cli.commands.submit._ACCEPTANCE_S", 0.1)
    ended = run("submit", "waits", "--key", "order-18")

    assert ended.out.strip() == task_of(installation, "waits").correlation_id
    assert "no orchestrator has accepted the task within 0.1 s" in ended.err


def test_context_may_come_from_stdin(run: Run, installation: Installation) -> None:
    run("submit", "piped", "--context", "-", given='{"cups": 2}')

    assert read_json(task_of(installation, "piped").context) == {"cups": 2}


def test_submit_waits_for_the_result(run: Run, installation: Installation) -> None:
    with answering(installation, "waited for", completed):
        ended = run("submit", "waited for", "--wait", "--timeout", "30s")

    assert (ended.code, ended.out, ended.err) == (0, "/checkout\n", "")


def test_submit_waits_for_the_result_as_json(run: Run, installation: Installation) -> None:
    with answering(installation, "as json", completed):
        ended = run("submit", "as json", "--wait", "-o", "json")

    session = task_of(installation, "as json").correlation_id
    assert ended.document == {"correlation_id": session, "phase": "completed", "result": "/checkout"}


def test_progress_is_shown_on_stderr(run: Run, installation: Installation) -> None:
    with answering(installation, "with progress", completed):
        ended = run("submit", "with progress", "--wait", "--progress")

    assert ended.out == "/checkout\n"
    heading, *lines = ended.err.splitlines()
    assert heading == f"session {task_of(installation, 'with progress').correlation_id}"
    assert len(lines) == len(completed_triage().events)
    # Records of two topics written at the same time come in either order.
    received = [line for line in lines if "TaskReceived" in line]
    assert [line.split(maxsplit=2)[2] for line in received] == [
        "TaskReceived         task for triage: why did latency rise?"
    ]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts of models, as soon as they are shown."""
    texts: list[str] = []
    show = LiveText.show

    def noting(live: LiveText, event: events.ModelProgressed) -> None:
        show(live, event)
        texts.append(event.text)

    monkeypatch.setattr(LiveText, "show", noting)
    return texts


def writes(session: str, text: str, position: int = 0, **fields: Any) -> events.ModelProgressed:
    """What the model of the session's planner has written."""
    call = Call(call_id="plan-call", kind=CallKind.PLAN, revision=1, due_at=0)
    given = {"correlation_id": session, "call": call, "request": 1, "part": 0, "tool": "", "ended": False}
    own_id = identity.derived_id(session, text)
    return sample_of(
        events.ModelProgressed,
        event_id=own_id,
        text=text,
        position=position,
        occurred_at=position,
        **{**given, **fields},
    )


def test_what_a_model_writes_is_shown_while_it_writes(
    run: Run, installation: Installation, shown: list[str]
) -> None:
    def thinks(session: str) -> list[Event]:
        # An event would end the line in which the model writes.
        installation.writes(
            writes(session, "I look"), writes(session, " at the log.", 6), writes(session, " lost", 90)
        )
        # The session begins once people have read it.
        wait_for(lambda: len(shown) == 3)
        return completed(session)

    with answering(installation, "aloud", thinks):
        ended = run("submit", "aloud", "--wait", "--progress", "--timeout", "90s")

    assert (ended.code, ended.out) == (0, "/checkout\n")
    lines = ended.err.splitlines()
    (said,) = [line for line in lines if " says: " in line]
    assert said.endswith("plan 1 says: I look at the log.… lost")
    assert len(lines) == 1 + 1 + len(completed_triage().events)


def test_a_wait_does_not_need_the_topic_of_progress(
    run: Run, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def partition(bus: Bus, topic: Topic, session: str) -> Position:
        if topic is Topic.PROGRESS:
            raise ConfigurationError("topic agents.progress not found")
        return session_partition(bus, topic, session)

    monkeypatch.setattr(client, "session_partition", partition)

    with answering(installation, "in silence", completed):
        ended = run("submit", "in silence", "--wait", "--progress")

    assert (ended.code, ended.out) == (0, "/checkout\n")
    assert len(ended.err.splitlines()) == 1 + len(completed_triage().events)


def test_a_task_that_fails_ends_the_wait_with_its_reason(run: Run, installation: Installation) -> None:
    with answering(installation, "in vain", failed):
        ended = run("submit", "in vain", "--wait", "-o", "json")

    assert ended.code == 1
    assert ended.document["phase"] == "failed"
    assert ended.document["failure"]["code"] == "no_tea"
    assert ended.error["type"] == "task_failed"
    assert ended.error["correlation_id"] == ended.document["correlation_id"]
    assert "there is no tea" in ended.error["message"]


def test_a_wait_that_times_out_says_how_to_continue(run: Run, installation: Installation) -> None:
    ended = run("submit", "for ever", "--wait", "--timeout", "100ms")

    session = task_of(installation, "for ever").correlation_id
    assert ended.code == 5
    assert ended.out == ""
    assert f"`orchestrator sessions watch {session}`" in ended.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "file c.json not found: write the path of a JSON file, or - for stdin"),
        (
            b"{'log': 1}",
            "c.json is not JSON: Expecting property name enclosed in double quotes in line 1, column 2",
        ),
        (b"[1]", "c.json does not hold a JSON object"),
        (b"\xff", "c.json is not UTF-8 text"),
    ],
)
def test_an_unusable_context_is_a_usage_error(
    run: Run, place: Path, content: bytes | None, said: str
) -> None:
    if content is not None:
        place.joinpath("c.json").write_bytes(content)

    ended = run("submit", "x", "--context", "c.json")

    assert ended.code == 2
    assert said in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ("--label", "blue"),
        ("--timeout", "5s"),
        ("--wait", "--timeout", "soon"),
        ("--not-after", "tomorrow"),
        ("--cost-usd", "-1"),
    ],
)
def test_options_that_make_no_sense_are_usage_errors(run: Run, words: tuple[str, ...]) -> None:
    assert run("submit", "x", *words).code == 2


def test_a_session_is_watched_until_it_settles(run: Run, installation: Installation) -> None:
    story = completed_triage("watched")
    installation.writes(*story.events)

    ended = run("sessions", "watch", story.correlation_id, "-o", "json")

    seen = [json.loads(line) for line in ended.out.splitlines()]
    assert ended.code == 0
    assert sorted(entry["type"] for entry in seen) == sorted(type(event).__name__ for event in story.events)
    assert all(entry["correlation_id"] == story.correlation_id for entry in seen)


def test_watching_has_an_object_for_each_report_of_a_model(
    run: Run, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = completed_triage("watched aloud")
    session = story.correlation_id
    installation.writes(story.events[0])
    seen: list[dict[str, Any]] = []

    def document(report: Event) -> dict[str, Any]:
        seen.append(progress_document(report))
        return seen[-1]

    monkeypatch.setattr(documents, "progress_document", document)

    def speak() -> None:
        def repeated() -> bool:
            installation.writes(writes(session, "I look", 3))
            return bool(seen)

        # A watcher sees what comes from now on; until it does, the same is written again.
        wait_for(repeated)
        installation.writes(*story.events[1:])

    speaker = threading.Thread(target=speak)
    speaker.start()
    ended = run("sessions", "watch", session, "-o", "json")
    speaker.join()

    written = [json.loads(line) for line in ended.out.splitlines()]
    report = next(one for one in written if one["type"] == "ModelProgressed")
    assert (report["call_id"], report["request"], report["part"], report["position"]) == (
        "plan-call",
        1,
        0,
        3,
    )
    assert (report["text"], report["tool"], report["ended"]) == ("I look", "", False)
    assert report["correlation_id"] == session
    assert [one for one in written if one["type"] == "TaskCompleted"]


def test_a_task_in_flight_is_waited_for(run: Run, installation: Installation) -> None:
    story = completed_triage("on its way")
    later = threading.Timer(1.0, installation.writes, story.events)
    later.start()

    ended = run("sessions", "watch", story.correlation_id)

    later.join()
    assert ended.code == 0
    assert len(ended.out.splitlines()) == len(story.events)


def test_a_session_is_shown_from_its_log(run: Run, installation: Installation) -> None:
    story = completed_triage("logged")
    installation.writes(*story.events)

    shown = run("sessions", "show", story.correlation_id, "--from-log", "-o", "json").document

    assert shown["result"] == "/checkout"
    assert len(shown["timeline"]) == len(story.events)


def test_an_unknown_session_is_neither_watched_nor_shown_nor_cancelled(
    run: Run, installation: Installation
) -> None:
    unknown = "0192f0c0-0000-7000-8000-00000000dead"

    for words in (("sessions", "watch"), ("sessions", "show", "--from-log"), ("cancel",)):
        ended = run(*words, unknown)
        assert ended.code == 1
        assert f"session {unknown} not found" in ended.err
    assert not [one for one in sent(installation, Topic.CONTROL) if one.correlation_id == unknown]


def test_cancellation_of_a_running_session_is_requested(run: Run, installation: Installation) -> None:
    story = Story("running")
    installation.writes(*completed(story.correlation_id)[:2])

    ended = run("cancel", story.correlation_id, "--reason", "not needed", "-o", "json")

    assert ended.document == {"correlation_id": story.correlation_id}
    asked = [one for one in sent(installation, Topic.CONTROL) if one.correlation_id == story.correlation_id]
    assert [one.reason for one in asked if isinstance(one, commands.CancelTask)] == ["not needed"]


def test_a_session_that_has_ended_is_not_cancelled(run: Run, installation: Installation) -> None:
    story = completed_triage("ended")
    installation.writes(*story.events)

    ended = run("cancel", story.correlation_id)

    assert ended.code == 1
    assert "has already ended (completed): there is nothing to cancel" in ended.err


def test_a_task_in_flight_is_cancelled_with_force(run: Run, installation: Installation) -> None:
    on_its_way = "0192f0c0-0000-7000-8000-00000000beef"

    assert run("cancel", on_its_way, "--force").code == 0
    assert run("cancel", on_its_way[:8], "--force").code == 1
    assert [one.correlation_id for one in sent(installation, Topic.CONTROL)].count(on_its_way) == 1


def test_a_wait_can_be_interrupted(
    run: Run, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_waiting: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "timeout", interrupted)

    assert run("submit", "interrupted", "--wait").code == 130
