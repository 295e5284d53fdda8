"""What the message of a dead letter says, as far as anybody can tell."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.cli.output import printable

if TYPE_CHECKING:
    from orchestrator.bus.codec import Codec
    from orchestrator.messages.types import OriginalMessage

_BYTES_A_LINE = 32


@dataclass(frozen=True)
class Payload:
    """`form` is text, avro, hex or none; `content` is text, what the Avro body holds, or hexadecimal digits."""

    form: str
    content: Any
    schema: str = ""
    """Full name of the Avro record."""


def payload_of(original: "OriginalMessage", codec: "Codec") -> Payload:
    """The value as text if it is text, by its writer's schema if the registry has it, else in hexadecimal."""
    value = original.value
    if value is None:
        return Payload("none", None)
    if (text := as_text(value)) is not None:
        return Payload("text", text)
    return _decoded(original, value, codec) or Payload("hex", value.hex(" "))


def as_text(content: bytes) -> str | None:
    """UTF-8 that a terminal shows as it is; None for anything else."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if text and printable(text.replace("\r\n", "\n")) == text.replace("\r\n", "\n") else None


def hex_lines(digits: str) -> list[str]:
    """Hexadecimal digits of bytes, as many a line as a terminal holds."""
    width = 3 * _BYTES_A_LINE
    return [digits[start : start + width].rstrip() for start in range(0, len(digits), width)]


def _decoded(original: "OriginalMessage", value: bytes, codec: "Codec") -> Payload | None:
    """By the writer's schema alone: what the platform could not take may still be read."""
    from fastavro import parse_schema, schemaless_reader

    from orchestrator.bus.avro.resolution import name_of
    from orchestrator.bus.ports import Received
    from orchestrator.errors import OrchestratorError
    from orchestrator.messages.catalogue import Topic

    headers = tuple((header.name, header.value) for header in original.headers)
    try:
        received = Received(
            Topic(original.topic), original.partition, original.offset, 0, None, value, headers
        )
        schema, start = codec.writer_schema(received)
        body = io.BytesIO(value[start:])
        content = schemaless_reader(body, parse_schema(schema), None)
    except (OrchestratorError, ValueError, TypeError, KeyError, IndexError, EOFError):
        return None
    except Exception as error:  # fastavro's own errors derive from Exception
        if type(error).__module__.startswith("fastavro"):
            return None
        raise
    return None if body.read(1) else Payload("avro", _plain(content), name_of(schema))


def _plain(content: Any) -> Any:
    """With the bytes that are text as text: contexts, arguments and results mostly are."""
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
