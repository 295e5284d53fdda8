"""One grammar of names: commands are imperative, events past tense, and handlers are named after their message."""

import re

import pytest

from orchestrator.messages import commands
from orchestrator.messages.base import Command, Event, Message
from orchestrator.messages.catalogue import CATALOGUE, Entry
from orchestrator.saga.evolve import _APPLIERS
from orchestrator.saga.replies import REPLIES
from orchestrator.saga.requests import REQUESTS, Submission
from orchestrator.sdk import Service, discover

IMPERATIVE = {"Submit", "Create", "Execute", "Evaluate", "Cancel"}
PARTICIPLES = {"Chosen"}
"""Past participles that do not end in -ed."""
NOT_PAST = {
    "PlanStepReady": "a state that begins, named by the flow",
    "ToolHeartbeat": "a sign of life, named as the field names it",
}

NAMES = [pytest.param(entry, id=entry.message.__name__) for entry in CATALOGUE]


def words(name: str) -> list[str]:
    return re.findall(r"[A-Z][a-z]+", name)


def function_name(message: type[Message]) -> str:
    return "_".join(words(message.__name__)).lower()


@pytest.mark.parametrize("entry", NAMES)
def test_commands_are_imperative_and_events_past_tense(entry: Entry) -> None:
    name = entry.message.__name__
    if issubclass(entry.message, Command):
        assert words(name)[0] in IMPERATIVE, (
            f"{name} is not a request: begin with a verb, and add it to IMPERATIVE"
        )
    elif entry.kind == "event" and name not in NOT_PAST:
        past = [word for word in words(name) if word.endswith("ed") or word in PARTICIPLES]
        assert past, f"{name} is not a fact: say what happened, in the past tense"


@pytest.mark.parametrize("kind", _APPLIERS, ids=lambda kind: kind.__name__)
def test_the_function_that_applies_an_event_has_its_name(kind: type[Event]) -> None:
    assert _APPLIERS[kind].__name__ == function_name(kind)  # type: ignore[index]


@pytest.mark.parametrize("kind", REPLIES, ids=lambda kind: kind.__name__)
def test_the_handler_of_a_reply_has_its_name(kind: type[Event]) -> None:
    assert _named_after(REPLIES[kind], kind)


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.__name__)
def test_the_handler_of_a_request_has_its_name(kind: type) -> None:
    assert _named_after(REQUESTS[kind], commands.SubmitTask if kind is Submission else kind)


def test_handlers_of_our_services_are_named_after_their_message() -> None:
    for service in discover().by_name(Service).values():
        for kind, handler in service.handlers.items():
            shared = [other for other in service.handlers.values() if other is handler]
            assert len(shared) > 1 or _named_after(handler, kind), (
                f"{service.name} handles {kind.__name__} in {_name(handler)}: call it {function_name(kind)}"
            )


def _named_after(handler: object, kind: type[Message]) -> bool:
    return _name(handler) == function_name(kind)


def _name(handler: object) -> str:
    return getattr(handler, "__name__", "")
