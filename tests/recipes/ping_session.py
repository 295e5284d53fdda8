"""A command `PingSession` and its event `SessionPinged`, written as CONTRIBUTING.md's recipes say: place by place."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Change = Callable[[str], str]


@dataclass(frozen=True)
class Written:
    """What somebody writes in one place. `file` and `what` are the recipe's, with the name filled in."""

    file: str
    what: str
    change: Change
    generates: str = ""
    """A file that exists only because of this place."""


def _before(anchor: str, addition: str) -> Change:
    def change(text: str) -> str:
        assert text.count(anchor) == 1, f"{anchor!r} is there {text.count(anchor)} times"
        return text.replace(anchor, addition + anchor)

    return change


def _after(anchor: str, addition: str) -> Change:
    def change(text: str) -> str:
        assert text.count(anchor) == 1, f"{anchor!r} is there {text.count(anchor)} times"
        return text.replace(anchor, anchor + addition)

    return change


def _replaced(before: str, after: str) -> Change:
    def change(text: str) -> str:
        assert text.count(before) == 1, f"{before!r} is there {text.count(before)} times"
        return text.replace(before, after)

    return change


def _both(first: Change, second: Change) -> Change:
    return lambda text: second(first(text))


def _schema(name: str, namespace: str, doc: str, own_id: str, *more: dict[str, Any]) -> Change:
    micros = {"type": "long", "logicalType": "timestamp-micros"}
    fields = [
        {"name": own_id, "type": "string", "doc": "Identity of the message (UUID)."},
        {"name": "correlation_id", "type": "string", "doc": "The session (UUID)."},
        {"name": "causation_id", "type": "string", "doc": "The message that caused this one.", "default": ""},
        {"name": "occurred_at", "type": micros, "doc": "When it happened."},
        {"name": "agent", "type": "string", "doc": "Name of the agent.", "default": "default"},
        {"name": "tenant", "type": "string", "doc": "Whose session it is.", "default": "default"},
        *more,
    ]
    schema = {"type": "record", "name": name, "namespace": namespace, "doc": doc, "fields": fields}
    return lambda _: json.dumps(schema, indent=2) + "\n"


_HANDLER = '''"""Pings: whether the orchestrator has the session."""

from collections.abc import Iterable

from orchestrator.messages import commands, events
from orchestrator.saga.outputs import Draft, draft
from orchestrator.saga.state import Session


def ping_session(session: Session | None, _command: commands.PingSession, _now: int) -> Iterable[Draft]:
    """A session that does not exist does not answer."""
    if session is not None:
        yield draft(events.SessionPinged)
'''

_SENTENCE = """def ping() -> Sentence:
    return lambda scenario: commands.PingSession(
        command_id=scenario.new_id(), correlation_id=SESSION, occurred_at=scenario.now
    )


"""

_APPLIER = '''def session_pinged(session: Session, _event: events.SessionPinged) -> Session:
    """A ping changes nothing."""
    return session


'''

_HISTORY = """def pinged() -> Scenario:
    return given(task(), ping(), plan_created("a"), *done("a"), evaluated())


"""

COMMAND = (
    Written(
        "avro-schemas/commands/PingSession.avsc",
        "",
        _schema("PingSession", "agents.commands", "Asks a session for a sign of life.", "command_id"),
    ),
    Written(
        "orchestrator/messages/catalogue.py",
        "",
        _after(
            '    *_entries(Topic.CONTROL, "user", commands.CancelTask',
            ", commands.PingSession",
        ),
    ),
    Written("orchestrator/saga/requests/ping_session.py", "", lambda _: _HANDLER),
    Written(
        "orchestrator/saga/requests/__init__.py",
        "`REQUESTS`",
        _both(
            _replaced("import cancel, intake\n", "import cancel, intake, ping_session\n"),
            _after(
                "        _row(commands.CancelTask, cancel.cancel_task),\n",
                "        _row(commands.PingSession, ping_session.ping_session),\n",
            ),
        ),
    ),
    Written(
        "orchestrator/saga/requests/__init__.py",
        "`Control`",
        _after("Control: TypeAlias = commands.CancelTask", " | commands.PingSession"),
    ),
    Written(
        "orchestrator/testing/scenario/sentences.py",
        "",
        _before("def time_comes() -> Sentence:\n", _SENTENCE),
    ),
    Written(
        "orchestrator/testing/scenario/__init__.py",
        "",
        _both(
            _before("    plan_created,\n    planning", "    ping,\n"),
            _before('    "plan",\n', '    "ping",\n'),
        ),
    ),
    Written(
        "scripts/saga_table.py",
        "",
        _both(
            _before("    plan_created,\n", "    ping,\n"),
            _after('    "CancelTask": cancel(),\n', '    "PingSession": ping(),\n'),
        ),
    ),
    Written(
        "tests/architecture/test_names.py",
        "",
        _replaced('"Evaluate", "Cancel"}', '"Evaluate", "Cancel", "Ping"}'),
    ),
)

EVENT = (
    Written(
        "avro-schemas/events/SessionPinged.avsc",
        "",
        _schema(
            "SessionPinged",
            "agents.events",
            "The session gave a sign of life.",
            "event_id",
            {"name": "sequence", "type": "long", "doc": "Number of the event in its session."},
        ),
    ),
    Written(
        "orchestrator/messages/catalogue.py",
        "",
        _after("        events.CancelRequested,\n", "        events.SessionPinged,\n"),
    ),
    Written(
        "orchestrator/saga/evolve.py",
        "",
        _both(
            _before("def plan_requested(", _APPLIER),
            _after(
                "    events.CancelRequested: cancel_requested,\n",
                "    events.SessionPinged: session_pinged,\n",
            ),
        ),
    ),
    Written(
        "orchestrator/sessions/summaries.py",
        "",
        _before(
            "        case events.TaskCompleted():\n",
            '        case events.SessionPinged():\n            return "the session gave a sign of life"\n',
        ),
    ),
    Written(
        "tests/golden/record.py",
        "",
        _both(
            _both(_before("    plan_created,\n", "    ping,\n"), _before("HISTORIES = (\n", _HISTORY)),
            _after("    begun_later,\n", "    pinged,\n"),
        ),
        generates="tests/golden/pinged.json",
    ),
)
