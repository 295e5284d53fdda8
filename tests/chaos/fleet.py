"""Copies of the platform's processes, to be killed, frozen and restarted."""

import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.chaos.workloads import STEPS, Workload
from tests.support.installation import PROGRAM, Installation

QUICK: Final = {
    # The shortest that brokers accept by default, so that dead members are noticed soon.
    "ORCHESTRATOR_KAFKA_SESSION_TIMEOUT_MS": "6000",
    "ORCHESTRATOR_KAFKA_HEARTBEAT_INTERVAL_MS": "500",
    "ORCHESTRATOR_KAFKA_TRANSACTION_TIMEOUT_MS": "10000",
    # A process that a signal ends logs the stacks of its threads.
    "PYTHONFAULTHANDLER": "1",
}
READY_S: Final = 240.0
STOP_S: Final = 60.0


@dataclass
class Member:
    """One copy, with a new process each time it is started."""

    name: str
    arguments: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    process: "subprocess.Popen[bytes] | None" = None
    program: Sequence[str] = (PROGRAM,)

    def start(self) -> None:
        with self.log.open("ab") as log:
            log.write(f"-- {self.name} starts\n".encode())
            log.flush()
            self.process = subprocess.Popen(
                [*self.program, "run", *self.arguments], env=self.environment, stdout=log, stderr=log
            )

    @property
    def running(self) -> "subprocess.Popen[bytes]":
        assert self.process is not None, f"{self.name} has not been started"
        return self.process

    @property
    def has_ended(self) -> bool:
        return self.running.poll() is not None

    def kill(self) -> None:
        self.running.kill()
        self.running.wait()

    def await_end(self) -> int:
        """Waits for its end; returns the exit code. A process that does not end logs the stacks of its threads."""
        try:
            return self.running.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.running.send_signal(signal.SIGABRT)
            self.running.wait(STOP_S)
            raise AssertionError(f"{self.name} did not end: {self.since_start()}") from None

    def since_start(self) -> str:
        """What it has logged since it was last started."""
        return self.log.read_text(encoding="utf-8", errors="replace").rpartition("-- ")[2]

    @property
    def is_ready(self) -> bool:
        assert not self.has_ended, self.since_start()
        return '"running ' in self.since_start()

    def await_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while not self.is_ready:
            assert time.monotonic() < deadline, f"{self.name} is not ready: {self.since_start()}"
            time.sleep(0.1)


@dataclass
class Fleet:
    """The members of an installation: `with` starts all of them, and kills what is left at the end."""

    installation: Installation
    workload: Workload = STEPS
    members: dict[str, Member] = field(default_factory=dict)
    crashed: list[str] = field(default_factory=list)
    """The logs of members that ended without being killed."""
    frozen: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    extra_members: dict[str, Member] = field(default_factory=dict)
    """Further copies, for rebalances."""

    def __post_init__(self) -> None:
        given = self.workload.members
        self.members = {name: self._member(name, *arguments) for name, arguments in given.items()}
        kinds = {name.rpartition("-")[0]: arguments[:-1] for name, arguments in given.items()}
        for slot in ("2", "3"):
            for kind, arguments in kinds.items():
                self.extra_members[f"{kind}-{slot}"] = self._member(f"{kind}-{slot}", *arguments, slot)

    def _member(self, name: str, *arguments: str) -> Member:
        rest = (*self.workload.modules, "--log-format", "json")
        environment = {**self.installation.environment, **QUICK}
        return Member(name, (*arguments, *rest), self.installation.folder / f"{name}.log", environment)

    def __enter__(self) -> "Fleet":
        try:
            for member in self.members.values():
                member.start()
            for member in self.members.values():
                member.await_ready()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def restart_crashed(self) -> None:
        """Records and restarts members that ended without being killed, as a supervisor would."""
        for member in self.members.values():
            if member.has_ended:
                code = member.running.returncode
                self.crashed.append(f"{member.name} ended with {code}: {member.since_start()[-4000:]}")
                member.start()

    def freeze(self, member: Member) -> "subprocess.Popen[bytes]":
        """Freezes the member's process and returns it. Another process may be started in its place."""
        self.frozen.append(member.running)
        member.running.send_signal(signal.SIGSTOP)
        return member.running

    def thaw(self, process: "subprocess.Popen[bytes]") -> None:
        process.send_signal(signal.SIGCONT)

    def stop(self) -> dict[str, int]:
        """Stops all members with SIGTERM; returns their exit codes."""
        for member in self.members.values():
            member.running.terminate()
        return {name: member.await_end() for name, member in self.members.items()}

    def end(self) -> None:
        """Kills all processes that still run."""
        everyone = (*self.members.values(), *self.extra_members.values())
        started = [member.process for member in everyone if member.process is not None]
        for process in (*started, *self.frozen):
            process.kill()
            process.wait()
