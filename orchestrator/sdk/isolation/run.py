"""One run in a process of its own: from its request to the end of its process."""

import logging
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Final, Protocol, Self

from orchestrator.sdk.isolation import frames, replies
from orchestrator.sdk.isolation.call import IsolatedCall
from orchestrator.sdk.isolation.limits import Limits
from orchestrator.sdk.isolation.outcome import (
    MEMORY_LIMIT,
    ended,
    no_reply,
    not_loaded,
    not_started,
    out_of_memory,
    overdue,
    raised,
    too_many_values,
    too_much_output,
)

logger: Final = logging.getLogger(__name__)

_LINGER_S: Final = 2.0
"""How long a process may live after it has replied."""
_STUCK_S: Final = 120.0
"""How long a template may take to kill a run. It may be importing a module, which takes seconds on a busy machine."""
_MOST_REPORTS: Final = frames.MOST_REPORTS
"""Reports of progress that are passed on; of more, the last one of each kind is."""
_MOST_KINDS: Final = 10
_PAUSE_S: Final = 0.01
"""After each report beyond their number."""
_SHOWN: Final = 1_000
"""Characters of what a run printed that are shown."""


class Template(Protocol):
    """Starts and kills the processes of runs."""

    def start(self, run: "Run", request: dict[str, Any], descriptors: tuple[int, int]) -> bool: ...

    def kill(self, number: int) -> None: ...

    def abandon(self) -> None: ...


def _is_report(content: Any) -> bool:
    return isinstance(content, dict) and not any(isinstance(value, list) for value in content.values())


class _Reports:
    """What a run reports before it replies. A kind of report is what its keys are."""

    def __init__(self, pass_on: Callable[[Any], None] | None) -> None:
        self._pass_on = pass_on
        self._passed = 0
        self._last: dict[frozenset[Any], Any] = {}

    def take(self, content: Any) -> None:
        self._passed += 1
        if self._passed > _MOST_REPORTS:
            # Whoever sends without end waits, and nobody else does. A run of ours sends no more notes then.
            time.sleep(_PAUSE_S)
        if self._pass_on is None or not _is_report(content):
            return
        if self._passed <= _MOST_REPORTS:
            self._pass_on(content)
        elif (kind := frozenset(content)) in self._last or len(self._last) < _MOST_KINDS:
            self._last[kind] = content

    def end(self) -> None:
        if self._pass_on is not None:
            for content in self._last.values():
                self._pass_on(content)


class Run:
    """Used by the thread of the run, as a context; `end` and `on_*` may be called by any thread."""

    def __init__(self, name: str, limits: Limits) -> None:
        self._name = name
        self._limits = limits
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._gone = threading.Event()
        self._status: int | None = None
        self._refusal = ""
        self._is_overdue = False
        self._number = 0
        self._template: Template | None = None
        self._channel: socket.socket | None = None
        self._folder = ""
        self._printed: IO[bytes] | None = None

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for its result any more."""
        return self._over.is_set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Returns when the process is gone, which does not take long."""
        if self._template is not None and not self._gone.wait(0 if self.is_over else _LINGER_S):
            self._await_end(self._template)
        if self._channel is not None:
            self._channel.close()
        if self._printed is not None:
            if said := self._said():
                logger.info("%s printed: %s", self._name, said)
            self._printed.close()
        if self._folder:
            # What cannot be deleted stays: the run may have taken its rights away, or nested folders too deeply.
            with suppress(OSError, RecursionError):
                shutil.rmtree(self._folder)

    def result(self, template: Template, call: IsolatedCall) -> Any:
        """What the function returns. Raises as `ProcessPool.run` does."""
        self._folder = tempfile.mkdtemp(prefix="run-")
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the run
        ours, theirs = socket.socketpair()
        self._channel = ours
        with theirs:
            preload = vars(call.preload or call.target)
            request = {"preload": preload, "wall_s": call.limits.wall_s, "folder": self._folder}
            started = template.start(self, request, (theirs.fileno(), self._printed.fileno()))
        if not started:
            raise not_started(self._name, "the process that starts them has ended")
        if self.is_over:
            self._kill()
        request = {
            "target": vars(call.target),
            "arguments": dict(call.arguments),
            "limits": call.limits.as_data(),
            "variables": dict(call.variables),
            "folder": self._folder,
        }
        # A process that ended before it read its request says more by its status.
        with suppress(BrokenPipeError, ConnectionResetError):
            frames.send(ours, frames.REQUEST, request)
        try:
            return self._replied(ours, call)
        except frames.FrameError as error:
            self._kill()
            raise no_reply(self._name, str(error)) from None
        except replies.TooManyValuesError:
            raise too_many_values(self._name, replies.MOST_VALUES) from None

    def _replied(self, channel: socket.socket, call: IsolatedCall) -> Any:
        reports = _Reports(call.progress)
        most = {
            frames.RESULT: self._limits.output,
            frames.FAILURE: frames.MOST_FAILURE,
            frames.PROGRESS: frames.MOST_REPORT,
        }
        try:
            while True:
                try:
                    received = frames.receive(channel, most)
                except OSError:
                    received = None
                if received is None:
                    raise self._ended()
                kind, payload = received
                if kind == frames.RESULT:
                    return replies.read(payload, call.read)
                content = frames.decoded(payload)
                if kind == frames.FAILURE:
                    raise self._failed(content)
                reports.take(content)
        finally:
            reports.end()

    def _failed(self, content: Any) -> Exception:
        if not isinstance(content, dict):
            return no_reply(self._name, "a failure that is no object")
        if content.get("code") == MEMORY_LIMIT:
            return out_of_memory(self._name, self._limits)
        if type(size := content.get("output")) is int:
            return too_much_output(self._name, size, self._limits)
        if not isinstance(content.get("code"), str) or not isinstance(content.get("message"), str):
            return no_reply(self._name, "a failure of another form")
        return raised(content)

    def _ended(self) -> Exception:
        """The error for a process that has closed its channel without a reply."""
        if self._template is not None and not self._gone.wait(_LINGER_S):
            self._await_end(self._template)
        if self._refusal:
            return not_loaded(self._name, self._refusal)
        if self._status is None:
            return not_started(self._name, "the process that starts them has ended")
        if self._is_overdue:
            return overdue(self._name, self._limits)
        return ended(self._name, self._status, self._limits, self._said())

    def _await_end(self, template: Template) -> None:
        """Kills the process and waits for its end."""
        self._kill()
        if not self._gone.wait(_STUCK_S):
            logger.error("the process that starts %s does not respond, and is replaced", self._name)
            template.abandon()
            self._gone.wait()

    def _said(self) -> str:
        """The last that the run printed, in one line."""
        if self._printed is None:
            return ""
        size = os.fstat(self._printed.fileno()).st_size
        last = os.pread(self._printed.fileno(), 4 * _SHOWN, max(0, size - 4 * _SHOWN))
        text = " ".join(last.decode("utf-8", errors="replace").split())
        return "".join(one if one.isprintable() else "?" for one in text)[-_SHOWN:]

    def end(self) -> None:
        """Kills the process, if there still is one. For when nobody waits for the result any more."""
        self._over.set()
        self._kill()

    def _kill(self) -> None:
        with self._lock:
            template, number = self._template, self._number
        if template is not None and not self._gone.is_set():
            template.kill(number)

    def on_start(self, template: Template, number: int) -> None:
        with self._lock:
            self._template, self._number = template, number

    def on_end(self, status: int | None, refusal: str = "", *, is_overdue: bool = False) -> None:
        """`status` is that of `wait`; None if there was no process, or nobody knows."""
        self._status, self._refusal, self._is_overdue = status, refusal, is_overdue
        self._gone.set()
        # A descendant may hold the other end of the channel open.
        if self._channel is not None:
            with suppress(OSError):
                self._channel.shutdown(socket.SHUT_WR if status is not None else socket.SHUT_RDWR)
