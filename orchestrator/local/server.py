"""What all local servers share: each of them starts and serves, or leaves nothing running."""

import http.client
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import UnavailableError
from orchestrator.local.endings import naming_full_disk
from orchestrator.local.locks import FolderLock
from orchestrator.local.ports import PortLeases
from orchestrator.local.process import ServerProcess

_ANSWER_SECONDS = 5.0


class LocalServer(ABC):
    """A server that a `with` statement starts and stops. Not for several threads.

    A subclass launches it, waits until it serves, and stops it.
    """

    NAME: ClassVar[str]
    """What messages call it."""
    START_SECONDS: ClassVar[float] = 120.0
    STOP_SECONDS: ClassVar[float] = 15.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @abstractmethod
    def prepare(self) -> None:
        """Fetch what this machine lacks: up to a minute the first time, nothing afterwards."""

    def start(self, deadline: Deadline | None = None) -> None:
        """Start it and wait until it serves, for `START_SECONDS` by default. What `prepare` does is done first.

        Raises `EndedError` that says why if it ends, and `UnavailableError` if it does not serve by the deadline;
        nothing is left running then, nor after an interrupt.
        """
        self.prepare()
        deadline = deadline or Deadline.after(self.START_SECONDS)
        self.launch(deadline)
        self.await_ready(deadline)

    def launch(self, deadline: Deadline) -> None:
        """The first half of `start`, so that something else can start meanwhile: it runs, but may not serve."""
        with self._stopped_on_failure():
            self._launch(deadline)

    def await_ready(self, deadline: Deadline) -> None:
        """The second half of `start`: wait until it serves."""
        with self._stopped_on_failure():
            self._await_ready(deadline)

    @property
    def processes(self) -> Iterable[ServerProcess]:
        """Its processes, none if it runs inside this one."""
        return ()

    def require_running(self) -> None:
        """Raises `EndedError` that says why if one of its processes has ended. Takes microseconds."""
        for process in self.processes:
            process.require_running()

    def stop(self, deadline: Deadline | None = None) -> None:
        """End it in order, with SIGKILL after the deadline (`STOP_SECONDS` by default). May be called again."""
        self._stop(deadline or Deadline.after(self.STOP_SECONDS))

    @abstractmethod
    def _launch(self, deadline: Deadline) -> None: ...

    @abstractmethod
    def _await_ready(self, deadline: Deadline) -> None: ...

    @abstractmethod
    def _stop(self, deadline: Deadline) -> None:
        """Ends everything that runs. It may be called after a partial launch, and again."""

    def _not_running(self) -> UnavailableError:
        return UnavailableError(f"{self.NAME} is not running: call start() first")

    @contextmanager
    def _stopped_on_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.stop()
            raise


class FolderServer(LocalServer):
    """A server with files in a folder, which one object of one process owns while it runs, and leased ports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._lock = FolderLock(self._folder)
        self._leases = PortLeases()

    def launch(self, deadline: Deadline) -> None:
        # Locked first: a failed launch stops the server, and must not stop that of another owner of the folder.
        with naming_full_disk(self._folder):
            self._lock.acquire()
            super().launch(deadline)

    def stop(self, deadline: Deadline | None = None) -> None:
        super().stop(deadline)
        self._leases.release()
        self._lock.release()

    @contextmanager
    def _stopped(self) -> Iterator[None]:
        """Inside, the server is stopped and its files may be changed."""
        self.stop()
        self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()


def http_answers(url: str, statuses: Collection[int] = (HTTPStatus.OK,)) -> bool:
    """Whether a server responds to a GET with one of these statuses within five seconds."""
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as response:  # noqa: S310 - our own address
            return response.status in statuses
    except urllib.error.HTTPError as error:
        with error:
            return error.code in statuses
    except (OSError, http.client.HTTPException):
        return False
