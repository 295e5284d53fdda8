"""Tools that run in processes of their own: what they see, how they fail, and that nothing of them is left."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from orchestrator_services import tool_executor
from orchestrator_services.tool_executor import isolated as executor_runs

from orchestrator.errors import ConfigurationError
from orchestrator.messages import events
from orchestrator.messages.types import FailureKind
from orchestrator.sdk import IsolatedCall, Isolation, PermanentError, ProcessPool, Target, Tool, tool
from orchestrator.sdk.isolation.templates import templates
from tests.support import isolated, isolated_threads
from tests.support.not_json import NOT_JSON
from tests.support.processes import PATIENCE_S
from tests.unit.services.support import World, plain
from tests.unit.services.test_tool_executor import execution

SECONDS = 120_000
"""Timeout of runs that shall end for another reason, milliseconds."""


async def eventually(holds: Callable[[], bool]) -> None:
    """Returns as soon as it holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - processes set no event
            await asyncio.sleep(0.01)


async def run(of: Tool, arguments: Any = None, world: World | None = None, **fields: Any) -> Any:
    message = execution(of.name, arguments, **{"timeout_ms": SECONDS, **fields})
    return await (world or World(of)).reply(tool_executor.service, message)


async def failure(of: Tool, arguments: Any = None, **fields: Any) -> Any:
    reply = await run(of, arguments, **fields)
    assert isinstance(reply, events.ToolFailed), reply
    return reply.failure


def is_running(pid: int) -> bool:
    """Whether a process does something. One that has ended may wait for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def none_runs(pids: Iterable[int]) -> bool:
    return not any(is_running(pid) for pid in pids)


class TestWhatItSees:
    async def test_it_has_a_process_a_folder_and_files_of_its_own(self) -> None:
        first, second = [plain((await run(isolated.where)).output) for _ in range(2)]

        assert len({os.getpid(), first["pid"], second["pid"]}) == 3
        assert first["group"] == first["pid"]
        assert first["files"] == []
        assert first["folder"] != second["folder"]
        assert not os.path.exists(first["folder"])  # noqa: ASYNC240, PTH110
        assert len(first["open"]) <= 5, "its channel, its output, and what lists them"

    async def test_it_sees_only_the_variables_that_it_asks_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ORCHESTRATOR_KAFKA_SASL_PASSWORD", "secret")
        monkeypatch.setenv("OPENAI_API_KEY", "secret")
        monkeypatch.setenv("WANTED", "yes")

        seen = plain((await run(isolated.where)).output)

        assert seen["wanted"] == "yes"
        allowed = {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "HOME", "TMPDIR", "WANTED"}
        assert set(seen["variables"]) <= allowed

    async def test_arguments_are_validated_and_coroutines_run(self) -> None:
        assert plain((await run(isolated.add, {"a": 2})).output) == 3
        assert (await failure(isolated.add, {"a": 2, "b": -1})).kind is FailureKind.INVALID_INPUT

    async def test_it_has_ids_and_may_report_progress_and_use(self) -> None:
        world = World(isolated.reports)

        completed = await run(isolated.reports, world=world)

        assert plain(completed.output) == ["key-1", completed.correlation_id, "default", "default"]
        assert (completed.usage.tokens_input, completed.usage.cost_micro_usd) == (7, 500_000)
        await eventually(lambda: any(isinstance(one, events.ToolProgressed) for one in world.emitted))

    async def test_what_only_the_executor_has_is_refused_by_name(self) -> None:
        failed = await failure(isolated.asks)

        assert failed.kind is FailureKind.PERMANENT
        assert "context: load is not available" in failed.message

    async def test_a_module_with_threads_is_not_forked(self) -> None:
        assert plain((await run(isolated_threads.threaded, {"x": 1})).output) == 2


class TestHowItFails:
    @pytest.mark.parametrize(
        ("how", "kind", "code", "text"),
        [
            ("own", FailureKind.TRANSIENT, "too_busy", "busy"),
            ("other", FailureKind.PERMANENT, "tool_error", "KeyError: 'lost'"),
            ("network", FailureKind.TRANSIENT, "unavailable", "ConnectionRefusedError: no server"),
            ("exit", FailureKind.PERMANENT, "tool_error", "SystemExit: enough"),
            ("interrupt", FailureKind.PERMANENT, "tool_error", "KeyboardInterrupt"),
            ("os-exit", FailureKind.PERMANENT, "process_died", "exit status 3; it printed: the last words"),
            ("segfault", FailureKind.PERMANENT, "process_died", "crashed its process with SIGSEGV"),
            ("abort", FailureKind.PERMANENT, "process_died", "crashed its process with SIGABRT"),
            ("kill", FailureKind.TRANSIENT, "process_died", "was killed by signal 9"),
            ("memory", FailureKind.PERMANENT, "memory_limit", "needs more than its 256 MB of memory"),
            ("file", FailureKind.PERMANENT, "tool_error", "File too large"),
            ("files", FailureKind.PERMANENT, "tool_error", "Too many open files"),
            ("output", FailureKind.PERMANENT, "tool_error", "ValueError: xxx"),
        ],
    )
    async def test_each_death_is_one_failure_with_its_reason(
        self, how: str, kind: FailureKind, code: str, text: str
    ) -> None:
        failed = await failure(isolated.fails, {"how": how})

        assert (failed.kind, failed.code) == (kind, code)
        assert text in failed.message

    @pytest.mark.parametrize("how", ["own", "exit", "kill", "memory"])
    async def test_what_it_has_used_counts_however_it_ends(self, how: str) -> None:
        failed = await run(isolated.pays, {"how": how})

        assert isinstance(failed, events.ToolFailed)
        assert (failed.usage.model_requests, failed.usage.tokens_input) == (2, 77)

    async def test_its_cpu_time_is_limited(self) -> None:
        failed = await failure(isolated.burns)

        assert (failed.kind, failed.code) == (FailureKind.PERMANENT, "cpu_limit")

    async def test_a_tool_says_how_long_to_wait(self) -> None:
        assert (await failure(isolated.fails, {"how": "own"})).retry_after_ms == 1500

    @pytest.mark.parametrize(
        ("what", "code"),
        [("large", "output_limit"), ("not JSON", "output_not_json"), ("bytes", "output_not_json")],
    )
    async def test_what_it_returns_is_bounded_json(self, what: str, code: str) -> None:
        failed = await failure(isolated.returns, {"what": what})

        assert (failed.kind, failed.code) == (FailureKind.PERMANENT, code)

    @pytest.mark.parametrize("how", ["segfault", "kill", "memory", "other"])
    async def test_after_a_death_nobody_knows_whether_it_had_its_effect(self, how: str) -> None:
        assert (
            await failure(isolated.fails, {"how": how}, at_most_once=True)
        ).kind is FailureKind.UNKNOWN_OUTCOME

    async def test_a_module_that_cannot_be_imported_is_named(self) -> None:
        call = IsolatedCall(
            name="lost",
            target=Target("tests.support.not_there", "lost"),
            arguments={},
            limits=Isolation().limits(60.0),
            variables={},
        )

        with pytest.raises(PermanentError, match=r"lost cannot be loaded .* ModuleNotFoundError"):
            await ProcessPool(1).run(call)

    @pytest.mark.parametrize("what", NOT_JSON)
    async def test_what_json_cannot_hold_fails_as_it_does_in_the_executor(self, what: str) -> None:
        results: list[Any] = []

        @tool("isolated.unreadable")
        def here(what: str) -> Any:
            results.append(NOT_JSON[what]())
            return results[0]

        alone, together = [await failure(one, {"what": what}) for one in (isolated.unreadable, here)]

        assert (alone.kind, alone.code) == (FailureKind.PERMANENT, "output_not_json")
        assert alone == together
        if what == "an open file":
            results[0].close()

    async def test_a_report_that_json_cannot_hold_is_dropped(self) -> None:
        assert plain((await run(isolated.reports_odd)).output) == "done"

    @pytest.mark.parametrize("kind", isolated.NO_REPLIES)
    async def test_what_a_hostile_process_writes_is_no_reply(self, kind: str) -> None:
        failed = await failure(isolated.forges, {"kind": kind})

        assert (failed.kind, failed.code) == (FailureKind.PERMANENT, "process_died")
        assert "no reply" in failed.message

    async def test_a_run_that_finds_no_place_may_be_tried_again(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        pool = ProcessPool(1)
        monkeypatch.setattr(executor_runs, "processes", lambda: pool)
        file = tmp_path / "pids"
        busy = asyncio.create_task(run(isolated.starts, {"file": str(file)}))
        await eventually(file.exists)

        failed = await failure(isolated.add, {"a": 1}, timeout_ms=500)

        assert failed.kind is FailureKind.TRANSIENT
        busy.cancel()
        await eventually(busy.done)
        assert plain((await run(isolated.add, {"a": 1})).output) == 2


class TestNothingIsLeft:
    async def test_at_its_deadline_it_dies_with_all_that_it_started(self, tmp_path: Path) -> None:
        file = tmp_path / "pids"
        running = asyncio.create_task(run(isolated.starts, {"file": str(file)}, timeout_ms=10_000))
        await eventually(file.exists)
        pids = [int(pid) for pid in file.read_text().split()]
        assert all(map(is_running, pids))

        failed = (await running).failure

        assert (failed.kind, failed.code) == (FailureKind.TRANSIENT, "timeout")
        await eventually(lambda: none_runs(pids))

    async def test_a_call_that_is_cancelled_is_killed(self, tmp_path: Path) -> None:
        file = tmp_path / "pids"
        running = asyncio.create_task(run(isolated.starts, {"file": str(file)}))
        await eventually(file.exists)
        pids = [int(pid) for pid in file.read_text().split()]

        running.cancel()

        with pytest.raises(asyncio.CancelledError):
            await running
        await eventually(lambda: none_runs(pids))

    async def test_an_executor_that_is_killed_takes_its_runs_along(self, tmp_path: Path) -> None:
        file = tmp_path / "pids"
        program = (
            "import asyncio, json, sys; sys.path[:] = json.loads(sys.argv[2])\n"
            "from tests.unit.services.test_isolated_tools import run\n"
            "from tests.support import isolated\n"
            "asyncio.run(run(isolated.starts, {'file': sys.argv[1]}))\n"
        )
        paths = [str(Path.cwd()), *sys.path]
        executor = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            [sys.executable, "-c", program, str(file), json.dumps(paths)]
        )
        try:
            await eventually(file.exists)
            pids = [int(pid) for pid in file.read_text().split()]
            assert all(map(is_running, pids))
        finally:
            executor.send_signal(signal.SIGKILL)
            executor.wait()

        await eventually(lambda: none_runs(pids))
        folder = Path(f"{file}.folder").read_text()  # noqa: ASYNC240
        await eventually(lambda: not Path(folder).exists())

    async def test_runs_go_on_after_their_template_was_killed(self, tmp_path: Path) -> None:
        file = tmp_path / "pids"
        running = asyncio.create_task(run(isolated.starts, {"file": str(file)}))
        await eventually(file.exists)
        pids = [int(pid) for pid in file.read_text().split()]

        os.kill(templates.get(Target.of(isolated.starts.function).package).pid, signal.SIGKILL)

        failed = (await running).failure
        assert (failed.kind, failed.code) == (FailureKind.TRANSIENT, "process_not_started")
        await eventually(lambda: not is_running(pids[0]))
        assert plain((await run(isolated.add, {"a": 1})).output) == 2
        for pid in pids[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class TestDeclaration:
    def test_a_function_that_another_process_cannot_find_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="at the top of a module"):

            @tool("inner", isolation="process")
            def inner() -> None: ...

    def test_another_word_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match='write "process"'):
            tool("x", isolation="thread")(isolated.fails.function)  # type: ignore[arg-type]

    def test_every_wrong_limit_is_listed(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Isolation(memory="much", cpu="long", file_size="1", open_files=1)

        assert len(caught.value.problems) == 4
