"""Writes the records of a made-up run, to test the checker: two sessions in one partition, a retry, parallel steps."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from tests.chaos.topics import Record

FIRST, SECOND = "11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"


class RunWriter:
    """Writes records as a sound orchestrator and sound services would."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._sequences: dict[str, int] = {}

    def write(self, topic: str, name: str, session: str, **body: Any) -> str:
        """Appends a record to its topic; returns the id of its message."""
        offset = sum(record.topic == topic for record in self.records)
        own_id = f"{topic}-{offset}"
        body = {"correlation_id": session, "event_id": own_id, "causation_id": "", **body}
        self.records.append(Record(topic, 0, offset, name, body, session, f"digest of {own_id}"))
        return own_id

    def history(self, name: str, session: str, cause: str, **body: Any) -> None:
        sequence = self._sequences[session] = self._sequences.get(session, 0) + 1
        self.write("sessions", name, session, causation_id=cause, sequence=sequence, **body)

    def reply(self, name: str, session: str, **body: Any) -> str:
        return self.write("events", name, session, **body)

    def begin(self, session: str) -> str:
        """A session up to the acceptance of its plan; returns the id of the reply that caused it."""
        task = self.write("tasks", "SubmitTask", session)
        opened = call(session, "PLAN")
        self.history("TaskReceived", session, task)
        self.history("PlanRequested", session, task, call=opened)
        self.write("plan.commands", "CreatePlan", session, causation_id=task, call=opened)
        planned = self.reply("PlanCreated", session, call=opened)
        self.history("PlanAccepted", session, planned, call=opened)
        return planned

    def ready(self, session: str, step: str, cause: str, attempt: int = 1) -> None:
        self.history("PlanStepReady", session, cause, call=call(session, "SELECTION", step, attempt))

    def run(self, session: str, step: str, attempt: int = 1) -> str:
        """Selection and success of a step; returns the id of the reply that ended it."""
        running = call(session, "TOOL", step, attempt)
        selected = self.reply("ToolSelected", session, call=call(session, "SELECTION", step, attempt))
        self.history("StepAssigned", session, selected, call=running)
        completed = self.reply("ToolCompleted", session, call=running)
        self.history("StepSucceeded", session, completed, call=running)
        return completed

    def fail(self, session: str, step: str) -> None:
        """Failure of a step's first run, and the reply of recovery."""
        broken = call(session, "RECOVERY", step)
        failed = self.reply("ToolFailed", session, call=call(session, "TOOL", step))
        self.history("CallFailed", session, failed, call=broken)
        retried = self.reply("RetryScheduled", session, call=broken)
        self.history("RecoveryRecorded", session, retried, call=broken)

    def finish(self, session: str, cause: str) -> None:
        opened = call(session, "EVALUATION", "evaluation-1")
        self.history("EvaluationRequested", session, cause, call=opened)
        self.write("evaluate.commands", "EvaluateTask", session, causation_id=cause, call=opened)
        evaluated = self.reply("TaskEvaluated", session, call=opened)
        self.history("EvaluationRecorded", session, evaluated, call=opened)
        self.history("TaskCompleted", session, evaluated)


def call(session: str, kind: str, step: str = "", attempt: int = 1) -> dict[str, Any]:
    name = "STEP" if kind in ("SELECTION", "TOOL", "RECOVERY") else kind
    return {
        "call_id": f"{session[:2]}/{name}/{step}/{attempt}",
        "kind": kind,
        "revision": 1,
        "step_id": step,
        "attempt": attempt,
    }


def sound_run() -> list[Record]:
    """One session that completes after a retry, and one that is escalated."""
    run = RunWriter()
    planned = run.begin(FIRST)
    run.ready(FIRST, "a", planned)
    run.ready(FIRST, "b", planned)
    other = run.begin(SECOND)
    run.ready(SECOND, "a", other)
    run.run(FIRST, "a")
    run.fail(SECOND, "a")
    run.fail(FIRST, "b")
    run.ready(FIRST, "b", "due", attempt=2)
    done = run.run(FIRST, "b", attempt=2)
    run.history("TaskEscalated", SECOND, "due", dead_letter_id="dead-letters-0")
    dead_letter = {"failure": {"message": "escalated"}, "service": "orchestrator", "stage": "escalate"}
    run.write("dead-letters", "MessageDeadLettered", SECOND, **dead_letter)
    run.finish(FIRST, done)
    return run.records


def found(records: Iterable[Record], name: str, session: str = FIRST, nth: int = 0) -> Record:
    """The `nth` record of a name in a session."""
    return [record for record in records if record.name == name and record.session == session][nth]


def without(records: Iterable[Record], *removed: Record) -> list[Record]:
    return [record for record in records if record not in removed]


def changed(records: Iterable[Record], one: Record, **body: Any) -> list[Record]:
    """The records, with other fields in the body of one of them."""
    return _mapped(records, one, lambda record: replace(record, body={**record.body, **body}))


def renumbered(records: Iterable[Record]) -> list[Record]:
    """The records with `sequence` of each history counted again, so that gaps and repetitions in it are hidden."""
    counts: dict[str, int] = {}
    result = []
    for record in records:
        if record.topic == "sessions":
            counts[record.session] = counts.get(record.session, 0) + 1
            record = replace(record, body={**record.body, "sequence": counts[record.session]})
        result.append(record)
    return result


def again(records: Iterable[Record], one: Record, **body: Any) -> list[Record]:
    """The records, with one of them repeated at the end of its topic."""
    records = list(records)
    offset = 1 + max(record.offset for record in records if record.topic == one.topic)
    return [*records, replace(one, offset=offset, body={**one.body, **body})]


def _mapped(records: Iterable[Record], one: Record, change: Callable[[Record], Record]) -> list[Record]:
    return [change(record) if record is one else record for record in records]
