"""Conversations are read back whole, or the reader says what is missing."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.conversations import responses, segments


def kept(folder: Path, turn: int, previous: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Keeps a segment as the platform does; returns the value that names it."""
    content = json.dumps({"turn": turn, "previous": previous, "messages": [{"kind": "response"}]}).encode()
    digest = sha256(content).hexdigest()
    (folder / digest).write_bytes(content)
    return {"uri": f"values:{digest}", "sha256": digest}


def conversation(folder: Path, turns: int) -> Mapping[str, Any]:
    """The head of a conversation with so many turns."""
    head = None
    for turn in range(1, turns + 1):
        head = kept(folder, turn, head)
    assert head is not None
    return head


def test_a_conversation_is_read_from_its_end(tmp_path: Path) -> None:
    chain = segments(conversation(tmp_path, 3), tmp_path)

    assert [segment["turn"] for segment in chain] == [1, 2, 3]
    assert [responses(segment) for segment in chain] == [1, 1, 1]


def test_a_segment_is_missing(tmp_path: Path) -> None:
    first = kept(tmp_path, 1, None)
    head = kept(tmp_path, 2, first)
    (tmp_path / first["sha256"]).unlink()

    with pytest.raises(AssertionError, match="is not in the value store"):
        segments(head, tmp_path)


def test_a_segment_was_altered(tmp_path: Path) -> None:
    head = conversation(tmp_path, 2)
    (tmp_path / head["sha256"]).write_text("{}")

    with pytest.raises(AssertionError, match="was altered"):
        segments(head, tmp_path)
