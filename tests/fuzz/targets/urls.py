"""URLs that models write and addresses that names have: connected to only where an operator allows it."""

import asyncio
import ipaddress
import re
from collections.abc import Sequence
from typing import Final

from orchestrator_services.tools.addresses import AddressPolicy, parsed, shown
from orchestrator_services.tools.public_addresses import is_public
from orchestrator_services.tools.settings import ToolSettings

from orchestrator.sdk import InvalidInput, TransientError
from orchestrator.telemetry.redaction import Redaction
from tests.fuzz.target import promise
from tests.fuzz.targets.text import text_target

_SETTINGS: Final = ToolSettings(
    http_allow=("example.com", "*.example.org", "example.net:8080", "[2606:2800::1]:443"),
    http_allow_private=("localhost:8080", "[::1]:9090"),
)
_ALLOWED: Final = re.compile(
    r"example\.com|[^/@?#]+\.example\.org|example\.net|localhost|\[?2606:2800::1\]?|\[?::1\]?"
)
_LOOP: Final = asyncio.new_event_loop()
_SECRET: Final = "hunter2secret"
_GRAMMAR: Final = {
    "start": ("<url>", "<address>"),
    "url": (
        "<scheme>://<host><port><path>",
        "<scheme>://<user>@<host><port><path>",
        "<scheme>:<host>",
        "//<host>",
    ),
    "scheme": ("http", "https", "HTTP", "ftp", "file", "javascript", "http\t", "hTTps", "http:http", " http"),
    "user": ("a", "a:b", f"user:{_SECRET}", f":{_SECRET}", "example.com", "a@b", "%40", "a:b:c", "\\"),
    "host": (
        "example.com",
        "a.example.org",
        ".example.org",
        "example.org",
        "example.com.",
        "EXAMPLE.com",
        "example.net",
        "localhost",
        "<address>",
        "[<address>]",
        "ex\u00e4mple.com",
        "example\u3002com",
        "\uff45xample.com",
        "example.com%00.evil",
        "evil.com#example.com",
        "evil.com\\.example.org",
        "evil.com/.example.org",
        "xn--a.example.org",
        "a..example.org",
        "",
    ),
    "port": ("", "", ":80", ":8080", ":443", ":0", ":65536", ":-1", ":", ":8_0", ":\u0661", ":080"),
    "path": (
        "",
        "/",
        "/a?b=c#d",
        "/../..",
        f"?token={_SECRET}",
        "\\evil.com",
        "/%2e%2e/",
        "#@evil.com",
        "/\r\nHost: x",
    ),
    "address": (
        "127.0.0.1",
        "<byte>.<byte>.<byte>.<byte>",
        "0x7f.1",
        "2130706433",
        "017700000001",
        "127.1",
        "::",
        "::1",
        "::ffff:<byte>.<byte>.<byte>.<byte>",
        "64:ff9b::<byte>.<byte>.<byte>.<byte>",
        "fe80::1%eth0",
        "2001:db8::<hex>",
        "<hex>:<hex>::<hex>",
        "2002:<hex>:<hex>::1",
        "2606:2800::1",
        "<hex>::5efe:<byte>.<byte>.<byte>.<byte>",
        "192.88.99.1",
        "3fff::<hex>",
    ),
    "byte": ("1", "0", "10", "127", "169", "172", "192", "198", "224", "255", "256", "01", "8", "\u0661"),
    "hex": ("1", "0", "ffff", "2001", "2620", "4f", "8000", "fc00", "fe80", "3fff", "2fff", "g"),
}


def check(text: str) -> None:
    _check_address(text)
    hidden = Redaction()(f"cannot reach http://user:{_SECRET}@host/ at {text}"[:500])
    promise(_SECRET not in hidden.partition(" at ")[0], "a password in a URL is hidden")
    try:
        url = parsed(text)
    except InvalidInput as error:
        promise(_SECRET not in str(error), "an error has no password")
        return
    promise(not url.userinfo and url.scheme in ("http", "https"), "a URL has no user")
    promise(all(" " < char < "\x7f" for char in url.raw_host.decode()), "a host is ASCII")
    promise(_SECRET not in shown(url) or _SECRET in url.path or _SECRET in url.host, "a query is not shown")
    for found in (["93.184.216.34"], ["127.0.0.1"], [text], ["93.184.216.34", "10.0.0.1"], []):
        _check_policy(text, found)


def _check_policy(text: str, found: Sequence[str]) -> None:
    async def resolve(host: str, _port: int) -> Sequence[str]:
        promise(_ALLOWED.fullmatch(host) is not None, f"{host} is looked up")
        return found

    url = parsed(text)
    try:
        allowed = _LOOP.run_until_complete(AddressPolicy(_SETTINGS, resolve).addresses(url))
    except (InvalidInput, TransientError) as error:
        promise(_SECRET not in str(error) or _SECRET in url.host, "an error has no password")
        return
    is_private = url.host in ("localhost", "localhost.", "::1")
    promise(is_private or all(map(is_public, allowed)), "connected to public addresses only")
    promise(is_private or all(map(_is_global, allowed)), f"{allowed} is not a public address")


def _check_address(text: str) -> None:
    if is_public(text):
        promise(_is_global(text), f"{text} is not a public address")


def _is_global(text: str) -> bool:
    """What Python says of an address, after the IPv4 address in it is taken out."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_global(str(address.ipv4_mapped))
        if address.sixtofour is not None or address.teredo is not None or address.scope_id is not None:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


TARGETS: Final = (
    text_target(
        "urls",
        _GRAMMAR,
        check,
        ("orchestrator_services.tools.addresses", "orchestrator_services.tools.public_addresses"),
        inputs=10_400,
        reaches=0.82,
    ),
)
