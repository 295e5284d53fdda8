"""Which addresses count as public, and which hosts the allow-lists name."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orchestrator_services.tools.addresses import AddressPolicy, parsed, shown
from orchestrator_services.tools.public_addresses import is_public
from orchestrator_services.tools.settings import ToolSettings

from orchestrator.sdk import InvalidInput, TransientError

PUBLIC = "93.184.215.14"


class Names:
    """A resolver with fixed answers that counts its questions."""

    def __init__(self, **answers: Sequence[str]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(f"{host}:{port}")
        if host not in self.answers:
            raise OSError("no such name")
        return self.answers[host]


def policy(names: Names, allow: str = "", private: str = "") -> AddressPolicy:
    return AddressPolicy(
        ToolSettings(
            http_allow=tuple(filter(None, allow.split(","))),
            http_allow_private=tuple(filter(None, private.split(","))),
        ),
        names,
    )


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",  # noqa: S104
        "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
        "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "fe80::1",
        "fe80::1%eth0", "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1", "2002:7f00:1::",
        "2001:0:7f00:1::", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "100::1",
        "localhost", "", "127.1", "0x7f000001", "2130706433",
    ],
)  # fmt: skip
def test_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_public(address: str) -> None:
    assert is_public(address)


@settings(max_examples=200, derandomize=True)
@given(address=st.ip_addresses(v=4))
def test_a_mapped_address_is_treated_as_the_one_inside(address: object) -> None:
    assert is_public(f"::ffff:{address}") == is_public(str(address))


@pytest.mark.parametrize(
    ("allow", "url"),
    [
        ("example.org", "https://example.org/x"),
        ("example.org", "http://EXAMPLE.org./x"),
        ("example.org:8443", "https://example.org:8443/"),
        ("*.example.org", "https://a.b.example.org/"),
        ("Example.ORG", "https://example.org/"),
    ],
)
async def test_allowed(allow: str, url: str) -> None:
    names = Names(**{"example.org": [PUBLIC], "a.b.example.org": [PUBLIC]})

    assert await policy(names, allow.lower()).addresses(parsed(url)) == [PUBLIC]
    assert len(names.asked) == 1


@pytest.mark.parametrize(
    ("allow", "url"),
    [
        ("", "https://example.org/"),
        ("example.org", "https://example.org:8443/"),
        ("example.org", "http://example.org:443/"),
        ("example.org:8443", "https://example.org/"),
        ("*.example.org", "https://example.org/"),
        ("*.example.org", "https://evil-example.org/"),
        ("example.org", "https://example.org.evil.net/"),
        ("example.org", "https://sub.example.org/"),
        ("example.org", "https://exаmple.org/"),  # noqa: RUF001 - a Cyrillic letter
        ("example.org", "https://2130706433/"),
    ],
)
async def test_not_allowed_and_not_even_looked_up(allow: str, url: str) -> None:
    names = Names()

    with pytest.raises(
        InvalidInput, match=r"not allowed; an operator can add it to ORCHESTRATOR_TOOLS_HTTP_ALLOW"
    ):
        await policy(names, allow).addresses(parsed(url))

    assert names.asked == []


@pytest.mark.parametrize(
    "answers", [["10.0.0.1"], [PUBLIC, "127.0.0.1"], ["::ffff:10.0.0.1"], ["fe80::1"], []]
)
async def test_one_private_answer_refuses_the_name(answers: list[str]) -> None:
    names = Names(**{"example.org": answers})

    with pytest.raises(
        InvalidInput, match=r"does not have a public address.* example.org:443 to .*HTTP_ALLOW_PRIVATE"
    ):
        await policy(names, "example.org").addresses(parsed("https://example.org/"))


async def test_a_private_entry_is_for_its_port_only() -> None:
    names = Names(**{"intra": ["10.0.0.1"], "::1": ["::1"]})
    rules = policy(names, private="intra:8080,[::1]:8080")

    assert await rules.addresses(parsed("http://intra:8080/")) == ["10.0.0.1"]
    assert await rules.addresses(parsed("http://[::1]:8080/")) == ["::1"]
    with pytest.raises(InvalidInput, match="not allowed"):
        await rules.addresses(parsed("http://intra:8081/"))


async def test_an_unknown_name_may_be_known_later() -> None:
    with pytest.raises(TransientError, match=r"example.org cannot be resolved"):
        await policy(Names(), "example.org").addresses(parsed("https://example.org/"))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.org/", "must begin with http"),
        ("file:///etc/passwd", "must begin with http"),
        ("gopher://example.org/", "must begin with http"),
        ("//example.org/", "must begin with http"),
        ("example.org", "must begin with http"),
        ("http://", "must begin with http"),
        ("http:///etc/passwd", "must begin with http"),
        ("https://user:secret@example.org/", "must not contain a user"),
        ("https://example.org@evil.net/", "must not contain a user"),
        ("https://example.org\\@evil.net/", "must not contain a user|the URL is invalid"),
        ("https://example.org:70000/", "the URL is invalid"),
        ("https://exa mple.org/", "the URL is invalid"),
        ("https://example.org/\r\nHost: evil.net", "the URL is invalid"),
        ("https://example.org:0/", "the URL is invalid"),
        ("https://xn--a/", "the URL is invalid"),
        ("https://[fe80::1%25eth0]/", "the URL is invalid"),
        ("https://[::1/", "the URL is invalid"),
    ],
)
def test_urls_that_are_not_asked(url: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        parsed(url)


def test_secrets_of_a_url_are_not_shown() -> None:
    assert shown(parsed("https://example.org:8443/a?token=secret#x")) == "https://example.org:8443/a"
    assert shown(parsed("https://[2606:4700::1]/a")) == "https://[2606:4700::1]/a"


@pytest.mark.parametrize("path", ["/%0d%0aX:%20y", "/a%2Fb", "/a%3Fb%23c", "/%C3%A9", "/%1B[31m", "/%252F"])
def test_a_url_is_shown_as_it_was_asked_for(path: str) -> None:
    seen = shown(parsed(f"https://example.org{path}?token=secret"))

    assert parsed(seen).raw_path == parsed(f"https://example.org{path}").raw_path
    assert seen.isprintable()
    assert seen.isascii()
