"""Values: which travel inline, which lie in the store, and which are refused."""

import threading
from pathlib import Path

import msgspec
import pytest

from orchestrator.bus.values import message_values
from orchestrator.bus.values.folder import FolderValues
from orchestrator.bus.values.message_values import INLINE_LIMIT, MessageValues
from orchestrator.errors import ContractError
from orchestrator.messages.types import Value
from orchestrator.messages.values import json_value
from orchestrator.sdk import Values

LARGE = {"rows": ["x" * 100] * 1000}


@pytest.fixture
def values(tmp_path: Path) -> MessageValues:
    return MessageValues(FolderValues(tmp_path / "values"))


async def test_small_values_travel_inline_and_large_ones_by_reference(values: Values) -> None:
    small, large = await values.store({"a": 1}), await values.store(LARGE)
    assert (small.inline, small.uri) == (b'{"a":1}', None)
    assert (large.inline, large.size > INLINE_LIMIT) == (None, True)
    assert await values.load(small) == {"a": 1}
    assert await values.load(large) == LARGE
    assert await values.load(None) is None


async def test_without_a_store_everything_travels_inline_and_needs_none() -> None:
    values = MessageValues()
    value = await values.store(LARGE)
    assert value.uri is None
    assert await values.load(value) == LARGE


async def test_a_reference_without_a_store_is_refused(values: MessageValues) -> None:
    large = await values.store(LARGE)
    with pytest.raises(ContractError, match="no value store is configured"):
        await MessageValues().load(large)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"size": 3}, "the message says 3|more than 3 bytes"),
        ({"size": 10**6}, "the message says 1000000"),
        ({"sha256": "0" * 64}, "does not match the hash"),
    ],
)
def test_size_and_hash_that_are_named_have_to_match(
    values: MessageValues, change: dict[str, object], says: str
) -> None:
    for value in (json_value({"a": 1}), values.placed(json_value(LARGE))):
        with pytest.raises(ContractError, match=says):
            values.fetched(msgspec.structs.replace(value, **change))


def test_a_reference_that_names_more_than_a_value_may_have_is_refused_unread(values: MessageValues) -> None:
    reference = msgspec.structs.replace(values.placed(json_value(LARGE)), size=2**62)
    with pytest.raises(ContractError, match="is the most"):
        values.fetched(reference)


async def test_a_value_that_could_not_be_read_again_is_not_stored(
    values: Values, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.bus.values.message_values.LARGEST", 50_000)
    for write in (values.store, values.keep):
        with pytest.raises(ContractError, match="cannot be stored: 50000 is the most"):
            await write(LARGE)


def test_a_writer_may_leave_size_and_hash_out(values: MessageValues) -> None:
    assert values.load_now(Value(inline=b"[1]")) == [1]


def test_a_value_without_content_is_refused(values: MessageValues) -> None:
    with pytest.raises(ContractError, match="neither content nor a URI"):
        values.load_now(Value())


@pytest.mark.parametrize(
    ("content", "is_large"),
    [
        ([None] * 20_000, True),
        ({"x": "x" * (2 << 20)}, True),
        (LARGE, False),
        (msgspec.Raw(b" " * (2 << 20) + b"1"), True),
    ],
)
async def test_large_content_is_written_and_hashed_in_a_thread(
    values: MessageValues, monkeypatch: pytest.MonkeyPatch, content: object, is_large: bool
) -> None:
    threads: list[threading.Thread] = []

    def recording(content: object) -> Value:
        threads.append(threading.current_thread())
        return json_value(content)

    monkeypatch.setattr(message_values, "json_value", recording)

    for kept in (await values.store(content), await values.keep(content)):
        assert kept.uri is not None
    assert [one is not threading.current_thread() for one in threads] == [is_large, is_large]


async def test_content_that_contains_itself_is_refused(values: MessageValues) -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ContractError):
        await values.store(endless)
