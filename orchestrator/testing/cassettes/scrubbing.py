"""What recordings must not hold: credentials, cookies, ids of accounts.

Of headers only those stay that a replay needs, so a secret in a header that nobody thought of is not written. In URLs
and bodies go: values of variables of the environment that are secret by their name, fields that are secret by their
name, and text that has the form of a key or of an organisation's id.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit, urlunsplit

import httpx2
from vcr.request import Request

from orchestrator.telemetry.redaction import HIDDEN, KEY, secrets_in
from orchestrator.testing.cassettes.errors import NotRecordedError

_REQUEST_HEADERS: Final = frozenset({"accept", "content-type"})
_RESPONSE_HEADERS: Final = frozenset({"content-type", "location", "retry-after", "retry-after-ms"})
_NAMES: Final = (
    r"((api|access|account|private|secret|subscription)[_-]?key([_-]?id)?|token|secret|passw(or)?d|credentials?"
    r"|authorization|assertion)$"
)
_FIELD: Final = re.compile(_NAMES, re.IGNORECASE)
_PARAMETER: Final = re.compile(rf"{_NAMES}|^(key|code|sig)$|signature$", re.IGNORECASE)
"""Of a URL, and of a form; as a field, `key` says mostly something else."""
_BEARER: Final = re.compile(r"(?<=[Bb]earer )[\w.~+/=-]{16,}")
_ACCOUNT: Final = re.compile(r"\b(?:org-|proj_)[A-Za-z0-9]{16,}")
"""Ids of OpenAI's organisations and projects: its errors name them."""


class Scrubber:
    """Removes secrets from what vcrpy records, and alike from what it compares with that."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        known = {
            form
            for value in secrets_in(environment)
            for form in (value, json.dumps(value)[1:-1], quote(value), quote_plus(value))
        }
        longest_first = sorted(known, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if known else None

    def request(self, request: Request) -> Request:
        """The request without secrets; vcrpy passes a copy."""
        request.uri = self._url(request.uri)
        request.body = self._body(_bytes(request.body), str(request.headers.get("content-type", "")))
        request.headers = {
            name: value for name, value in request.headers.items() if name.lower() in _REQUEST_HEADERS
        }
        return request

    def response(self, response: dict[str, Any]) -> dict[str, Any]:
        """The response without secrets, its body decoded. Raises `NotRecordedError` where it cannot be read."""
        headers = {name.lower(): _texts(values) for name, values in response["headers"].items()}
        body = _decoded(_bytes(response["body"]["string"]), headers.get("content-encoding", []))
        kept = {name: values for name, values in headers.items() if name in _RESPONSE_HEADERS}
        if "location" in kept:
            kept["location"] = [self._url(url) for url in kept["location"]]
        body = self._body(body, "".join(kept.get("content-type", ())))
        return {"status": response["status"], "headers": kept, "body": {"string": body}}

    def _url(self, url: str) -> str:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        hidden = [(name, HIDDEN if _PARAMETER.search(name) else value) for name, value in query]
        host = parts.netloc.rpartition("@")[2]
        if hidden != query or host != parts.netloc:
            url = urlunsplit(parts._replace(netloc=host, query=urlencode(hidden, safe="*")))
        return self._text(url)

    def _body(self, body: bytes, content_type: str) -> bytes:
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            return body  # no text, such as audio
        if "x-www-form-urlencoded" in content_type:
            text = urlsplit(self._url(f"?{text}")).query
        elif "text/event-stream" in content_type:
            text = "\n".join(_event_line(line) for line in text.split("\n"))
        else:
            text = _document(text)
        return self._text(text).encode()

    def _text(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        for form in (KEY, _BEARER, _ACCOUNT):
            text = form.sub(HIDDEN, text)
        return text


def _document(text: str) -> str:
    """A JSON text with its secret fields hidden; any other text, and one without such fields, as it is."""
    try:
        content = json.loads(text)
    except ValueError:
        return text
    hidden = _hidden(content)
    return text if hidden == content else json.dumps(hidden, ensure_ascii=False)


def _event_line(line: str) -> str:
    """A line of a stream of events."""
    name, colon, data = line.partition(":")
    if name != "data":
        return line
    space = " " if data.startswith(" ") else ""
    return f"{name}{colon}{space}{_document(data.removeprefix(' '))}"


def _hidden(content: Any) -> Any:
    if isinstance(content, dict):
        return {
            name: HIDDEN if isinstance(value, str) and _FIELD.search(name) else _hidden(value)
            for name, value in content.items()
        }
    return [_hidden(one) for one in content] if isinstance(content, list) else content


def _decoded(body: bytes, codings: Iterable[str]) -> bytes:
    """A body as its client reads it. Raises `NotRecordedError` for what cannot be decoded here."""
    wanted = {coding.strip().lower() for listed in codings for coding in listed.split(",")} - {"", "identity"}
    if not wanted:
        return body
    if unknown := wanted - _known_codings():
        raise NotRecordedError(
            f"a response is encoded as {', '.join(sorted(unknown))}: secrets could not be removed from it, so it is "
            "not recorded; ask for another encoding by Accept-Encoding, or install the decoder for httpx2"
        )
    response = httpx2.Response(
        200, headers={"content-encoding": ", ".join(codings)}, stream=httpx2.ByteStream(body)
    )
    try:
        return response.read()
    except httpx2.DecodingError:
        return body  # Some clients have decoded it already.


@cache
def _known_codings() -> frozenset[str]:
    """Those that the client offers to servers."""
    return frozenset(httpx2.Client().headers["accept-encoding"].split(", "))


def _bytes(body: Any) -> bytes:
    """Bodies as clients give them: bytes, text, a file, or pieces."""
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes | bytearray):
        return bytes(body)
    read: Callable[[], Any] | None = getattr(body, "read", None)
    return _bytes(read()) if read else b"".join(_bytes(piece) for piece in body)


def _texts(values: Any) -> list[str]:
    return [values] if isinstance(values, str) else [str(value) for value in values]
