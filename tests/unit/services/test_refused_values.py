"""A bucket that refuses: a call that it may take later fails as transient, so recovery tries it again."""

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from orchestrator_services import evaluator, planner, tool_executor

from orchestrator.bus.values.message_values import MessageValues
from orchestrator.bus.values.stores import value_store
from orchestrator.messages import events
from orchestrator.messages.types import Document, Failure, FailureKind, Value
from orchestrator.sdk import Plan, PlanRequest, document, step, tool
from orchestrator.sdk import planner as planning
from tests.support.hostile_s3 import HostileS3, hostile_s3
from tests.support.s3_server import CREDENTIALS
from tests.unit.services.support import World
from tests.unit.services.test_evaluator import evaluation
from tests.unit.services.test_planner import request
from tests.unit.services.test_tool_executor import execution, run

LARGE = "x" * 100_000
EXPIRED = "400 ExpiredToken"
STORED = Value(media_type="application/json", uri="values:sha256/ab/cd/" + "0" * 60, size=100_000, sha256="")


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket() -> Iterator[HostileS3]:
    with hostile_s3(EXPIRED) as server:
        yield server


def storing(bucket: HostileS3, *plugins: Any) -> World:
    world = World(*plugins)
    world.values = MessageValues(value_store(bucket.url))
    return world


def is_retried(failure: Failure) -> bool:
    assert "ExpiredToken; check the credentials" in failure.message
    return (failure.kind, failure.code) == (FailureKind.TRANSIENT, "unavailable")


@tool("lines")
def lines() -> str:
    return LARGE


@planning("large")
async def large(_request: PlanRequest) -> Plan:
    return Plan([step("lines", lines, text=LARGE)], result="done")


async def test_a_tool_whose_output_is_refused_for_expired_credentials_is_run_again(bucket: HostileS3) -> None:
    world = storing(bucket, lines)

    failed = await run(lines, world=world)
    bucket.answer = "200"
    completed = await run(lines, world=world)

    assert isinstance(failed, events.ToolFailed)
    assert is_retried(failed.failure)
    assert isinstance(completed, events.ToolCompleted)
    assert completed.output.uri is not None


async def test_an_at_most_once_tool_whose_output_is_refused_has_an_unknown_outcome(bucket: HostileS3) -> None:
    failed = await run(lines, world=storing(bucket, lines), at_most_once=True)

    assert failed.failure.kind is FailureKind.UNKNOWN_OUTCOME


async def test_arguments_that_may_be_read_later_are_read_again(bucket: HostileS3) -> None:
    message = replace(execution("lines"), arguments=Document(body=STORED))

    failed = await storing(bucket, lines).reply(tool_executor.service, message)

    assert is_retried(failed.failure)


async def test_arguments_that_may_not_be_read_are_no_mistake_of_whoever_wrote_them(bucket: HostileS3) -> None:
    bucket.answer = "403 AccessDenied"
    message = replace(execution("lines"), arguments=Document(body=STORED))

    failed = await storing(bucket, lines).reply(tool_executor.service, message)

    assert (failed.failure.kind, failed.failure.code) == (FailureKind.PERMANENT, "arguments_error")
    assert "s3:GetObject" in failed.failure.message


async def test_a_plan_that_is_refused_for_expired_credentials_is_made_again(bucket: HostileS3) -> None:
    failed = await storing(bucket, large, lines).reply(planner.service, request(planner="large"))

    assert isinstance(failed, events.PlanningFailed)
    assert is_retried(failed.failure)


async def test_a_result_that_is_refused_for_expired_credentials_is_evaluated_again(bucket: HostileS3) -> None:
    message = evaluation(result=document({"text": LARGE}))

    failed = await storing(bucket, evaluator).reply(evaluator.service, message)

    assert isinstance(failed, events.EvaluationFailed)
    assert is_retried(failed.failure)
