"""Records of broadcast topics that cannot be read: lines in the log."""

import logging

import pytest

from orchestrator.bus.errors import SchemaUnresolved
from orchestrator.bus.ports import Received
from orchestrator.errors import ContractError
from orchestrator.messages.catalogue import Topic
from orchestrator.worker.broadcast.ignored import IgnoredRecords


def record(offset: int) -> Received:
    return Received(Topic.DEFINITIONS, 0, offset, 0, b"b", b"x")


def test_twenty_thousand_records_are_a_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    ignored = IgnoredRecords("definition")

    for offset in range(20_000):
        ignored.add(record(offset), ContractError("no schema id"))

    lines = [entry.getMessage() for entry in caplog.records]
    assert lines[0] == "ignored the definition at offset 0, which cannot be decoded: no schema id"
    assert lines[5] == "ignored the definition at offset 9, which cannot be decoded (10 so far): no schema id"
    assert "(10,240 so far)" in lines[-1]
    assert len(lines) == 16


def test_a_schema_that_was_not_found_is_an_error_however_many_records_came_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # given more records that cannot be read than are logged
    ignored = IgnoredRecords("definition")
    for offset in range(99):
        ignored.add(record(offset), ContractError("no schema id"))
    caplog.clear()

    ignored.add(record(99), SchemaUnresolved("the registry does not respond"))

    (entry,) = caplog.records
    assert entry.levelno == logging.ERROR
    assert entry.getMessage() == (
        "ignored the definition at offset 99, until this process restarts: the registry does not respond"
    )
