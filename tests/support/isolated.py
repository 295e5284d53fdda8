"""Tools and functions that tests run in processes of their own."""

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import annotated_types

from orchestrator.sdk import Context, Isolation, TransientError, tool
from tests.support.not_json import NOT_JSON

SMALL = Isolation(memory="256MB", file_size="1MB", open_files=64, output="64KB", environment=("WANTED",))


@tool("isolated.where", isolation=SMALL)
def where() -> dict[str, Any]:
    """Where it runs, and what it sees."""
    return {
        "pid": os.getpid(),
        "folder": str(Path.cwd()),
        "files": [path.name for path in Path.cwd().iterdir()],
        "variables": sorted(os.environ),
        "wanted": os.environ.get("WANTED"),
        "open": sorted(int(path.name) for path in Path("/proc/self/fd").iterdir()),
        "group": os.getpgid(0),
    }


@tool("isolated.add", isolation="process")
async def add(a: int, b: Annotated[int, annotated_types.Ge(0)] = 1) -> int:
    return a + b


@tool("isolated.reports", isolation=SMALL)
async def reports(context: Context) -> list[str]:
    await context.progress("half", 0.5)
    context.use(tokens_input=7, cost_usd=0.5)
    return [context.idempotency_key, context.correlation_id, context.tenant, context.agent]


@tool("isolated.pays", isolation=SMALL)
async def pays(context: Context, how: str) -> None:
    context.use(model_requests=1, tokens_input=70)
    context.use(model_requests=1, tokens_input=7)
    fails(how)


@tool("isolated.asks", isolation=SMALL)
async def asks(context: Context) -> Any:
    return await context.values.load(None)


@tool("isolated.fails", isolation=SMALL)
def fails(how: str) -> None:
    match how:
        case "own":
            raise TransientError("busy", code="too_busy", retry_after_ms=1500)
        case "other":
            raise KeyError("lost")
        case "network":
            raise ConnectionRefusedError("no server")
        case "exit":
            sys.exit("enough")
        case "interrupt":
            raise KeyboardInterrupt
        case "os-exit":
            os.write(2, b"the last words\n")
            os._exit(3)
        case "segfault":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), 9)
        case "memory":
            bytearray(2 << 30)
        case "abort":
            os.abort()
        case "file":
            Path("big").write_bytes(bytes(2 << 20))
        case "files":
            _ = [open(os.devnull) for _ in range(100)]  # noqa: SIM115, PTH123
        case "output":
            raise ValueError("x" * 1_000_000)


@tool("isolated.returns", isolation=SMALL)
def returns(what: str) -> Any:
    return {"large": "x" * 100_000, "not JSON": object(), "bytes": b"\xff"}[what]


@tool("isolated.burns", isolation=Isolation(cpu="1s"))
def burns() -> None:
    while True:
        pass


@tool("isolated.starts", isolation=SMALL)
def starts(file: str) -> None:
    """Starts processes of its own, one in a session of its own and one whose parent has ended, writes their ids and
    waits."""
    child = subprocess.Popen(["sleep", "600"])
    away = subprocess.Popen(["sleep", "600"], start_new_session=True)
    orphan = subprocess.run(
        ["sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    ids = [os.getpid(), child.pid, away.pid, int(orphan.stdout)]
    Path(f"{file}.folder").write_text(str(Path.cwd()))
    Path(f"{file}.part").write_text(" ".join(map(str, ids)))
    Path(f"{file}.part").rename(file)
    time.sleep(600)


@tool("isolated.unreadable", isolation=SMALL)
def unreadable(what: str) -> Any:
    """Returns what JSON cannot hold."""
    return NOT_JSON[what]()


@tool("isolated.reports_odd", isolation=SMALL)
async def reports_odd(context: Context) -> str:
    await context.progress("half", float("nan"))
    return "done"


def _frame(kind: bytes, content: bytes) -> bytes:
    return kind + len(content).to_bytes(4) + content


NO_REPLIES: Final = {
    "junk": _frame(b"R", b"junk"),
    "huge": b"R\xff\xff\xff\xff",
    "NaN": _frame(b"R", b"NaN"),
    "NaN inside": _frame(b"R", b'{"value": {"rows": [[1, NaN]]}, "used": {}}'),
    "infinity": _frame(b"R", b'{"value": Infinity, "used": {}}'),
    "infinity below zero": _frame(b"R", b'{"value": -Infinity, "used": {}}'),
    "NaN in a failure": _frame(b"F", b'{"retry_after_ms": NaN}'),
    "NaN in a report": _frame(b"P", b'{"note": "half", "fraction": NaN}'),
    "a number": _frame(b"R", b"1"),
    "nothing": _frame(b"R", b"null"),
    "a list": _frame(b"R", b"[1]"),
    "no value": _frame(b"R", b'{"used": {}}'),
    "no use": _frame(b"R", b'{"value": 1}'),
    "use of another form": _frame(b"R", b'{"value": 1, "used": {"tokens_input": 1e999}}'),
    "a failure that is no object": _frame(b"F", b"[]"),
    "a failure of another form": _frame(b"F", b'{"kind": 1, "code": ["x"], "message": {}, "output": true}'),
}


@tool("isolated.forges", isolation=SMALL)
def forges(kind: str) -> None:
    """Writes what is no reply on the channel to the executor."""
    for path in list(Path("/proc/self/fd").iterdir()):
        if (descriptor := int(path.name)) > 2:
            try:
                os.write(descriptor, NO_REPLIES[kind])
            except OSError:
                continue
    time.sleep(600)
