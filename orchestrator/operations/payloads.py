"""Decoding the message of a dead letter as far as possible."""

from dataclasses import dataclass
from typing import Any

from orchestrator.bus.avro.resolution import content_of, name_of
from orchestrator.bus.codec import Codec
from orchestrator.bus.ports import Received
from orchestrator.errors import OrchestratorError
from orchestrator.messages.catalogue import Topic
from orchestrator.messages.types import OriginalMessage


@dataclass(frozen=True)
class Payload:
    """`form` is text, avro, hex or none; `content` is text, the decoded Avro body, or hexadecimal digits."""

    form: str
    content: Any
    schema: str = ""
    """Full name of the Avro record."""


def payload_of(original: OriginalMessage, codec: Codec) -> Payload:
    """The value as text if it is text, decoded if the registry has its schema, in hexadecimal otherwise."""
    value = original.value
    if value is None:
        return Payload("none", None)
    if (text := as_text(value)) is not None:
        return Payload("text", text)
    return _decoded(original, value, codec) or Payload("hex", value.hex(" "))


def as_text(content: bytes) -> str | None:
    """UTF-8 that a terminal shows unchanged; None for anything else."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    is_plain = all(char.isprintable() or char in "\n\t" for char in text.replace("\r\n", "\n"))
    return text if text and is_plain else None


def readable(content: bytes | None) -> str | None:
    """Text as it is, anything else in hexadecimal; None for no content."""
    if content is None:
        return None
    text = as_text(content)
    return content.hex(" ") if text is None else text


def _decoded(original: OriginalMessage, value: bytes, codec: Codec) -> Payload | None:
    """Decodes with the writer's schema alone: a message that the platform rejects may still be readable."""
    headers = tuple((header.name, header.value) for header in original.headers)
    try:
        received = Received(
            Topic(original.topic), original.partition, original.offset, 0, None, value, headers
        )
        schema, start = codec.writer_schema(received)
        return Payload("avro", _plain(content_of(schema, value[start:])), name_of(schema))
    except (OrchestratorError, ValueError):
        return None


def _plain(content: Any) -> Any:
    """Replaces bytes that hold text by that text: contexts, arguments and results mostly do."""
    match content:
        case bytes():
            text = as_text(content)
            return content if text is None else text
        case dict():
            return {name: _plain(value) for name, value in content.items()}
        case list():
            return [_plain(item) for item in content]
        case _:
            return content
