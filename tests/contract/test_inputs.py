"""Every message that the orchestrator reads has a handler in the saga, or is named in `NOT_REPLIES`."""

from typing import get_args

import pytest

from orchestrator.messages import commands
from orchestrator.messages.base import Message, Record
from orchestrator.messages.catalogue import CATALOGUE, Entry, Topic
from orchestrator.saga import Input, Reply, Request, Submission, TimePassed, is_direct
from orchestrator.saga.replies import NOT_REPLIES, REPLIES
from orchestrator.saga.requests import REQUESTS
from orchestrator.sdk import Service, discover
from tests.support.samples import sample_of


def written_to(*topics: Topic) -> set[type[Message] | type[Record]]:
    return {entry.message for entry in CATALOGUE if entry.topic in topics}


def test_every_command_of_tasks_and_control_has_a_handler() -> None:
    handled = {commands.SubmitTask if kind is Submission else kind for kind in REQUESTS}
    lacking = written_to(Topic.TASKS, Topic.CONTROL) - handled
    assert not lacking, f"{lacking} would be dead-lettered: add a handler to saga/requests"
    assert handled <= written_to(Topic.TASKS, Topic.CONTROL)


def test_every_event_of_a_service_has_a_handler_or_is_named_as_no_reply() -> None:
    lacking = written_to(Topic.EVENTS) - set(REPLIES) - NOT_REPLIES
    assert not lacking, (
        f"{lacking} would be skipped: add a handler to saga/replies, or name it in NOT_REPLIES"
    )
    assert set(REPLIES) | NOT_REPLIES == written_to(Topic.EVENTS)
    assert not set(REPLIES) & NOT_REPLIES


def test_the_tables_have_the_types_of_inputs() -> None:
    assert set(get_args(Reply)) == set(REPLIES)
    assert set(get_args(Request)) == set(REQUESTS)
    assert set(get_args(Input)) == {*REPLIES, *REQUESTS, TimePassed}


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.message.__name__)
def test_only_messages_with_a_handler_are_inputs_as_they_are(entry: Entry) -> None:
    direct = entry.message in REPLIES or entry.message in REQUESTS
    assert is_direct(sample_of(entry.message)) is direct


def test_the_cost_tracker_counts_every_reply_that_reports_usage() -> None:
    reporting = {kind for kind in REPLIES if "usage" in kind.__struct_fields__}
    counted = set(discover().by_name(Service)["cost-tracker"].handlers)
    assert reporting <= counted, f"add {reporting - counted} to the handlers of the cost tracker"
