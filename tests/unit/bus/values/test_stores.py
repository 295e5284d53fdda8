"""What every value store guarantees, tested on each; and which store a setting names."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.bus.ports import ValueStore
from orchestrator.bus.values.folder import FolderLocation, FolderValues
from orchestrator.bus.values.s3 import BucketLocation
from orchestrator.bus.values.stores import location_of, value_store
from orchestrator.errors import ContractError
from tests.support.s3_server import S3Server
from tests.support.stored_values import read

CONTENT = b"x" * 200_000
_numbers = itertools.count()


@dataclass
class Stored:
    """A store, and what lies in it, past the store. Paths begin below the store's root."""

    store: ValueStore
    paths: Callable[[], list[str]]
    alter: Callable[[str, bytes], object]
    delete: Callable[[str], object]
    version: Callable[[str], object]
    """Another one after each writing."""
    again: Callable[[], ValueStore]


@pytest.fixture(params=["folder", "s3"])
def stored(request: pytest.FixtureRequest) -> Stored:
    made: Stored = request.getfixturevalue(f"in_{request.param}")
    return made


@pytest.fixture
def in_folder(tmp_path: Path) -> Stored:
    folder = tmp_path / "values"
    return Stored(
        store=value_store(folder.as_uri()),
        paths=lambda: [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()],
        alter=lambda path, content: (folder / path).write_bytes(content),
        delete=lambda path: (folder / path).unlink(),
        version=lambda path: ((folder / path).stat().st_ino, (folder / path).stat().st_mtime_ns),
        again=lambda: value_store(str(folder)),
    )


@pytest.fixture
def in_s3(s3: S3Server, credentials: None) -> Stored:
    bucket = s3.bucket(f"values-{next(_numbers)}")
    # Each writing is a version of its own.
    s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    url = s3.url(bucket, "team/values")
    return Stored(
        store=value_store(url),
        paths=lambda: [key.removeprefix("team/values/") for key in s3.keys(bucket)],
        alter=lambda path, content: s3.client.put_object(
            Bucket=bucket, Key=f"team/values/{path}", Body=content
        ),
        delete=lambda path: s3.client.delete_object(Bucket=bucket, Key=f"team/values/{path}"),
        version=lambda path: s3.client.head_object(Bucket=bucket, Key=f"team/values/{path}")["VersionId"],
        again=lambda: value_store(url),
    )


@pytest.mark.parametrize("content", [b"", b"content", bytes(range(256)), CONTENT])
def test_what_is_written_is_read_by_another_process(stored: Stored, content: bytes) -> None:
    uri = stored.store.write(content)
    assert read(stored.again(), uri) == content


def test_the_uri_names_the_content_not_the_place(stored: Stored, tmp_path: Path) -> None:
    uri = stored.store.write(CONTENT)
    assert uri == FolderValues(tmp_path / "elsewhere").write(CONTENT)
    assert stored.paths() == [uri.removeprefix("values:")]


def test_existing_content_is_not_written_again(stored: Stored) -> None:
    path = stored.store.write(CONTENT).removeprefix("values:")
    before = stored.version(path)
    stored.again().write(CONTENT)
    assert stored.version(path) == before


DAMAGES = [b"", CONTENT[:-1], CONTENT + b"x", b"y" + CONTENT[1:]]


@pytest.mark.parametrize("damaged", DAMAGES, ids=["empty", "shorter", "longer", "as long"])
def test_a_damaged_value_is_refused_and_mended_by_whoever_writes_it(stored: Stored, damaged: bytes) -> None:
    uri = stored.store.write(CONTENT)
    stored.alter(uri.removeprefix("values:"), damaged)
    with pytest.raises(ContractError, match="was altered"):
        read(stored.store, uri)

    assert stored.again().write(CONTENT) == uri
    assert read(stored.store, uri) == CONTENT


def test_a_deleted_value_is_refused_with_the_store_that_lacks_it(stored: Stored) -> None:
    uri = stored.store.write(CONTENT)
    stored.delete(uri.removeprefix("values:"))
    with pytest.raises(ContractError, match=r"is not in the value store .*: do all services"):
        read(stored.store, uri)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "file:///etc/passwd",
        "s3://values-0/secret",
        "values:../../etc/passwd",
        "values:sha256/../../../etc/passwd",
        "values:sha256/ab/cd/" + "0" * 59 + "/",
        "values:sha256/AB/cd/" + "0" * 60,
        "sha256/ab/cd/" + "0" * 60,
    ],
)
def test_no_uri_leads_out_of_the_store(stored: Stored, uri: str) -> None:
    with pytest.raises(ContractError, match="is not a URI of this value store"):
        read(stored.store, uri)


def test_threads_share_a_store(stored: Stored) -> None:
    contents = [bytes([number % 5]) * 50_000 for number in range(40)]

    def there_and_back(content: bytes) -> bool:
        return read(stored.store, stored.store.write(content)) == content

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(there_and_back, contents))
    assert len(stored.paths()) == 5


@pytest.mark.parametrize(
    ("url", "named"),
    [
        (".data/values", FolderLocation(Path(".data/values"))),
        ("/var/lib/values", FolderLocation(Path("/var/lib/values"))),
        ("file:///var/lib/my%20values", FolderLocation(Path("/var/lib/my values"))),
        ("s3://bucket", BucketLocation("bucket")),
        ("s3://bucket/", BucketLocation("bucket")),
        ("s3://bucket/a/b/", BucketLocation("bucket", "a/b/")),
        (
            "s3://bucket/a?endpoint_url=http://127.0.0.1:9000&region=eu-central-1",
            BucketLocation("bucket", "a/", "http://127.0.0.1:9000", "eu-central-1"),
        ),
    ],
)
def test_a_setting_names_a_store(url: str, named: object) -> None:
    assert location_of(url) == named


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "name a folder"),
        ("gs://bucket", "unknown kind of value store: name a folder, file:///path, or s3://"),
        ("file://values", "three slashes"),
        ("s3://", "a bucket's name"),
        ("s3://Bucket_1", "a bucket's name"),
        ("s3://key:secret@bucket", "leave credentials out"),
        ("s3://bucket?secret_key=secret", "secret_key: a bucket's options are endpoint_url and region"),
        ("s3://bucket?endpoint_url=localhost:9000", "endpoint_url is a URL"),
        (
            "s3://key:secret@Bucket_1?host=h",
            "out of the URL: .*; a bucket's name .*; host: a bucket's options",
        ),
        ("s3://bucket?endpoint_url=http://key:secret@localhost", "leave credentials out"),
    ],
)
def test_a_setting_that_names_none_is_refused_without_its_secrets(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        location_of(url)
    assert ":secret" not in str(refused.value)
    assert "=secret" not in str(refused.value)
