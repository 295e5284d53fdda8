"""The record that a dead letter is about: whole, or the beginning of every part, so that its dead letter always fits.

Kafka takes a record with a key, a value and headers of any sizes that are together below its limit. A record that holds
such a record with everything said about it is larger. So there are two forms: the whole one, which is tried first, and
the bounded one, which is far below every limit.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final

from msgspec.structs import replace

from orchestrator.bus.ports import Received
from orchestrator.messages.encodable import encodable
from orchestrator.messages.types import CutPart, Header, OriginalMessage

KEY_BYTES: Final = 1_024
"""Bytes of a key that the bounded form keeps."""
VALUE_BYTES: Final = 4_096
HEADER_BYTES: Final = 4_096
"""Bytes of all headers that the bounded form keeps, their names included."""
HEADER_VALUE_BYTES: Final = 512
"""Bytes of one header's value: its type and ids are shorter, and one long header must not displace the others."""
_NAME_CHARACTERS: Final = 128
_PER_HEADER: Final = 8
"""What a header without name and value counts, so that their number is bounded too."""


def original(received: Received) -> OriginalMessage:
    """The record as it is in its topic, byte for byte."""
    return OriginalMessage(
        topic=received.topic.value,
        partition=received.partition,
        offset=received.offset,
        timestamp_ms=max(0, received.timestamp_ms),
        key=received.key,
        value=received.value,
        headers=tuple(Header(name=encodable(name), value=value) for name, value in received.headers),
    )


def bounded(whole: OriginalMessage) -> OriginalMessage:
    """The beginning of every part, with the size and hash of each part that is cut. Some 10 KB at most."""
    cut = [
        *_cut("key", whole.key, KEY_BYTES),
        *_cut("value", whole.value, VALUE_BYTES),
        *_cut_headers(whole.headers),
    ]
    known = {part.part for part in whole.cut}
    return replace(
        whole,
        key=_beginning(whole.key, KEY_BYTES),
        value=_beginning(whole.value, VALUE_BYTES),
        headers=tuple(_first_headers(whole.headers)),
        cut=(*whole.cut, *(part for part in cut if part.part not in known)),
    )


def _beginning(part: bytes | None, longest: int) -> bytes | None:
    return None if part is None else part[:longest]


def _cut(name: str, part: bytes | None, longest: int) -> Iterator[CutPart]:
    if part is not None and len(part) > longest:
        yield CutPart(part=name, size=len(part), sha256=sha256(part).hexdigest())


def _cut_headers(headers: Iterable[Header]) -> Iterator[CutPart]:
    headers = tuple(headers)
    if tuple(_first_headers(headers)) == headers:
        return
    size, digest = 0, sha256()
    for header in headers:
        for content in (header.name.encode(), header.value or b""):
            size += len(content)
            digest.update(content)
    yield CutPart(part="headers", size=size, sha256=digest.hexdigest())


def _first_headers(headers: Iterable[Header]) -> Iterator[Header]:
    room = HEADER_BYTES
    for header in headers:
        kept = Header(
            name=encodable(header.name, _NAME_CHARACTERS),
            value=_beginning(header.value, HEADER_VALUE_BYTES),
        )
        room -= len(kept.name.encode()) + len(kept.value or b"") + _PER_HEADER
        if room < 0:
            return
        yield kept
