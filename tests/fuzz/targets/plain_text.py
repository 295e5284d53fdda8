"""Text of others, shown to people and put into messages: it controls no terminal, forges no line, and can be sent."""

import json
import logging
import re
from typing import Any, Final

from orchestrator.messages.encodable import encodable
from orchestrator.messages.events import ToolFailed
from orchestrator.messages.types import Call, CallKind
from orchestrator.sdk.failures import failure_of
from orchestrator.sdk.isolation import frames
from orchestrator.sdk.isolation.outcome import raised
from orchestrator.telemetry.logs import JsonFormatter, PlainFormatter
from orchestrator.telemetry.plain_text import indented, json_safe, one_line, printable
from orchestrator.testing.scenario import SESSION
from tests.fuzz.mutators.records import CODEC
from tests.fuzz.target import promise
from tests.fuzz.targets.text import text_target

_CONTROL: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\u061c\u200e\u200f]"
)
_SECRET: Final = "hunter2secret"
_CALL: Final = Call(call_id="c", kind=CallKind.TOOL, due_at=0)
_JSON_LOG: Final = JsonFormatter((_SECRET,))
_PLAIN_LOG: Final = PlainFormatter((_SECRET,))
_GRAMMAR: Final = {
    "start": ("<text>", "<json>", "<text><text>"),
    "text": (
        "a",
        "\x1b[2J",
        "\x1b]0;title\x07",
        "\r2026-01-01 INFO forged",
        "\n",
        "\u202e<text>",
        "\ud83d\ude00",
        "\ud800",
        "\u2028",
        "\x9b31m",
        "password=<text>",
        f"https://user:{_SECRET}@host/<text>",
        "é\u0301",
        "\U000e0001",
        "\ufeff",
    ),
    "json": (
        '{"kind": "<kind>", "code": <string>, "message": <string>, "is_own": <bool>, "retry_after_ms": <number>}',
        '{"code": <string>, "message": <any>}',
        '{"output": <number>}',
        "<any>",
    ),
    "kind": (
        "transient",
        "permanent",
        "invalid_input",
        "unknown_outcome",
        "TRANSIENT",
        "PERMANENT",
        "INVALID_INPUT",
        "x",
    ),
    "string": ('"<text>"', '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', "null", '"a"'),
    "bool": ("true", "false", "1", "null"),
    "number": ("0", "1", "-1", "1.5", "1e400", "86399999", "NaN", "99999999999999999999", "true"),
    "any": ("1", "<string>", "<number>", "[<any>]", '{"a": <any>}', "[]", "{}"),
}


def check(text: str) -> None:
    _plain(printable(text))
    _plain(one_line(text), lines=False)
    _plain(indented(text))
    for indent in (None, 1):
        encoded = json.dumps({"a": [text]}, ensure_ascii=False, indent=indent)
        safe = json_safe(encoded)
        _plain(safe)
        # Two halves of a character that stand side by side become one, as in every reader of JSON.
        meant = json.loads(json.dumps(json.loads(encoded)))
        promise(json.loads(safe) == meant, "JSON means the same when it is shown")
    encodable(text, 20).encode()
    _log(text)
    _send(RuntimeError(text))
    _frame(text)


def _log(text: str) -> None:
    record = logging.LogRecord("fuzz", logging.ERROR, "fuzz.py", 1, text, None, None)
    vars(record)["given"] = text
    line = _JSON_LOG.format(record)
    _plain(line, lines=False)
    promise(isinstance(json.loads(line), dict), "a log line is a JSON object")
    _plain(_PLAIN_LOG.format(record), lines=False)
    for said in (line, _PLAIN_LOG.format(record)):
        promise(_SECRET not in said, "a log has no secret")


def _frame(text: str) -> None:
    """What a run in a process of its own sends as its failure."""
    channel: Any = _Channel(text.encode("utf-8", "surrogatepass"))
    try:
        received = frames.receive(channel, {frames.FAILURE: frames.MOST_FAILURE})
        content = None if received is None else frames.decoded(received[1])
    except frames.FrameError as error:
        promise(len(str(error)) < 200, "a refusal is short")
        return
    if isinstance(content, dict):
        _send(raised(content))


class _Channel:
    """The end of a socket from which a frame of failure comes."""

    def __init__(self, content: bytes) -> None:
        self._rest = frames.FAILURE + len(content).to_bytes(4, "big") + content

    def recv(self, size: int) -> bytes:
        part, self._rest = self._rest[:size], self._rest[size:]
        return part


def _send(error: Exception) -> None:
    """The reply that reports what was raised can be sent."""
    failure = failure_of(error, "tool_error")
    fields: dict[str, Any] = {"event_id": "e", "correlation_id": SESSION, "occurred_at": 0, "tool": "t"}
    sent = CODEC.encode(ToolFailed(call=_CALL, failure=failure, **fields), source="/fuzz/0")
    promise(len(sent.value or b"") < 20_000, "a failure is short")


def _plain(text: str, *, lines: bool = True) -> None:
    promise(_CONTROL.search(text) is None, "what is shown controls no terminal and no direction")
    promise(lines or not re.search(r"[\n\t\r]", text), "a line is a line")
    text.encode()


TARGETS: Final = (
    text_target(
        "plain_text",
        _GRAMMAR,
        check,
        (
            "orchestrator.telemetry.plain_text",
            "orchestrator.telemetry.logs",
            "orchestrator.telemetry.redaction",
            "orchestrator.sdk.failures",
            "orchestrator.sdk.isolation.frames",
            "orchestrator.sdk.isolation.outcome",
        ),
        inputs=3_000,
        reaches=0.47,
    ),
)
