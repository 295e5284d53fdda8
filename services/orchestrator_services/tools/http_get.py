"""HTTP GET from allowed hosts only, also after redirects and name lookups."""

import asyncio
import json
import logging
import ssl
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.sdk import HandlerError, InvalidInput, PermanentError, TransientError, tool
from orchestrator_services.http_bodies import ACCEPTED, charset, decoded, packing
from orchestrator_services.tools.addresses import (
    AddressPolicy,
    Resolver,
    parsed,
    port_of,
    shown,
    system_resolver,
)
from orchestrator_services.tools.settings import PREFIX, ToolSettings, tool_settings

# At INFO httpx logs whole URLs, including secrets in their queries.
logging.getLogger("httpx").setLevel(logging.WARNING)

MAX_REDIRECTS = 5
CONNECT_SECONDS = 5.0
REDIRECTS = frozenset({301, 302, 303, 307, 308})
TRANSIENT_STATUSES = frozenset({408, 425, 429})
TEXT_TYPES = frozenset(
    {
        "application/json",
        "application/xml",
        "application/yaml",
        "application/javascript",
        "application/x-ndjson",
        "application/toml",
        "application/sql",
    }
)
# Headers that are still sent after a redirect to another origin; any other could be a credential.
HARMLESS_HEADERS = frozenset({"accept", "accept-language"})
OWN_HEADERS = frozenset(
    {
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "accept-encoding",
        "te",
        "upgrade",
        "trailer",
    }
)


class HttpAnswer(BaseModel):
    """The response of a host, with status 200 to 299. JSON is parsed into `data`, other text is in `text`."""

    model_config = ConfigDict(frozen=True)

    url: str = Field(description="URL of the response after redirects, without query.")
    status: int
    content_type: str
    size: int = Field(description="Bytes of the body.")
    text: str | None
    data: Any


@tool("http.get", capability="http", timeout="30s")
async def get(url: str, headers: dict[str, str] | None = None) -> HttpAnswer:
    """Fetches text or JSON from an allowed host, following at most 5 redirects to allowed hosts.

    Headers other than Accept and Accept-Language are not sent on to another origin. Proxies and credentials
    of the environment are not used.
    """
    settings = tool_settings()
    return await fetch(url, headers or {}, settings, system_resolver)


async def fetch(
    url: str, headers: Mapping[str, str], settings: ToolSettings, resolve: Resolver
) -> HttpAnswer:
    """One GET with its redirects, within `http_timeout` seconds in total."""
    for name in headers:
        if name.lower() in OWN_HEADERS or name.lower().startswith("proxy-"):
            raise InvalidInput(f"the header {name!r} is set by the client; leave it out")
    here = parsed(url)
    try:
        async with asyncio.timeout(settings.http_timeout):
            return await _follow(here, dict(headers), settings, AddressPolicy(settings, resolve))
    except TimeoutError:
        raise TransientError(
            f"{shown(here)} did not respond in full within {settings.http_timeout:g} s"
        ) from None


async def _follow(
    here: httpx.URL, headers: dict[str, str], settings: ToolSettings, policy: AddressPolicy
) -> HttpAnswer:
    for _ in range(MAX_REDIRECTS + 1):
        answer = await _ask(here, headers, settings, policy)
        if isinstance(answer, HttpAnswer):
            return answer
        if here.scheme == "https" and answer.scheme == "http":
            raise PermanentError(f"{shown(here)} redirects to plain http, which is not followed")
        if _origin(answer) != _origin(here):
            headers = {name: value for name, value in headers.items() if name.lower() in HARMLESS_HEADERS}
        here = answer
    raise PermanentError(f"more than {MAX_REDIRECTS} redirects, the last to {shown(here)}")


async def _ask(
    url: httpx.URL, headers: Mapping[str, str], settings: ToolSettings, policy: AddressPolicy
) -> HttpAnswer | httpx.URL:
    """The response, or the URL that it redirects to."""
    addresses = await policy.addresses(url)
    # A client per hop: hosts share no cookies and no connections. httpx's own redirects and the environment's
    # proxies and .netrc are off; the timeout is the caller's.
    async with httpx.AsyncClient(
        verify=_trust(settings.http_ca_file),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
    ) as client:
        try:
            response = await _send(client, url, headers, addresses)
            try:
                return await _read(url, response, settings)
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            raise TransientError(
                f"the connection to {shown(url)} failed: {error or type(error).__name__}"
            ) from None


async def _send(
    client: httpx.AsyncClient, url: httpx.URL, headers: Mapping[str, str], addresses: Sequence[str]
) -> httpx.Response:
    """Sends the request to the first address that accepts a connection."""
    reasons = []
    for address in addresses:
        try:
            request = client.build_request(
                "GET",
                url.copy_with(host=address, fragment=None),
                headers={**headers, "Host": url.netloc.decode("ascii"), "Accept-Encoding": ACCEPTED},
                # The certificate is verified against the host name, not against the address.
                extensions={"sni_hostname": url.raw_host.decode("ascii")},
            )
            return await client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise PermanentError(f"the certificate of {shown(url)} cannot be trusted: {error}") from None
            reasons.append(str(error) or type(error).__name__)
        except (httpx.LocalProtocolError, UnicodeError):
            # The error quotes the header's value, which may be a secret.
            raise InvalidInput(
                f"the request for {shown(url)} cannot be sent: a header has characters that HTTP does not allow"
            ) from None
    raise TransientError(f"{shown(url)} cannot be reached: {'; '.join(reasons)}")


async def _read(url: httpx.URL, response: httpx.Response, settings: ToolSettings) -> HttpAnswer | httpx.URL:
    if response.status_code in REDIRECTS:
        return _redirect(url, response)
    if not response.is_success:
        raise _status_error(url, response.status_code)
    content_type = response.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    if not _is_text(content_type):
        raise PermanentError(f"{shown(url)} returned {content_type}, which is neither text nor JSON")
    if packing(response.headers):
        raise PermanentError(
            f"{shown(url)} returned a compressed body although the request did not accept one"
        )
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > settings.max_result_bytes:
            raise PermanentError(
                f"{shown(url)} returned more than {settings.max_result_bytes} bytes; "
                f"request less or raise {PREFIX}MAX_RESULT_BYTES"
            )
    is_json = content_type == "application/json" or content_type.endswith("+json")
    try:
        # Aside: a large body may take longer than others should wait.
        text, data = await asyncio.to_thread(
            _content, bytes(body), charset(response.headers), is_json=is_json
        )
    except (ValueError, RecursionError):
        raise PermanentError(f"{shown(url)} returned {content_type} that is not valid JSON") from None
    return HttpAnswer(
        url=shown(url),
        status=response.status_code,
        content_type=content_type,
        size=len(body),
        text=text,
        data=data,
    )


def _redirect(url: httpx.URL, response: httpx.Response) -> httpx.URL:
    location = response.headers.get("location")
    if location is None:
        raise PermanentError(f"{shown(url)} redirects without a Location header")
    try:
        return parsed(str(url.join(location)))
    except (httpx.InvalidURL, UnicodeError):
        raise PermanentError(f"{shown(url)} redirects to an invalid URL") from None


def _status_error(url: httpx.URL, status: int) -> HandlerError:
    text = f"{shown(url)} returned status {status}"
    if status >= 500 or status in TRANSIENT_STATUSES:
        return TransientError(text, code=f"http_{status}")
    return PermanentError(text, code=f"http_{status}")


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.raw_host.decode("ascii").lower(), port_of(url)


def _is_text(content_type: str) -> bool:
    return (
        content_type.startswith("text/")
        or content_type in TEXT_TYPES
        or content_type.endswith(("+json", "+xml"))
    )


def _content(body: bytes, codec: str, *, is_json: bool) -> tuple[str | None, Any]:
    """Text, or what JSON stands for. Raises `ValueError` and `RecursionError` for JSON that is not valid."""
    return (None, json.loads(body)) if is_json else (decoded(body, codec), None)


@lru_cache(maxsize=4)
def _trust(ca_file: Path | None) -> ssl.SSLContext:
    """The certificate authorities to trust. Cached, because loading them takes about 20 ms."""
    if ca_file is None:
        return httpx.create_ssl_context(trust_env=False)
    return ssl.create_default_context(cafile=str(ca_file))
