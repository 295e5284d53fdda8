"""http.get against real servers on loopback, some of which try to lead it astray."""

import asyncio
import datetime as dt
import encodings
import gzip
import ssl
import threading
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from orchestrator_services.tools import get, http_get
from orchestrator_services.tools.http_get import _content, fetch
from orchestrator_services.tools.settings import ToolSettings

from orchestrator.sdk import InvalidInput, PermanentError, TransientError
from tests.unit.tools.web_server import Web


class TestAnswers:
    async def test_text(self, web: Web) -> None:
        url = web.says(
            "/notes?token=secret", "héllo".encode("latin-1"), content_type="text/plain; charset=latin-1"
        )

        answer = await get(url)

        assert (answer.text, answer.data, answer.status) == ("héllo", None, 200)
        assert (answer.content_type, answer.size) == ("text/plain", 5)
        assert answer.url == f"http://{web.place}/notes"

    async def test_json(self, web: Web) -> None:
        answer = await get(web.says("/api", '{"n": [1, 2]}', content_type="application/problem+json"))

        assert (answer.data, answer.text) == ({"n": [1, 2]}, None)

    @pytest.mark.parametrize(
        ("charset", "text"),
        [
            ("utf-8", "日本é"),
            ('"UTF-8"', "日本"),
            ("ISO-8859-15", "é€"),
            ("windows-1252", "é€"),
            ("Shift_JIS", "日本"),
            ("gb18030", "日本é"),
            ("utf-16", "日本é"),
            ("utf-16le", "日本é"),
            ("koi8-u", "привіт"),
            ("us-ascii", "abc"),
        ],
    )
    async def test_text_is_what_its_charset_makes_it(self, web: Web, charset: str, text: str) -> None:
        body = text.encode(charset.strip('"')) * 20_000

        answer = await get(web.says("/", body, content_type=f"text/plain; q=1; Charset = {charset}"))

        assert answer.text is not None
        assert answer.text.lstrip("\ufeff").replace("\ufeff", "") == text * 20_000

    async def test_utf_16_without_a_mark_is_little_endian(self, web: Web) -> None:
        url = web.says("/", "héllo".encode("utf-16-le"), content_type="text/plain; charset=utf-16")

        assert (await get(url)).text == "héllo"

    @pytest.mark.parametrize(
        "charset",
        [
            "punycode",
            "idna",
            "utf-7",
            "unicode_escape",
            "raw-unicode-escape",
            "rot13",
            "hex",
            "undefined",
            "x" * 9999,
        ],
    )
    async def test_a_charset_that_takes_long_or_is_none_is_utf_8(self, web: Web, charset: str) -> None:
        body = "+AGE- \\x41\\ud800 xn--a-ecp é-a"

        answer = await get(web.says("/", body, content_type=f"text/plain; charset={charset}"))

        assert answer.text == body

    async def test_charsets_that_are_none_are_not_kept(self, web: Web) -> None:
        name = f"nothing_{uuid.uuid4().hex}"

        await get(web.says("/", "x", content_type=f"text/plain; charset={name}"))

        assert name not in encodings._cache

    async def test_large_bodies_are_read_aside(self, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
        readers = []

        def content(*given: Any, **options: Any) -> Any:
            readers.append(threading.current_thread())
            return _content(*given, **options)

        monkeypatch.setattr(http_get, "_content", content)

        await get(web.says("/", "x"))
        await get(web.says("/", "{}", content_type="application/json"))

        assert len(readers) == 2
        assert threading.current_thread() not in readers

    async def test_the_request_is_plain(self, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
        for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(variable, "http://127.0.0.1:9")

        await get(web.says("/", "ok"), headers={"Accept": "text/plain", "Authorization": "Bearer x"})

        lines = web.requests[0].lower().splitlines()
        assert lines[0] == "get / http/1.1"
        assert f"host: {web.place}" in lines
        assert "accept-encoding: identity" in lines
        assert "authorization: bearer x" in lines
        assert not any(line.startswith("cookie") for line in lines)

    @pytest.mark.parametrize(
        ("status", "failure"),
        [
            ("404 Not Found", PermanentError),
            ("401 Unauthorized", PermanentError),
            ("304 Not Modified", PermanentError),
            ("408 Request Timeout", TransientError),
            ("429 Too Many Requests", TransientError),
            ("500 Internal Server Error", TransientError),
            ("503 Service Unavailable", TransientError),
        ],
    )
    async def test_failures_by_status(self, web: Web, status: str, failure: type[Exception]) -> None:
        url = web.says("/x?token=secret", "", status=status)

        with pytest.raises(failure, match=f"/x returned status {status[:3]}") as error:
            await get(url)
        assert "secret" not in str(error.value)

    @pytest.mark.parametrize(
        ("headers", "body", "reason"),
        [
            ({"content_type": "image/png"}, b"\x89PNG", "image/png, which is neither text nor JSON"),
            (
                {"content_encoding": "gzip"},
                gzip.compress(b"x", mtime=0),
                "compressed body although the request",
            ),
            ({"content_type": "application/json"}, b"{", "not valid JSON"),
            ({"content_type": "application/json"}, b"[" * 100_000, "not valid JSON"),
        ],
    )
    async def test_bodies_that_are_refused(
        self, web: Web, headers: dict[str, str], body: bytes, reason: str
    ) -> None:
        with pytest.raises(PermanentError, match=reason):
            await get(web.says("/x", body, **headers))

    async def test_a_body_without_end_is_cut_off(self, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ORCHESTRATOR_TOOLS_MAX_RESULT_BYTES", "5000")
        url = web.says("/huge", b"x" * 10_000, content_length="1000000000000")
        web.hold["/huge"] = asyncio.Event()

        with pytest.raises(PermanentError, match="more than 5000 bytes"):
            await get(url)

    async def test_a_server_that_never_ends_its_answer(
        self, web: Web, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ORCHESTRATOR_TOOLS_HTTP_TIMEOUT", "0.2")
        url = web.says("/slow", b"x", content_length="10")
        web.hold["/slow"] = asyncio.Event()

        with pytest.raises(TransientError, match=r"did not respond in full within 0.2 s"):
            await get(url)

    async def test_a_connection_that_breaks_off(self, web: Web) -> None:
        with pytest.raises(TransientError, match=r"the connection to .* failed"):
            await get(web.says("/half", b"x", content_length="10"))

    async def test_nobody_listens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with Web().serving() as gone:
            place = gone.place
        monkeypatch.setenv("ORCHESTRATOR_TOOLS_HTTP_ALLOW_PRIVATE", place)

        with pytest.raises(TransientError, match="cannot be reached"):
            await get(f"http://{place}/")

    async def test_no_log_tells_the_secrets_of_a_url(
        self, web: Web, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")

        await get(web.says("/x?token=secret", "ok"))

        assert "secret" not in caplog.text

    @pytest.mark.parametrize("name", ["Host", "Proxy-Authorization", "transfer-encoding"])
    async def test_headers_of_the_client(self, web: Web, name: str) -> None:
        with pytest.raises(InvalidInput, match="is set by the client"):
            await get(web.says("/", "ok"), headers={name: "evil.net"})

    async def test_headers_that_would_smuggle_others(self, web: Web) -> None:
        with pytest.raises(InvalidInput, match="cannot be sent") as error:
            await get(web.says("/", "ok"), headers={"X-A": "secret\r\nHost: evil.net"})
        assert "secret" not in str(error.value)
        assert web.requests == []


class TestRedirects:
    async def test_are_followed_within_what_is_allowed(self, web: Web) -> None:
        web.says("/end", "done")
        web.redirects("/middle", "/end")

        answer = await get(web.redirects("/start", f"http://{web.place}/middle"))

        assert (answer.text, answer.url) == ("done", f"http://{web.place}/end")

    @pytest.mark.parametrize(
        "location",
        [
            "http://{forbidden}/",
            "//{forbidden}/",
            "http://localhost:{port}/",
            "http://{allowed}@{forbidden}/",
            "http://{forbidden}#@{allowed}/",
            "http://2130706433:{port}/",
            "http://0x7f.1:{port}/",
            "http://[::ffff:127.0.0.1]:{port}/",
            "http://127.0.0.1/latest/meta-data",
            "http://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
            "ftp://{forbidden}/",
        ],
    )
    async def test_to_forbidden_places_are_not(self, web: Web, forbidden_web: Web, location: str) -> None:
        target = location.format(forbidden=forbidden_web.place, port=forbidden_web.port, allowed=web.place)

        with pytest.raises(InvalidInput, match=r"not allowed|must begin with http|must not contain a user"):
            await get(web.redirects("/start", target))

    @pytest.mark.parametrize("location", ["http://[::1", "http://x:99999999/", "\x01"])
    async def test_to_nonsense_are_not(self, web: Web, location: str) -> None:
        with pytest.raises((InvalidInput, PermanentError, TransientError)):
            await get(web.redirects("/start", location))

    async def test_without_a_place_are_not(self, web: Web) -> None:
        with pytest.raises(PermanentError, match="without a Location header"):
            await get(web.says("/start", status="302 Found"))

    async def test_end_after_five(self, web: Web) -> None:
        for number in range(5):
            web.redirects(f"/{number}", f"/{number + 1}")
        web.says("/5", "done")

        assert (await get(f"http://{web.place}/0")).text == "done"
        with pytest.raises(PermanentError, match="more than 5 redirects"):
            await get(web.redirects("/one-more", "/0"))

    async def test_carry_no_credentials_to_another_origin(
        self, web: Web, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Web().serving() as other:
            monkeypatch.setenv("ORCHESTRATOR_TOOLS_HTTP_ALLOW_PRIVATE", f"{web.place},{other.place}")
            other.says("/end", "done")
            web.redirects("/same", f"http://{other.place}/end")
            url = web.redirects("/start", "/same")

            await get(url, headers={"Authorization": "Bearer x", "X-Api-Key": "y", "Accept": "text/plain"})

            assert all("Bearer x" in request for request in web.requests)
            assert len(web.requests) == 2
            assert "Bearer" not in other.requests[0]
            assert "x-api-key" not in other.requests[0].lower()
            assert "text/plain" in other.requests[0]


class TestNames:
    async def test_an_allowed_name_that_leads_to_loopback_is_refused(
        self, forbidden_web: Web, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ORCHESTRATOR_TOOLS_HTTP_ALLOW", f"localhost:{forbidden_web.port}")

        with pytest.raises(InvalidInput, match="localhost does not have a public address"):
            await get(f"http://localhost:{forbidden_web.port}/")

    async def test_nothing_is_allowed_by_default(self, forbidden_web: Web) -> None:
        with pytest.raises(InvalidInput, match="is not allowed"):
            await get(f"http://{forbidden_web.place}/")

    async def test_a_name_is_looked_up_once_and_its_answer_is_connected_to(self, web: Web) -> None:
        """DNS rebinding: the second answer would lead to another address, and is never asked for."""
        answers = iter([["127.0.0.1"]])

        async def resolve(host: str, port: int) -> Sequence[str]:
            return next(answers)

        web.says("/", "ok")
        settings = ToolSettings(http_allow_private=(f"rebound.test:{web.port}",))

        answer = await fetch(f"http://rebound.test:{web.port}/", {}, settings, resolve)

        assert answer.text == "ok"
        assert f"Host: rebound.test:{web.port}" in web.requests[0]

    async def test_the_next_address_is_tried_when_one_does_not_answer(self, web: Web) -> None:
        async def resolve(host: str, port: int) -> Sequence[str]:
            return ["127.0.0.2", "127.0.0.1"]

        web.says("/", "ok")
        settings = ToolSettings(http_allow_private=(f"two.test:{web.port}",))

        assert (await fetch(f"http://two.test:{web.port}/", {}, settings, resolve)).text == "ok"


class TestTls:
    @pytest.fixture
    async def secure(self, tmp_path: Path) -> AsyncIterator[Web]:
        """A server with a certificate for secure.test, which is also the authority; it keeps the names asked for."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "secure.test")])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("secure.test")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        (tmp_path / "ca.pem").write_bytes(pem)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (tmp_path / "server.pem").write_bytes(pem + private)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tmp_path / "server.pem")
        async with Web().serving(context) as server:
            server.says("/", "ok")
            yield server

    async def test_the_certificate_is_checked_against_the_name(self, secure: Web, tmp_path: Path) -> None:
        async def resolve(host: str, port: int) -> Sequence[str]:
            return ["127.0.0.1"]

        settings = ToolSettings(
            http_allow_private=(f"secure.test:{secure.port}", f"other.test:{secure.port}"),
            http_ca_file=tmp_path / "ca.pem",
        )

        assert (await fetch(f"https://secure.test:{secure.port}/", {}, settings, resolve)).text == "ok"
        with pytest.raises(PermanentError, match=r"the certificate of .* cannot be trusted"):
            await fetch(f"https://other.test:{secure.port}/", {}, settings, resolve)

    async def test_a_redirect_to_plain_http_is_not_followed(
        self, secure: Web, web: Web, tmp_path: Path
    ) -> None:
        async def resolve(host: str, port: int) -> Sequence[str]:
            return ["127.0.0.1"]

        secure.redirects("/start", web.says("/", "plain"))
        settings = ToolSettings(
            http_allow_private=(f"secure.test:{secure.port}", web.place), http_ca_file=tmp_path / "ca.pem"
        )

        with pytest.raises(PermanentError, match="redirects to plain http"):
            await fetch(f"https://secure.test:{secure.port}/start", {}, settings, resolve)
        assert web.requests == []

    async def test_an_unknown_authority_is_not_trusted(self, secure: Web) -> None:
        async def resolve(host: str, port: int) -> Sequence[str]:
            return ["127.0.0.1"]

        settings = ToolSettings(http_allow_private=(f"secure.test:{secure.port}",))

        with pytest.raises(PermanentError, match=r"the certificate of .* cannot be trusted"):
            await fetch(f"https://secure.test:{secure.port}/", {}, settings, resolve)
