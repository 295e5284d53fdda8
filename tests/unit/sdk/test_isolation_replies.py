"""What a run replied: counted before it is read, and large ones read one at a time."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.sdk.isolation import replies
from orchestrator.sdk.isolation.frames import FrameError

TEXTS = st.text(alphabet='ab,[]{}"\\é', max_size=8)
DATA = st.recursive(
    st.none() | st.integers(0, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=30,
)


def counted(data: Any) -> int:
    inside = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return len(inside) + sum(map(counted, inside))


@given(DATA, st.booleans())
def test_values_are_counted_without_reading_them(data: Any, is_ascii: bool) -> None:
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=is_ascii).encode()

    assert not replies.has_more_values(text, counted(data))
    if counted(data):
        assert replies.has_more_values(text, counted(data) - 1)


@pytest.mark.parametrize("text", [b'"' + b'\\"' * 500_000, b'["' * 500_000, b'"\\', b"[" * 500_000])
def test_what_breaks_off_is_read_once(text: bytes) -> None:
    reads = CountingBytes(text)

    replies.has_more_values(reads, 10)

    assert reads.bytes_counted <= 2 * 5 * len(text)


class CountingBytes(bytes):
    """Counts the bytes that were looked through."""

    bytes_counted = 0

    def count(self, sub: Any, start: Any = None, end: Any = None, /) -> int:
        self.bytes_counted += len(self[start:end])
        return super().count(sub, start, end)


def test_too_many_values_are_never_read() -> None:
    def unreachable(text: Any) -> None:
        raise AssertionError(f"{len(text)} bytes were read")

    for text in (b"[" + b"{}," * 2_000_000 + b"{}]", b'["' + b'","' * 1_500_000 + b'"]', b"[" * 3_000_000):
        with pytest.raises(replies.TooManyValuesError):
            replies.read(text, unreachable)


@pytest.mark.parametrize(("size", "is_alone"), [(10, False), (2_000_000, True)])
def test_large_replies_are_read_one_at_a_time(size: int, is_alone: bool) -> None:
    text = b'"' + b"x" * size + b'"'

    assert replies.read(text, lambda _: replies._alone.locked()) is is_alone
    assert not replies._alone.locked()


def test_what_is_no_json_is_no_reply() -> None:
    with pytest.raises(FrameError, match="not JSON"):
        replies.read(b"junk", json.loads)
