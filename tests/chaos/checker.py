"""Checks a run by its topics alone: the rules that hold whatever was killed, frozen or cut off meanwhile."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

from tests.chaos.archived import refused
from tests.chaos.calls import EFFECTS, reply_faults
from tests.chaos.topics import UNREADABLE, Place, Record

TERMINAL: Final = frozenset({"TaskCompleted", "TaskFailed", "TaskCancelled", "TaskRefused"})
_RECORDING: Final = frozenset().union(*EFFECTS.values()) - {"PlanAccepted", "PlanRejected", "ReviewRecorded"}
"""Events that only a reply causes. A timer may cause the others, too."""
_OPENED_BY: Final = {"CreatePlan": "PlanRequested", "EvaluateTask": "EvaluationRequested"}
"""The commands that the orchestrator writes, and the event in the same transaction that opens their call."""
_ONCE: Final = ("sessions", "plan.commands", "evaluate.commands", "dead-letters")
"""Topics that only the orchestrator writes, each message once."""


@dataclass(frozen=True, order=True)
class Violation:
    """`rule` names the rule that is broken, `session` the session that breaks it, `what` is the evidence."""

    rule: str
    session: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: session {self.session}: {self.what}"


class Run:
    """The records of a run, in the order of their logs."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.topics: dict[str, list[Record]] = defaultdict(list)
        for record in sorted(records, key=lambda found: (found.topic, found.partition, found.offset)):
            self.topics[record.topic].append(record)

    @cached_property
    def histories(self) -> Mapping[str, Sequence[Record]]:
        """The history of each session."""
        found: dict[str, list[Record]] = defaultdict(list)
        for record in self.topics["sessions"]:
            found[record.session].append(record)
        return found

    @cached_property
    def outcomes(self) -> Counter[str]:
        """How many sessions have which outcome: the name of the event that settled them, or `open`."""
        return Counter(
            next((found.name for found in reversed(history) if _settles(found)), "open")
            for history in self.histories.values()
        )

    @cached_property
    def unreadable(self) -> set[Place]:
        """The places of records that no schema fits."""
        return {
            found.place for records in self.topics.values() for found in records if found.name == UNREADABLE
        }

    @cached_property
    def set_aside(self) -> set[Place]:
        """The places of records that services may write dead letters about."""
        return self.unreadable | refused(self.topics["sessions"])

    @cached_property
    def unsettled(self) -> set[str]:
        """Sessions whose task was submitted and that have neither ended nor been escalated."""
        submitted = {task.session for task in self.topics["tasks"] if task.name != UNREADABLE}
        return {name for name in submitted if not any(map(_settles, self.histories.get(name, ())))}


def check(records: Iterable[Record], seen_meanwhile: Iterable[Record] | None = None) -> list[Violation]:
    """All violations of a finished run. `seen_meanwhile` is what a `read_committed` reader saw that read during the
    whole run."""
    records = list(records)
    run = Run(records)
    found = [violation for rule in RULES for violation in rule(run)]
    if seen_meanwhile is not None:
        found += _readers_agree(records, seen_meanwhile)
    return sorted(found)


def settled(run: Run) -> Iterator[Violation]:
    """Every submitted session has one terminal event, or is escalated."""
    for name in run.unsettled:
        last = run.histories.get(name, ())[-1:]
        yield Violation("settled", name, f"its last event is {last[0]}" if last else "it has no history")
    for name, history in run.histories.items():
        ends = [found for found in history if found.name in TERMINAL]
        if len(ends) > 1:
            yield Violation("settled", name, f"it ended {len(ends)} times: {', '.join(map(str, ends))}")


def terminal_is_last(run: Run) -> Iterator[Violation]:
    for name, history in run.histories.items():
        for before, after in pairwise(history):
            if before.name in TERMINAL:
                yield Violation("terminal is last", name, f"{after} follows {before}")


def escalated_with_dead_letter(run: Run) -> Iterator[Violation]:
    """Every escalation has one dead letter, and beside those of records that are set aside there are no others."""
    counts = Counter(record.message_id for record in run.topics["dead-letters"])
    escalations: dict[str, Record] = {}
    for name, history in run.histories.items():
        own = [found for found in history if found.name == "TaskEscalated"]
        escalations |= {str(found.body["dead_letter_id"]): found for found in own}
        for found in own:
            if (count := counts[str(found.body["dead_letter_id"])]) != 1:
                yield Violation("dead letters", name, f"{found} has {count} dead letters")
    for dead_letter in run.topics["dead-letters"]:
        if dead_letter.message_id not in escalations and dead_letter.subject not in run.set_aside:
            body = dead_letter.body
            what = f"{dead_letter} of {body['service']} ({body['stage']}): {body['failure']['message']}"
            yield Violation("dead letters", dead_letter.session, what)


def unreadable_with_dead_letter(run: Run) -> Iterator[Violation]:
    """Every record that nobody can read has a dead letter."""
    subjects = {dead_letter.subject for dead_letter in run.topics["dead-letters"]}
    for place in sorted(run.unreadable - subjects):
        yield Violation(
            "unreadable", "", f"the record at {place[0]}/{place[1]}/{place[2]} has no dead letter"
        )


def gapless(run: Run) -> Iterator[Violation]:
    """`sequence` counts 1, 2, 3 in the order of the log."""
    for name, history in run.histories.items():
        for expected, found in enumerate(history, 1):
            if found.body["sequence"] != expected:
                what = f"{found} has sequence {found.body['sequence']}, expected {expected}"
                yield Violation("gapless", name, what)
                break


def at_home(run: Run) -> Iterator[Violation]:
    """A session is in one partition, under its own key."""
    for name, history in run.histories.items():
        if len({found.partition for found in history}) > 1 or any(found.key != name for found in history):
            yield Violation("at home", name, "its history is under several keys or in several partitions")


def ids_unique(run: Run) -> Iterator[Violation]:
    first: dict[str, Record] = {}
    for record in (record for topic in _ONCE for record in run.topics[topic]):
        if record.subject in run.set_aside:
            # Each service that reads it writes one, again if it was killed before it committed.
            continue
        before = first.setdefault(record.message_id, record)
        if before is not record:
            yield Violation("ids unique", record.session, f"{before} and {record} have the same id")


def steps_succeed_once(run: Run) -> Iterator[Violation]:
    for name, history in run.histories.items():
        calls = [found.body["call"] for found in history if found.name == "StepSucceeded"]
        counts = Counter((call["revision"], call["step_id"]) for call in calls)
        for (revision, step), count in counts.items():
            if count > 1:
                what = f"step {step} of revision {revision} succeeded {count} times"
                yield Violation("steps succeed once", name, what)


def calls_open_once(run: Run) -> Iterator[Violation]:
    """An attempt begins once, and has one command."""
    commands: Counter[tuple[str, str]] = Counter()
    for topic in ("plan.commands", "evaluate.commands"):
        commands.update(
            (_OPENED_BY[found.name], found.body["call"]["call_id"]) for found in run.topics[topic]
        )
    for name, history in run.histories.items():
        opened = Counter(
            (found.name, found.body["call"]["call_id"])
            for found in history
            if found.name in {"PlanStepReady", *_OPENED_BY.values()}
        )
        for (kind, call), count in opened.items():
            if count > 1:
                yield Violation("calls open once", name, f"call {call} was opened {count} times by {kind}")
            if kind in _OPENED_BY.values() and commands.pop((kind, call), 0) != count:
                yield Violation(
                    "calls open once", name, f"{kind} of call {call} does not have exactly one command"
                )
    for (kind, call), count in commands.items():
        yield Violation("calls open once", "", f"{count} commands for call {call}, which no {kind} opened")


def effects_have_causes(run: Run) -> Iterator[Violation]:
    """Every event that only a reply can cause has a committed reply, and each reply counts once."""
    replies = {found.message_id: found for found in run.topics["events"]}
    for name, history in run.histories.items():
        counted: Counter[str] = Counter()
        for found in history:
            reply = replies.get(found.causation_id)
            if reply is not None and found.name in EFFECTS.get(reply.name, ()):
                counted[reply.message_id] += 1
            elif found.name in _RECORDING:
                yield Violation("effects have causes", name, f"no committed reply caused {found}")
        for reply_id, count in counted.items():
            if count > 1:
                yield Violation("effects have causes", name, f"{replies[reply_id]} was counted {count} times")


def replies_count(run: Run) -> Iterator[Violation]:
    """No committed reply to an open call is ignored, and replies are taken in order."""
    for session, what in reply_faults(run.topics["sessions"], run.topics["events"]):
        yield Violation("replies count", session, what)


Rule = Callable[[Run], Iterable[Violation]]

RULES: Final[tuple[Rule, ...]] = (
    settled,
    terminal_is_last,
    escalated_with_dead_letter,
    unreadable_with_dead_letter,
    gapless,
    at_home,
    ids_unique,
    steps_succeed_once,
    calls_open_once,
    effects_have_causes,
    replies_count,
)


def _settles(record: Record) -> bool:
    return record.name in TERMINAL or record.name == "TaskEscalated"


def _readers_agree(after: Iterable[Record], meanwhile: Iterable[Record]) -> Iterator[Violation]:
    """Both readers saw the same records at the same offsets, each once and in order."""
    logs = [_by_place(after), _by_place(meanwhile)]
    for place in sorted(logs[0].keys() | logs[1].keys()):
        later, live = (log.get(place, []) for log in logs)
        if later != live:
            differing = sorted(set(later) ^ set(live)) or "their order"
            yield Violation(
                "readers agree", "", f"{place[0]}/{place[1]} differs for the live reader: {differing}"
            )


def _by_place(records: Iterable[Record]) -> dict[tuple[str, int], list[tuple[int, str, str]]]:
    found: dict[tuple[str, int], list[tuple[int, str, str]]] = defaultdict(list)
    for record in records:
        found[record.topic, record.partition].append((record.offset, record.name, record.digest))
    return found
