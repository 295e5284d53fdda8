"""Streamed responses: documents that come one after the other, whose texts go on from one to the next."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Final

import pydantic_core

from orchestrator.testing.cassettes.secrets import Secrets, parsed

EVENTS: Final = "text/event-stream"
"""The type of content of a stream of events."""
_DATA: Final = re.compile(r"^data:[^\n]*(?:\ndata:[^\n]*)*", re.MULTILINE)
"""The lines of data of an event."""

Place = tuple[Any, ...]
"""Where texts belong together: the names that lead there, and the numbers of what goes on."""


def payloads(text: str, content_type: str) -> list[str]:
    """The documents of a stream of events, or of one with a document in each line."""
    if EVENTS in content_type:
        return [_payload(one.group()) for one in _DATA.finditer(text)]
    lines = [line for line in text.split("\n") if line.strip()]
    return lines if all(parsed(line) is not None for line in lines) else []


def rewritten(text: str, change: Callable[[str], str]) -> str:
    """A stream of events, the data of each one changed."""

    def event(lines: re.Match[str]) -> str:
        before = _payload(lines.group())
        after = change(before)
        return lines.group() if after == before else f"data: {after}".replace("\n", "\ndata: ")

    return _DATA.sub(event, text)


def in_pieces(documents: Sequence[str], secrets: Secrets) -> str | None:
    """What kind of secret is in the joined texts of the documents, but whole in none of them; None if there is none."""
    together: dict[Place, list[str]] = {}
    for document in documents:
        content = parsed(document)
        for place, text in [((), document)] if content is None else _texts(content, ()):
            if text:
                together.setdefault(place, []).append(text)
    found = (_across(pieces, secrets) for pieces in together.values() if len(pieces) > 1)
    return next((kind for kind in found if kind), None)


def _payload(lines: str) -> str:
    return "\n".join(line.removeprefix("data:").removeprefix(" ").rstrip("\r") for line in lines.split("\n"))


def _texts(content: Any, place: Place) -> Iterator[tuple[Place, str]]:
    """The texts in a document. `index` and the like tell apart what is streamed side by side; where something stands
    in a list does not."""
    match content:
        case str():
            yield place, content
        case list():
            for one in content:
                yield from _texts(one, place)
        case dict():
            numbers = [
                (name, value)
                for name, value in content.items()
                if name.endswith("index") and isinstance(value, int)
            ]
            for name, value in content.items():
                yield from _texts(value, (*place, *numbers, name))


def _across(pieces: Sequence[str], secrets: Secrets) -> str | None:
    """What kind of secret runs over the border of two pieces, or is in a field of the document that they make up."""
    starts = [0, *accumulate(map(len, pieces))]
    hidden = {
        position
        for start, piece in zip(starts, pieces, strict=False)
        for _, first, end in secrets.found(piece)
        for position in range(start + first, start + end)
    }
    for kind, first, end in secrets.found("".join(pieces)):
        if not hidden.issuperset(range(first, end)):
            return kind
    return _in_fields("".join(map(secrets.document, pieces)), secrets)


def _in_fields(text: str, secrets: Secrets) -> str | None:
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        # Arguments of a call may have been cut short.
        content = pydantic_core.from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return None
    return None if secrets.content(content) == content else "a field that is secret by its name"
