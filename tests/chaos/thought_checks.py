"""What holds of sessions that think, whatever was killed: read from topics, values, and the two ledgers."""

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.chaos.conversations import heads, responses, segments
from tests.chaos.thoughts import HELD, THINKS, Thinks, agent_of
from tests.chaos.topics import Record
from tests.support.model_server.ledger import Entry, Outcome

logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ended:
    """A session that has reached its goal."""

    session: str
    number: int
    """Of its task."""
    answer: dict[str, object]
    requests: int
    tokens: tuple[int, int, int]
    """Read, written and cached."""

    @property
    def thinks(self) -> Thinks:
        return THINKS[agent_of(self.number)]


def ended_in(records: Iterable[Record]) -> Iterator[Ended]:
    numbers = {one.session: int(one.body["goal"].split()[-1]) for one in records if one.name == "SubmitTask"}
    for record in records:
        if record.name == "TaskCompleted":
            total = record.body["total"]
            tokens = total["tokens_input"], total["tokens_output"], total["tokens_cached"]
            answer = json.loads(record.body["result"]["inline"])
            yield Ended(record.session, numbers[record.session], answer, total["model_requests"], tokens)


def charges_in(ledger: Path) -> list[dict[str, Any]]:
    """The charges so far: whole lines of the file."""
    text = ledger.read_text() if ledger.exists() else ""
    return [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]


def assert_charged_once(ended: Sequence[Ended], ledger: Path) -> None:
    """No session was charged twice; each that says so was charged, and one that cannot know at most once."""
    charges = Counter(each["session"] for each in charges_in(ledger))
    assert [session for session, count in charges.items() if count > 1] == []
    assert [each for each in ended if each.answer["charged"] == "yes" and not charges[each.session]] == []
    held = {each.number: each.answer["charged"] for each in ended if each.number in HELD}
    assert held == dict.fromkeys(HELD, "unknown")
    unknown = sum(each.answer["charged"] != "yes" for each in ended)
    logger.info("%d of %d charges may have been made", unknown, len(ended))


def assert_whole_conversations(ended: Sequence[Ended], records: Sequence[Record], values: Path) -> None:
    """Each can be read back and has each turn once."""
    found = heads(records)
    assert found.keys() == {each.session for each in ended}
    for each in ended:
        chain = segments(found[each.session], values)
        spoken = each.thinks.responses
        assert [segment["turn"] for segment in chain] == list(range(1, len(spoken) + 1)), each
        assert [responses(segment) for segment in chain] == list(spoken), each


def assert_counted(ended: Sequence[Ended], requests: Sequence[Entry], most_lost: int) -> None:
    """Sessions count what the model server charged, but for requests that were lost with a planner."""
    by_task: defaultdict[int, list[Entry]] = defaultdict(list)
    for entry in requests:
        by_task[int(entry.task.split()[1])].append(entry)
    lost = [entry for entry in requests if entry.outcome is Outcome.LOST]
    assert {entry.outcome for entry in requests} <= {Outcome.ANSWERED, Outcome.LOST}
    uncounted = 0
    for session in ended:
        answered = [each for each in by_task[session.number] if each.outcome is Outcome.ANSWERED]
        # What a turn asks counts once at least; a reply that was sent twice counts twice, as it was charged.
        assert session.thinks.requests <= session.requests <= len(answered), (session, answered)
        if session.requests == len(answered):
            assert session.tokens == _charged(answered), session
        uncounted += len(answered) - session.requests
    logger.info(
        "%d sessions, %d requests: %d broke off and %d replies were lost, of at most %d that were under way",
        len(ended),
        len(requests),
        len(lost),
        uncounted,
        most_lost,
    )
    assert len(lost) + uncounted <= most_lost


def _charged(entries: Iterable[Entry]) -> tuple[int, int, int]:
    usages = [entry.usage for entry in entries if entry.usage is not None]
    return (
        sum(usage.prompt_tokens for usage in usages),
        sum(usage.completion_tokens for usage in usages),
        sum(usage.cached_tokens for usage in usages),
    )
