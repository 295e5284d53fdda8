"""Does what a kubelet does with the containers of a rendered chart, on this machine and without a container.

Command line and environment are used as they stand. Only what another machine would have differs: addresses, the
port, and the folders that are mounted.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from orchestrator.local.ports import PortLease, lease_free_port
from tests.deploy.charts import Object, environment

ONCE_S = 90.0
READY_S = 120.0
PROGRAM = str(Path(sys.executable).with_name("orchestrator"))


@dataclass
class Running:
    """A running container."""

    name: str
    process: "subprocess.Popen[bytes]"
    lease: PortLease
    environment: Mapping[str, str]
    log: Path
    grace_s: float

    @property
    def port(self) -> int:
        return self.lease.port

    def answer(self, path: str) -> int:
        """HTTP status of its port; 0 while nothing listens."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answered:
                return int(answered.status)
        except HTTPError as error:
            with error:
                return error.code
        except (URLError, ConnectionError):
            return 0

    def wait_ready(self) -> None:
        """Returns when its readiness probe succeeds."""
        deadline = time.monotonic() + READY_S
        while self.answer("/readyz") != 200:
            assert self.process.poll() is None, f"{self.name} has ended:\n{self.log.read_text()}"
            assert time.monotonic() < deadline, f"{self.name} is not ready:\n{self.log.read_text()}"
            time.sleep(0.1)


@dataclass
class Node:
    """`folder` holds what is mounted, and logs. ConfigMaps are those of `objects`."""

    folder: Path
    objects: list[Object]
    _maps: dict[str, Mapping[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        self._maps = {
            one["metadata"]["name"]: one["data"] for one in self.objects if one["kind"] == "ConfigMap"
        }

    def run_once(self, pod: Object) -> None:
        """Runs every container of a job's or a test's pod to its end; each has to succeed."""
        for container in pod["containers"]:
            done = subprocess.run(
                self._command(container, pod),
                env=self._environment(container, pod, 0),
                cwd=self.folder,
                capture_output=True,
                text=True,
                timeout=ONCE_S,
                check=False,
            )
            assert done.returncode == 0, f"{container['name']}: {done.stdout}{done.stderr}"

    @contextmanager
    def running(self, pods: Iterable[tuple[str, int, Object]]) -> Iterator[dict[str, Running]]:
        """Runs pods by name, ordinal and spec until they are ready; ends them with SIGTERM, and with SIGKILL
        after their grace period."""
        started = {f"{name}-{ordinal}": self._start(name, ordinal, pod) for name, ordinal, pod in pods}
        try:
            for one in started.values():
                one.wait_ready()
            yield started
        finally:
            for one in started.values():
                one.process.terminate()
            for one in started.values():
                try:
                    one.process.wait(one.grace_s)
                except subprocess.TimeoutExpired:
                    one.process.kill()
                    one.process.wait()
                one.lease.release()

    def _start(self, name: str, ordinal: int, pod: Object) -> Running:
        (container,) = pod["containers"]
        lease = lease_free_port()
        variables = self._environment(container, pod, ordinal) | {
            "ORCHESTRATOR_HTTP_HOST": "127.0.0.1",
            "ORCHESTRATOR_HTTP_PORT": str(lease.port),
        }
        log = self.folder / f"{name}-{ordinal}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                self._command(container, pod), env=variables, cwd=self.folder, stdout=file, stderr=file
            )
        grace = float(pod["terminationGracePeriodSeconds"])
        return Running(f"{name}-{ordinal}", process, lease, variables, log, grace)

    def _command(self, container: Object, pod: Object) -> list[str]:
        assert container["command"] == ["orchestrator"]
        return [PROGRAM, *(self._here(argument, container, pod) for argument in container["args"])]

    def _environment(self, container: Object, pod: Object, ordinal: int) -> dict[str, str]:
        """The container's own and nothing of this process, except what an image provides."""
        own = environment(container, ordinal)
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder)} | {
            name: self._here(value, container, pod) for name, value in own.items()
        }

    def _here(self, text: str, container: Object, pod: Object) -> str:
        """The text with paths of mounted folders replaced by those of this machine."""
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
        paths = "|".join(map(re.escape, sorted(mounts, key=len, reverse=True)))
        return re.sub(rf"(?:{paths})(?=/|$)", lambda found: str(self._mounted(mounts[found[0]])), text)

    def _mounted(self, volume: Object) -> Path:
        if "configMap" in volume:
            return self._laid_out(volume["configMap"]["name"])
        if "hostPath" in volume:
            return Path(volume["hostPath"]["path"])
        claim: str = volume.get("persistentVolumeClaim", {}).get("claimName", volume["name"])
        folder = self.folder / "volumes" / claim
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _laid_out(self, name: str) -> Path:
        """A ConfigMap as it is mounted: its files in a hidden folder, and links to them."""
        folder = self.folder / "maps" / name
        if not folder.exists():
            hidden = folder / "..2026_11_25_20_00_00.1"
            hidden.mkdir(parents=True)
            (folder / "..data").symlink_to(hidden.name)
            for file, content in self._maps[name].items():
                hidden.joinpath(file).write_text(content, encoding="utf-8")
                folder.joinpath(file).symlink_to(f"..data/{file}")
        return folder
