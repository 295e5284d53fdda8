"""What recordings must not hold: credentials, cookies, ids of accounts.

Of headers only those stay that a replay needs, so a secret in a header that nobody thought of is not written. In URLs
and bodies secrets are hidden. A stream that holds one in pieces is refused: no piece says that it is one.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx2
from vcr.request import Request

from orchestrator.telemetry.redaction import HIDDEN
from orchestrator.testing.cassettes import streams
from orchestrator.testing.cassettes.errors import NotRecordedError
from orchestrator.testing.cassettes.secrets import NAMES, Secrets, parsed

_REQUEST_HEADERS: Final = frozenset({"accept", "content-type"})
_RESPONSE_HEADERS: Final = frozenset({"content-type", "location", "retry-after", "retry-after-ms"})
_PARAMETER: Final = re.compile(rf"{NAMES}|^(key|code|sig)$|signature$", re.IGNORECASE)
"""Of a URL, and of a form; as a field, `key` says mostly something else."""
_COUNT: Final = re.compile(r"tokens=\d+$", re.IGNORECASE)


class Scrubber:
    """Removes secrets from what vcrpy records, and alike from what it compares with that."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._secrets = Secrets(environment)

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
        kept = {name: values for name, values in _headers(response).items() if name in _RESPONSE_HEADERS}
        if "location" in kept:
            kept["location"] = [self._url(url) for url in kept["location"]]
        body = self._body(_content(response), "".join(kept.get("content-type", ())))
        return {"status": response["status"], "headers": kept, "body": {"string": body}}

    def check(self, asked: Request, response: dict[str, Any]) -> None:
        """Raises `NotRecordedError` for the response of a server that holds a secret in pieces; `asked` is the request
        without secrets."""
        content_type = "".join(_headers(response).get("content-type", ()))
        try:
            text = _content(response).decode("utf-8")
        except UnicodeDecodeError:
            return
        if kind := streams.in_pieces(streams.payloads(text, content_type), self._secrets):
            raise NotRecordedError(
                f"the response to {asked.method} {asked.uri} is a stream that holds {kind} in pieces, which cannot be "
                "hidden: nothing is recorded. Record and replay with answers in one piece (of models by "
                "ORCHESTRATOR_MODELS_STREAM=false), or keep the secret out of what models and tools are told"
            )

    def _url(self, url: str) -> str:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        hidden = [
            (name, HIDDEN if _PARAMETER.search(name) and not _COUNT.search(f"{name}={value}") else value)
            for name, value in query
        ]
        host = parts.netloc.rpartition("@")[2]
        if hidden != query or host != parts.netloc:
            url = urlunsplit(parts._replace(netloc=host, query=urlencode(hidden, safe="*")))
        return self._secrets.text(url)

    def _body(self, body: bytes, content_type: str) -> bytes:
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            return body  # no text, such as audio
        if "x-www-form-urlencoded" in content_type:
            text = urlsplit(self._url(f"?{text}")).query
        elif streams.EVENTS in content_type:
            text = streams.rewritten(text, self._secrets.document)
        else:
            text = self._document(text)
        return self._secrets.text(text).encode()

    def _document(self, text: str) -> str:
        """A document, or one in each line."""
        if parsed(text) is not None:
            return self._secrets.document(text)
        return "\n".join(self._secrets.document(line) for line in text.split("\n"))


def _headers(response: dict[str, Any]) -> dict[str, list[str]]:
    return {name.lower(): _texts(values) for name, values in response["headers"].items()}


def _content(response: dict[str, Any]) -> bytes:
    """The body as its client reads it. Raises `NotRecordedError` for what cannot be decoded here."""
    return _decoded(_bytes(response["body"]["string"]), _headers(response).get("content-encoding", []))


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
