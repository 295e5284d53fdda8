"""Conversations, read back from the folder of values without the platform's help."""

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.chaos.topics import Record

Segment = Mapping[str, Any]


def heads(records: Iterable[Record]) -> dict[str, Mapping[str, Any]]:
    """The last segment of each session's conversation, by session."""
    found: dict[str, Mapping[str, Any]] = {}
    for record in records:
        if record.name == "PlanAccepted" and record.body["conversation"]:
            found[record.session] = record.body["conversation"]
    return found


def segments(head: Mapping[str, Any], values: Path) -> Sequence[Segment]:
    """The segments of a conversation, oldest first. Raises `AssertionError` for one that is missing or altered."""
    found: list[Segment] = []
    at: Mapping[str, Any] | None = head
    while at is not None:
        path = values / str(at["uri"]).removeprefix("values:")
        assert path.exists(), f"{at['uri']} is not in the value store"
        content = path.read_bytes()
        assert sha256(content).hexdigest() == at["sha256"], f"{at['uri']} was altered"
        found.append(json.loads(content))
        at = found[-1].get("previous")
    return found[::-1]


def responses(segment: Segment) -> int:
    """How often the model spoke in a segment."""
    return sum(message["kind"] == "response" for message in segment["messages"])
