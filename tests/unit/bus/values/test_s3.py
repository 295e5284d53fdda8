"""A bucket's own ways to fail: every error says which bucket, what to do, and no secret."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from botocore.parsers import ResponseParserError
from urllib3.exceptions import ProtocolError

from orchestrator.bus.values.stores import value_store
from orchestrator.errors import ConfigurationError, ContractError, OrchestratorError, UnavailableError
from tests.support.hostile_s3 import hostile_s3
from tests.support.s3_server import CREDENTIALS, S3Server, s3_server
from tests.support.stored_values import read

pytestmark = pytest.mark.usefixtures("credentials")

URI = "values:sha256/ab/cd/" + "0" * 60
SECONDS = 20


@contextmanager
def refused(kind: type[OrchestratorError], says: str, place: str) -> Iterator[None]:
    """Inside, one call fails within seconds, with a text that names the place and no secret."""
    began = time.monotonic()
    with pytest.raises(kind, match=says) as raised:
        yield
    assert time.monotonic() - began < SECONDS
    assert place in str(raised.value)
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in str(raised.value)
    assert CREDENTIALS["AWS_ACCESS_KEY_ID"] not in str(raised.value)


def test_a_stopped_server_is_unavailable_within_seconds() -> None:
    with s3_server() as server:
        store = value_store(server.url(server.bucket("values")))
        uri = store.write(b"content")

    with refused(UnavailableError, "cannot be read: the service does not respond", server.endpoint_url):
        read(store, uri)
    with refused(UnavailableError, "cannot be written to: the service does not respond", "s3://values/"):
        store.write(b"more content")


def test_a_bucket_that_does_not_exist_has_to_be_created(s3: S3Server) -> None:
    store = value_store(s3.url("nobody-made-it"))
    with refused(ConfigurationError, "the bucket does not exist", "s3://nobody-made-it/"):
        store.write(b"content")
    with refused(ConfigurationError, "the bucket does not exist", s3.endpoint_url):
        read(store, URI)


def test_keys_that_the_service_does_not_know_may_be_replaced(s3: S3Server) -> None:
    store = value_store(s3.url(s3.bucket("without-rights")))
    with s3.checking_rights():
        with refused(UnavailableError, "InvalidAccessKeyId; check the credentials", "s3://without-rights/"):
            store.write(b"content")
        with refused(UnavailableError, "check the credentials", "s3://without-rights/"):
            read(store, URI)


def test_missing_credentials_may_come(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    with refused(UnavailableError, "NoCredentialsError; check the credentials", "s3://values-x/"):
        value_store(s3.url("values-x")).write(b"content")


def test_the_extra_is_named_when_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.bus.values.s3.find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match=r"install kafka-agent-orchestrator\[s3\]"):
        value_store("s3://values")


def test_the_library_is_not_loaded_before_a_bucket_is_used(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from orchestrator.client.connection import ClientSettings\n"
        f"ClientSettings(values_url={str(tmp_path)!r}).values()\n"
        "assert not {'boto3', 'botocore'} & sys.modules.keys()\n"
        "ClientSettings(values_url='s3://bucket/prefix').values()\n"
        "assert not {'boto3', 'botocore'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_prefixes_of_a_bucket_are_stores_of_their_own(s3: S3Server) -> None:
    bucket = s3.bucket("shared-by-two")
    uri = value_store(s3.url(bucket, "one")).write(b"content")
    with pytest.raises(ContractError, match="s3://shared-by-two/two/"):
        read(value_store(s3.url(bucket, "two")), uri)


def test_a_value_that_comes_a_byte_at_a_time_is_given_up_on_in_time() -> None:
    with hostile_s3("drip") as server:
        with refused(UnavailableError, "cannot be read in time", URI):
            read(value_store(server.url), URI, seconds=0.3)
        assert server.gone.wait(SECONDS)


def test_a_value_without_end_is_read_to_its_bound() -> None:
    with hostile_s3("endless") as server:
        with refused(ContractError, "more than 1000000 bytes", URI):
            read(value_store(server.url), URI, most=1_000_000)
        assert server.gone.wait(SECONDS)


def test_a_value_that_says_that_it_is_too_large_is_not_read() -> None:
    with hostile_s3("drip") as server, refused(ContractError, "more than 99999 bytes", URI):
        read(value_store(server.url), URI, most=99_999)


def test_a_redirect_without_end_is_a_service_that_is_unavailable() -> None:
    with (
        hostile_s3("301") as server,
        refused(UnavailableError, r"be written to: .*\(RecursionError\)", "s3://values"),
    ):
        value_store(server.url).write(b"content")


@pytest.mark.parametrize("raised", [ValueError, RecursionError, ResponseParserError, ProtocolError])
def test_whatever_the_library_raises_names_its_type_and_the_place(
    raised: type[Exception], s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised(CREDENTIALS["AWS_SECRET_ACCESS_KEY"])

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", fail)
    with refused(UnavailableError, rf"be read: .*\({raised.__name__}\)", s3.endpoint_url):
        read(value_store(s3.url("values")), URI)
