"""An installation on a real Kafka: a topic prefix of its own, driven by the program `orchestrator`."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.local import StackAddress

PROGRAM = str(Path(sys.executable).with_name("orchestrator"))
COMMAND_S = 240.0
START_S = 240.0
CALL_KEY = "the-key-of-calls-of-a-test-installation"


@dataclass
class Installation:
    """`folder` holds values, the session store and the logs of processes."""

    address: StackAddress
    prefix: str
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")},
            "ORCHESTRATOR_BOOTSTRAP_SERVERS": self.address.bootstrap_servers,
            "ORCHESTRATOR_SCHEMA_REGISTRY_URL": self.address.schema_registry_url,
            "ORCHESTRATOR_TOPIC_PREFIX": self.prefix,
            "ORCHESTRATOR_PARTITIONS": "4",
            "ORCHESTRATOR_VALUES_URL": str(self.folder / "values"),
            "ORCHESTRATOR_SESSIONS_URL": f"sqlite:///{self.folder / 'sessions.sqlite'}",
            "ORCHESTRATOR_CALL_KEYS": CALL_KEY,
            **self.environment,
        }

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Runs the program with these arguments until it exits."""
        return subprocess.run(
            [PROGRAM, *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """The JSON output of the program, which must succeed."""
        done = self.run(*arguments, "--output", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def apply(self, *agents: Path) -> None:
        """Creates topics, registers schemas and defines agents."""
        for arguments in (
            ("topics", "apply"),
            ("schemas", "apply"),
            *(("agents", "apply", str(a)) for a in agents),
        ):
            done = self.run(*arguments)
            assert done.returncode == 0, done.stderr

    @contextmanager
    def processes(self, *groups: Sequence[str]) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
        """One process per group of arguments to `run`. Yields when all are ready; stops them with SIGTERM."""
        started = {group[0]: self.start(*group) for group in groups}
        try:
            for name, process in started.items():
                self.wait_ready(name, process)
            yield started
        finally:
            for process in started.values():
                process.terminate()
            for process in started.values():
                process.wait(30)

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Starts `orchestrator run` with these arguments; its log file is named after the first."""
        with self.log(arguments[0]).open("ab") as log:
            return subprocess.Popen(
                [PROGRAM, "run", *arguments], env=self.environment, stdout=log, stderr=log
            )

    def wait_ready(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        """Returns when the process logs that it is running."""
        deadline = time.monotonic() + START_S
        while "running " not in self.log(name).read_text():
            assert process.poll() is None, self.log(name).read_text()
            assert time.monotonic() < deadline, self.log(name).read_text()
            time.sleep(0.1)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"
