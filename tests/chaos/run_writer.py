"""A made-up run for trying the checker: two sessions in one partition, with a retry and steps side by side."""

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
        """A record at the end of its log; gives the id of its message."""
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
        """Up to the plan's acceptance; gives the id of what caused it."""
        task = self.write("tasks", "SubmitTask", session)
        asked = call(session, "PLAN")
        self.history("TaskReceived", session, task)
        self.history("PlanRequested", session, task, call=asked)
        self.write("plan.commands", "CreatePlan", session, causation_id=task, call=asked)
        planned = self.reply("PlanCreated", session, call=asked)
        self.history("PlanAccepted", session, planned, call=asked)
        return planned

    def ready(self, session: str, step: str, cause: str, attempt: int = 1) -> None:
        self.history("PlanStepReady", session, cause, call=call(session, "SELECTION", step, attempt))

    def run(self, session: str, step: str, attempt: int = 1) -> str:
        """Selection and success of a step; gives the id of what ended it."""
        running = call(session, "TOOL", step, attempt)
        selected = self.reply("ToolSelected", session, call=call(session, "SELECTION", step, attempt))
        self.history("StepAssigned", session, selected, call=running)
        completed = self.reply("ToolCompleted", session, call=running)
        self.history("StepSucceeded", session, completed, call=running)
        return completed

    def fail(self, session: str, step: str) -> None:
        """Failure of a step's first run, and recovery's answer."""
        broken = call(session, "RECOVERY", step)
        failed = self.reply("ToolFailed", session, call=call(session, "TOOL", step))
        self.history("CallFailed", session, failed, call=broken)
        retried = self.reply("RetryScheduled", session, call=broken)
        self.history("RecoveryRecorded", session, retried, call=broken)

    def finish(self, session: str, cause: str) -> None:
        asked = call(session, "EVALUATION", "evaluation-1")
        self.history("EvaluationRequested", session, cause, call=asked)
        self.write("evaluate.commands", "EvaluateTask", session, causation_id=cause, call=asked)
        evaluated = self.reply("TaskEvaluated", session, call=asked)
        self.history("EvaluationRecorded", session, evaluated, call=asked)
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


def sound() -> list[Record]:
    """One session that completes after a retry, and one that is given up."""
    writer = RunWriter()
    planned = writer.begin(FIRST)
    writer.ready(FIRST, "a", planned)
    writer.ready(FIRST, "b", planned)
    other = writer.begin(SECOND)
    writer.ready(SECOND, "a", other)
    writer.run(FIRST, "a")
    writer.fail(SECOND, "a")
    writer.fail(FIRST, "b")
    writer.ready(FIRST, "b", "due", attempt=2)
    done = writer.run(FIRST, "b", attempt=2)
    writer.history("TaskEscalated", SECOND, "due", dead_letter_id="dead-letters-0")
    letter = {"failure": {"message": "given up"}, "service": "orchestrator", "stage": "escalate"}
    writer.write("dead-letters", "MessageDeadLettered", SECOND, **letter)
    writer.finish(FIRST, done)
    return writer.records


def found(records: Iterable[Record], name: str, session: str = FIRST, nth: int = 0) -> Record:
    """The `nth` record of a name in a session."""
    return [record for record in records if record.name == name and record.session == session][nth]


def without(records: Iterable[Record], *gone: Record) -> list[Record]:
    return [record for record in records if record not in gone]


def changed(records: Iterable[Record], one: Record, **body: Any) -> list[Record]:
    """The records, that one with other fields in its body."""
    return _mapped(records, one, lambda record: replace(record, body={**record.body, **body}))


def renumbered(records: Iterable[Record]) -> list[Record]:
    """The records, `sequence` of each history counted anew: hides what a gap would tell."""
    counts: dict[str, int] = {}
    result = []
    for record in records:
        if record.topic == "sessions":
            counts[record.session] = counts.get(record.session, 0) + 1
            record = replace(record, body={**record.body, "sequence": counts[record.session]})
        result.append(record)
    return result


def again(records: Iterable[Record], one: Record, **body: Any) -> list[Record]:
    """The records, and that one once more at the end of its log."""
    records = list(records)
    offset = 1 + max(record.offset for record in records if record.topic == one.topic)
    return [*records, replace(one, offset=offset, body={**one.body, **body})]


def _mapped(records: Iterable[Record], one: Record, change: Callable[[Record], Record]) -> list[Record]:
    return [change(record) if record is one else record for record in records]
