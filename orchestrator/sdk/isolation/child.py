"""The process of one run: takes its limits upon itself, calls the function, replies, and ends."""

import asyncio
import inspect
import os
import resource
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec
from pydantic_core import to_jsonable_python

from orchestrator.messages.values import json_text
from orchestrator.sdk.errors import HandlerError
from orchestrator.sdk.failures import failure_of
from orchestrator.sdk.isolation import frames, linux
from orchestrator.sdk.isolation.outcome import MEMORY_LIMIT
from orchestrator.sdk.isolation.target import Target

_NICENESS: Final = 10
"""Runs give way to the executor, which has replies and heartbeats to send."""
_reporting: socket.socket | None = None
_reports = 0


def report(content: Any, *, counts: bool = False) -> None:
    """Sends the executor a report, from inside a run: of progress, which is dropped where there are too many, or of
    what `counts`. JSON data of `frames.MOST_REPORT` bytes at most."""
    global _reports
    _reports += 1
    if _reporting is not None and (counts or _reports <= frames.MOST_REPORTS):
        with suppress(OSError, ValueError):
            frames.send(_reporting, frames.PROGRESS, content)


def main(run: int, output: int, parent: int) -> None:
    """Never returns. `run` is the channel to the executor, `output` a file for stdout and stderr, both file
    descriptors; `parent` is the process that must outlive this one."""
    _detach(run, output, parent)
    channel = socket.socket(fileno=run)
    with suppress(Exception):
        _reply(channel)
    os._exit(0)


def _detach(run: int, output: int, parent: int) -> None:
    """A session and a process group of its own, no file but the two, and no signal handler of the template."""
    if os.getsid(0) != os.getpid():
        os.setsid()
    linux.die_with_parent()
    if os.getppid() != parent:
        os._exit(1)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for name in os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"):  # noqa: PTH112, PTH208
        if (descriptor := int(name)) > 2 and descriptor != run:
            with suppress(OSError):
                os.close(descriptor)


def _reply(channel: socket.socket) -> None:
    global _reporting
    received = frames.receive(channel, {frames.REQUEST: frames.MOST_REQUEST})
    if received is None:
        return
    request = frames.decoded(received[1])
    _reporting = channel
    limits = request["limits"]
    try:
        _settle_in(request["variables"], request["folder"])
        _limit(limits)
        payload = _called(request)
    except MemoryError:
        _fail(channel, {"code": MEMORY_LIMIT})
    except BaseException as error:  # noqa: BLE001 - SystemExit and what extensions raise are failures like others
        _fail(channel, _described(error))
    else:
        if len(payload) > limits["output"]:
            _fail(channel, {"output": len(payload)})
        else:
            frames.send_encoded(channel, frames.RESULT, payload)


def _settle_in(variables: dict[str, str], folder: str) -> None:
    """The environment and the working directory of the run."""
    os.environ.clear()
    os.environ.update(variables | {"HOME": folder, "TMPDIR": folder})
    time.tzset()
    tempfile.tempdir = None
    os.chdir(folder)


def _limit(limits: dict[str, Any]) -> None:
    """Address space is limited, not resident memory: no system call limits the latter. The limit is for what the
    run takes beyond what it has now, since libraries reserve much more than they use."""
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu_s"], limits["cpu_s"] + 1))
    for kind, most in (
        (resource.RLIMIT_AS, linux.address_space() + limits["memory"]),
        (resource.RLIMIT_FSIZE, limits["file_size"]),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
    ):
        # macOS has no limit of address space.
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


def _called(request: dict[str, Any]) -> bytes:
    """What the function returned, as JSON. Raises `ContractError` for what JSON cannot hold."""
    function = Target(**request["target"]).load()
    result = _result(function, request["arguments"])
    # What is JSON already stays as it is.
    return json_text(result if isinstance(result, msgspec.Raw) else to_jsonable_python(result))


def _result(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    if inspect.iscoroutinefunction(function):
        return asyncio.run(function(**arguments))
    return function(**arguments)


def _described(error: BaseException) -> dict[str, Any]:
    failure = failure_of(error, "tool_error")
    return {
        "kind": failure.kind.value,
        "code": failure.code,
        "message": failure.message,
        "retry_after_ms": failure.retry_after_ms,
        "is_own": isinstance(error, HandlerError),
    }


def _fail(channel: socket.socket, content: dict[str, Any]) -> None:
    frames.send(channel, frames.FAILURE, content)
