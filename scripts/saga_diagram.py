"""The diagram in `docs/saga.md`: how a session moves between phases, by asking the saga."""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final

from saga_table import INPUTS, SITUATIONS

from orchestrator.messages.base import SessionEvent
from orchestrator.messages.types import NextMove
from orchestrator.saga import Input, Phase, Session, evolve
from orchestrator.testing.scenario import Scenario, Sentence, evaluated, evaluation_failed, task_of_nobody

BEGINNING: Final = "[*]"
ESCALATED: Final = "ESCALATED"
"""Not a phase of its own: an escalated session is parked in the phase that it has reached."""
STATES: Final = (BEGINNING, *Phase, ESCALATED)

Move = tuple[str, str, str]
"""State before, type of the event, state after."""


def _deadline(scenario: Scenario) -> Input:
    """The session's deadline comes."""
    task = scenario.session.task if scenario.session else None
    scenario.now = max(scenario.now, task.deadline_at if task else 0)
    return scenario.time_passed()


_BEGINNINGS: Final[tuple[tuple[Sentence, ...], ...]] = (
    *SITUATIONS.values(),
    (*SITUATIONS["EVALUATING: an evaluation is requested"], evaluation_failed()),
)

_TRIED: Final[tuple[Sentence, ...]] = (
    *INPUTS.values(),
    task_of_nobody(),
    evaluated(NextMove.REVISE),
    evaluated(NextMove.GIVE_UP),
    _deadline,
)
"""Every input of the table, and inputs that lead elsewhere."""


def state_of(session: Session | None) -> str:
    """The state of a session in the diagram."""
    if session is None:
        return BEGINNING
    return ESCALATED if session.parked and not session.ended else session.phase.value


def moves_in(history: Iterable[SessionEvent]) -> Iterator[Move]:
    """The moves of a session, from its own events."""
    session: Session | None = None
    for event in history:
        before = state_of(session)
        session = evolve(session, event)
        if state_of(session) != before:
            yield before, type(event).__name__, state_of(session)


def moves() -> set[Move]:
    """Every move on the way to a situation and out of it. A test compares them with those of random sessions."""
    found: set[Move] = set()
    for beginning, sentence in product(_BEGINNINGS, _TRIED):
        scenario = Scenario(strict=False).when(*beginning, sentence)
        found.update(moves_in(scenario.history))
    return found


def diagram() -> str:
    """A Mermaid state diagram of the phases, and of the events that move a session between them."""
    names: dict[tuple[str, str], list[str]] = {}
    for before, event, after in sorted(moves(), key=lambda move: (_place(move[0]), _place(move[2]), move[1])):
        names.setdefault((before, after), []).append(event)
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {before} --> {after}: {', '.join(events)}" for (before, after), events in names.items()]
    return "\n".join([*lines, f"    {Phase.ENDED} --> {BEGINNING}", "```"])


def _place(state: str) -> int:
    return STATES.index(state)
