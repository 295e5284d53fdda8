"""Cassettes: what they hold, what they replay, and what they say about the rest."""

import gzip
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.testing import NotRecordedError, cassette
from orchestrator.testing.cassettes import RECORD

KEY = "sk-proj-Ab12Cd34Ef56Gh78"
PASSWORD = "pa$$ word/of the database"
ORGANISATION = "org-AbCdEfGhIjKlMnOpQrStUvWx"


class Server(ThreadingHTTPServer):
    """Answers with the number of the request, and with all that a server may give away."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.streamed: list[str] = []
        """The data of the events that it answers with; without any, it answers in one piece."""
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(self.path)
        if self.server.streamed:
            self._stream()
            return
        answer = {
            "number": len(self.server.asked),
            "access_token": "ya29.short",
            "error": f"Rate limit of {ORGANISATION}; Incorrect API key provided: sk-proj-********Gh78.",
        }
        body = gzip.compress(json.dumps(answer).encode())
        self.send_response(200)
        for name, value in (
            ("Content-Type", "application/json"),
            ("Content-Encoding", "gzip"),
            ("Content-Length", str(len(body))),
            ("Set-Cookie", "session=of-a-cookie"),
            ("OpenAI-Organization", "an-organisation"),
            ("X-Request-Id", "of-a-request"),
            ("Retry-After", "2"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        body = "".join(f"data: {data}\n\n" for data in self.server.streamed).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Nobody reads it."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "made" / "talk.yaml"


def post(url: str, content: str = '"hello"', **headers: str) -> Any:
    """What the server answers, whatever client it is."""
    given = {"Content-Type": "application/json", **headers}
    with httpx2.Client() as client:
        return client.post(url, content=content, headers=given).json()


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Records until it is undone."""
    with monkeypatch.context() as patch:
        patch.setenv(RECORD, "1")
        yield patch


def test_requests_are_answered_from_the_file_alone(
    server: Server, file: Path, recording: pytest.MonkeyPatch
) -> None:
    with cassette(file):
        sent = [post(server.url)["number"], post(server.url)["number"], post(server.url, '"you"')["number"]]
    recording.undo()

    with cassette(file):
        replayed = [
            post(server.url, '"you"')["number"],
            post(server.url)["number"],
            post(server.url)["number"],
        ]

    assert sent == [1, 2, 3]
    assert replayed == [3, 1, 2]
    assert len(server.asked) == 3


def test_secrets_are_not_in_the_file(
    server: Server, file: Path, recording: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recording.setenv("DATABASE_PASSWORD", PASSWORD)
    query = "key=of-a-query&X-Amz-Signature=of-a-signature&tokens=of-a-query&max_tokens=7&page=2"
    url = f"{server.url.replace('//', '//me:of-basic@')}/v1?{query}"
    headers = {
        "Authorization": "Bearer of-a-header",
        "x-api-key": "of-a-header",
        "api-key": "of-a-header",
        "Cookie": "session=of-a-cookie",
        "OpenAI-Organization": "an-organisation",
        "x-stainless-os": "of-a-machine",
        "x-of-nobody-knows": "of-a-header",
    }
    secret = '"api_key": "of-a-field", "token": {"of": "of-a-field"}'
    content = f'{{{secret}, "note": "{KEY} and {PASSWORD}", "max_tokens": 5}}'

    with caplog.at_level(logging.DEBUG), cassette(file):
        answer = post(url, content, **headers)

    assert answer["access_token"] == "ya29.short"
    text = " ".join(file.read_text().split())
    hidden = ["of-a", "of-basic", "an-organisation", "of-nobody", "ya29", "sk-proj", "Gh78", "org-", "pa$$"]
    assert not [secret for secret in hidden if secret in text]
    assert not [one for one in caplog.records if one.name.startswith("vcr")]
    for kept in ('"max_tokens": 5', "max_tokens=7&page=2", "retry-after", '"number": 1'):
        assert kept in text


def test_what_differs_in_secrets_alone_is_the_same_request(
    server: Server, file: Path, recording: pytest.MonkeyPatch
) -> None:
    recording.setenv("SHOP_TOKEN", "of-the-one-who-records")
    with cassette(file):
        post(f"{server.url}/?key=one", '"by of-the-one-who-records"')
    recording.undo()
    recording.setenv("SHOP_TOKEN", "of-somebody-else")

    with cassette(file):
        assert post(f"{server.url}/?key=other", '"by of-somebody-else"')["number"] == 1


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        ("/other?key=of-a-query", '"hello"', "no request to this URL is recorded"),
        ("/", '"hello"', "all 1 recorded responses of this URL are used"),
        ("/talk", '{"a": [1, "old"]}', 'at /a/1: "new" was recorded, "old" is sent'),
        ("/talk", '{"a": [1]}', 'at /a/1: "new" was recorded, nothing is sent'),
        ("/talk", "no JSON", "at /: "),
    ],
)
def test_a_request_without_a_response_is_refused_and_says_why(
    server: Server, file: Path, recording: pytest.MonkeyPatch, path: str, content: str, reason: str
) -> None:
    with cassette(file):
        post(f"{server.url}/")
        post(f"{server.url}/talk", '{"a": [1, "new"]}')
    recording.undo()

    def replay() -> None:
        with cassette(file):
            post(f"{server.url}/")
            post(f"{server.url}{path}", content)

    with pytest.raises(NotRecordedError) as raised:
        replay()

    assert reason in str(raised.value)
    assert f"run the test with {RECORD}=1" in str(raised.value)
    assert "of-a-query" not in str(raised.value)
    assert len(server.asked) == 2


def test_nothing_is_sent_before_anything_is_recorded(server: Server, file: Path) -> None:
    with pytest.raises(NotRecordedError, match="nothing is recorded there"), cassette(file):
        post(server.url)

    assert server.asked == []
    assert not file.exists()


def test_a_refusal_that_its_sender_hides_is_reported_at_the_end(server: Server, file: Path) -> None:
    with pytest.raises(NotRecordedError), cassette(file), suppress(NotRecordedError):
        post(server.url)


def test_a_test_that_fails_for_it_says_so(server: Server, file: Path) -> None:
    def fails() -> None:
        with cassette(file):
            try:
                post(server.url)
            except NotRecordedError:
                raise AssertionError("no answer") from None

    with pytest.raises(AssertionError) as raised:
        fails()

    assert "nothing is recorded there" in raised.value.__notes__[0]


def test_recording_again_replaces_what_was_recorded(
    server: Server, file: Path, recording: pytest.MonkeyPatch
) -> None:
    for content in ('"first"', '"second"'):
        with cassette(file):
            post(server.url, content)

    text = file.read_text()
    assert "second" in text
    assert "first" not in text


def test_a_host_may_be_left_alone(server: Server, file: Path) -> None:
    with cassette(file, ignore_hosts=["127.0.0.1"]):
        assert post(server.url)["number"] == 1


def test_clients_find_a_placeholder_for_their_credential(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("SHOP_KEY", "one of the shop's")

    with cassette(file, credentials=["OPENAI_API_KEY", "SHOP_KEY"]):
        assert os.environ["OPENAI_API_KEY"]
        assert os.environ["SHOP_KEY"] == "one of the shop's"

    assert "OPENAI_API_KEY" not in os.environ


def test_a_value_that_says_neither_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RECORD, "always")

    with (
        pytest.raises(ConfigurationError, match="set 1 to record, or leave it out to replay"),
        cassette(file),
    ):
        pass


def test_the_library_is_imported_where_it_is_used_and_named_where_it_is_missing() -> None:
    program = (
        "import sys; from orchestrator.testing import cassette\n"
        "assert 'vcr' not in sys.modules\n"
        "sys.modules['vcr'] = None\n"
        "from orchestrator.errors import ConfigurationError\n"
        "try: cassette('a.yaml').__enter__()\n"
        "except ConfigurationError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "install kafka-agent-orchestrator[cassettes]" in done.stdout


def said(*pieces: str) -> list[str]:
    """Events of a provider whose model says this, piece by piece."""
    deltas = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    return [*map(json.dumps, deltas), "[DONE]"]


def called(*pieces: str) -> list[str]:
    """Events of a provider whose model calls two tools side by side, one with these arguments."""
    events = []
    for piece in pieces:
        calls = [
            {"index": 0, "function": {"arguments": piece}},
            {"index": 1, "function": {"arguments": "{}"}},
        ]
        events.append(json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}))
    return events


def streamed(url: str) -> str:
    with httpx2.Client() as client:
        return client.post(url, content="{}", headers={"Content-Type": "application/json"}).text


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        (said("It is correct", "-horse", "."), "the value of a secret variable of the environment"),
        (said("It is sk-abc", "defghijklmnopq"), "text with the form of a key"),
        (said("It is sk-abcdefghijklmnop", "qrstuv."), "text with the form of a key"),
        (said("Bearer ", "abcdefghijklmnopqrst"), "a bearer token"),
        (["It is sk-abc", "defghijklmnopq"], "text with the form of a key"),
        (called('{"item": 1, "pass', 'word": "of-a', '-field"}'), "a field that is secret by its name"),
        (called('{"password"', ': "of-a-field'), "a field that is secret by its name"),
    ],
    ids=["variable", "key", "end of a key", "bearer", "plain", "field", "field cut short"],
)
def test_a_stream_with_a_secret_in_pieces_is_not_recorded(
    server: Server, file: Path, recording: pytest.MonkeyPatch, events: list[str], kind: str
) -> None:
    recording.setenv("DESK_PASSWORD", "correct-horse")
    server.streamed = events

    with pytest.raises(NotRecordedError) as raised, cassette(file), suppress(NotRecordedError):
        streamed(f"{server.url}/?key=of-a-query")

    assert f"is a stream that holds {kind} in pieces" in str(raised.value)
    assert "Record and replay with answers in one piece" in str(raised.value)
    for secret in ("correct", "horse", "abc", "of-a"):
        assert secret not in str(raised.value)
    assert not file.exists()


def test_secrets_that_are_whole_in_an_event_are_hidden_there(
    server: Server, file: Path, recording: pytest.MonkeyPatch
) -> None:
    recording.setenv("DESK_PASSWORD", "correct-horse")
    server.streamed = [
        *said("It is", " correct-horse", ", sk-abcdefghijklmnop", "."),
        *called('{"password": "of-a"}'),
    ]

    with cassette(file):
        answer = streamed(server.url)
    recording.undo()

    assert "correct-horse" in answer
    with cassette(file):
        replayed = streamed(server.url)
    assert len(replayed.split("\n\n")) == len(answer.split("\n\n"))
    assert replayed.endswith("data: [DONE]\n\n") == answer.endswith("data: [DONE]\n\n")
    for secret in ("horse", "sk-abc", "of-a"):
        assert secret not in replayed


def test_what_was_recorded_before_a_refusal_stays(
    server: Server, file: Path, recording: pytest.MonkeyPatch
) -> None:
    with cassette(file):
        post(server.url, '"first"')
    before = file.read_text()
    server.streamed = said("It is sk-abc", "defghijklmnopq")

    with pytest.raises(NotRecordedError), cassette(file):
        streamed(server.url)

    assert file.read_text() == before
