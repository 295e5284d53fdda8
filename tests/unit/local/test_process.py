"""A server process never outlives its owner, and says why when it dies."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import pytest

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import UnavailableError
from orchestrator.local.process import EndedError, ServerProcess
from tests.support.processes import running

SECONDS = 10.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess("server", tmp_path)
    yield process
    process.stop(Deadline.after(0))


def python(folder: Path, code: str) -> list[str]:
    """A command that runs `code`; the folder in it is what marks the process as one of this folder's."""
    return [sys.executable, "-u", "-c", dedent(code), str(folder)]


def waiting(folder: Path) -> list[str]:
    return python(folder, "import time; print('up'); time.sleep(600)")


def deaf(folder: Path) -> list[str]:
    return python(
        folder, "import signal, time; signal.signal(15, signal.SIG_IGN); print('up'); time.sleep(600)"
    )


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = Deadline.after(SECONDS)
    while not holds() and not deadline.passed:
        time.sleep(0.01)
    return holds()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_output_goes_to_the_log_and_a_stop_is_in_order(server: ServerProcess, tmp_path: Path) -> None:
    server.start(
        python(
            tmp_path,
            """
            import signal, sys, time
            signal.signal(15, lambda *_: sys.exit("bye"))
            print("up")
            time.sleep(600)
            """,
        )
    )
    assert eventually(lambda: "up" in server.log.read_text())

    server.stop(Deadline.after(SECONDS))

    assert not server.running
    assert server.log.read_text() == "up\nbye\n"


def test_a_death_is_reported_in_one_line(server: ServerProcess, tmp_path: Path) -> None:
    server.start(python(tmp_path, "import sys; print(*range(100), sep='\\n'); sys.exit('Error: no licence')"))
    assert eventually(lambda: not server.running)

    with pytest.raises(EndedError) as raised:
        server.require_running()

    assert str(raised.value) == (
        f"server ended with exit code 1; the last error in its log {server.log}: Error: no licence"
    )


def test_a_server_ended_by_a_signal_is_reported_with_it(server: ServerProcess, tmp_path: Path) -> None:
    server.start(waiting(tmp_path))

    server.kill()

    with pytest.raises(EndedError, match=r"server ended with exit code 137 \(SIGKILL\)"):
        server.require_running()


def test_a_server_on_a_full_disk_is_reported_with_the_folder(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.start(python(tmp_path, "raise SystemExit(1)"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))

    with pytest.raises(EndedError, match=f"exit code 1: the disk of {tmp_path} is full"):
        server.await_serving(lambda: False, Deadline.after(SECONDS))


def test_waiting_for_a_server_ends_when_one_that_it_needs_has_ended(
    server: ServerProcess, tmp_path: Path
) -> None:
    server.start(waiting(tmp_path))
    needed = ServerProcess("needed", tmp_path)
    needed.start(python(tmp_path, "raise SystemExit('no licence')"))

    with pytest.raises(EndedError, match="needed ended with exit code 1"):
        server.await_serving(lambda: False, Deadline.after(SECONDS), needed.require_running)


def test_a_command_that_is_not_found_is_reported(server: ServerProcess, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="No such file or directory"):
        server.start([str(tmp_path / "missing")])


def test_a_server_that_ignores_sigterm_is_killed_at_the_deadline(
    server: ServerProcess, tmp_path: Path
) -> None:
    server.start(deaf(tmp_path))
    assert eventually(lambda: "up" in server.log.read_text())
    pid = server.pid

    server.stop(Deadline.after(0.1))

    assert not alive(pid)


def test_a_paused_server_can_be_stopped(server: ServerProcess, tmp_path: Path) -> None:
    server.start(waiting(tmp_path))
    server.send(signal.SIGSTOP)

    started = time.monotonic()
    server.stop(Deadline.after(SECONDS))

    assert time.monotonic() - started < SECONDS / 2


def test_a_start_that_was_interrupted_can_be_stopped(server: ServerProcess, tmp_path: Path) -> None:
    server.start(waiting(tmp_path))
    pid, server._pid = server.pid, 0

    server.stop(Deadline.after(SECONDS))

    assert eventually(lambda: not alive(pid))


def test_a_killed_server_can_be_started_again_and_its_log_goes_on(
    server: ServerProcess, tmp_path: Path
) -> None:
    server.start(waiting(tmp_path))
    assert eventually(lambda: server.log.read_text() == "up\n")
    server.kill()
    assert not server.running

    server.start(waiting(tmp_path))

    assert eventually(lambda: server.log.read_text() == "up\nup\n")


def test_a_new_run_keeps_the_log_of_the_one_before(server: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "server.log").write_text("yesterday\n")

    server.start(waiting(tmp_path))

    assert (tmp_path / "server.previous.log").read_text() == "yesterday\n"
    assert eventually(lambda: server.log.read_text() == "up\n")


def test_a_server_outlives_the_thread_that_started_it(server: ServerProcess, tmp_path: Path) -> None:
    starter = threading.Thread(target=server.start, args=(waiting(tmp_path),))
    starter.start()
    starter.join()

    assert server._guardian
    with pytest.raises(subprocess.TimeoutExpired):
        server._guardian.wait(0.6)


def test_a_killed_owner_takes_its_server_along(tmp_path: Path) -> None:
    owner = start_owner(tmp_path, waiting(tmp_path))
    pid = server_of(owner)

    owner.kill()
    owner.communicate()

    assert eventually(lambda: not alive(pid))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has PR_SET_PDEATHSIG")
def test_a_killed_guardian_takes_its_server_along(server: ServerProcess, tmp_path: Path) -> None:
    server.start(waiting(tmp_path))
    pid = server.pid
    assert server._guardian

    server._guardian.kill()

    assert eventually(lambda: not alive(pid))


def test_an_orphan_of_an_earlier_run_is_ended(server: ServerProcess, tmp_path: Path) -> None:
    with running(deaf(tmp_path), stdout=subprocess.PIPE, text=True) as orphan:
        assert orphan.stdout
        assert orphan.stdout.readline() == "up\n"
        (tmp_path / "server.pid").write_text(f"{orphan.pid}\n")
        # A child of ours stays in the table of processes until it is waited for.
        reaper = threading.Thread(target=orphan.wait)
        reaper.start()

        server.end_orphan(Deadline.after(0.4))

        reaper.join()
    assert orphan.returncode == -signal.SIGKILL
    assert not (tmp_path / "server.pid").exists()


def test_another_process_with_the_old_id_is_left_alone(server: ServerProcess, tmp_path: Path) -> None:
    with running(waiting(tmp_path.parent), stdout=subprocess.PIPE) as stranger:
        (tmp_path / "server.pid").write_text(str(stranger.pid))

        server.end_orphan(Deadline.after(SECONDS))

        assert stranger.poll() is None
        stranger.kill()
    assert not (tmp_path / "server.pid").exists()


def start_owner(folder: Path, command: list[str]) -> subprocess.Popen[str]:
    """A process of its own that starts `command` as a server, prints its id and waits."""
    code = f"""
    import time
    from pathlib import Path
    from orchestrator.local.process import ServerProcess
    server = ServerProcess("server", Path({str(folder)!r}))
    server.start({command!r})
    print(server.pid, flush=True)
    time.sleep(600)
    """
    return subprocess.Popen([sys.executable, "-c", dedent(code)], stdout=subprocess.PIPE, text=True)


def server_of(owner: subprocess.Popen[str]) -> int:
    assert owner.stdout
    return int(owner.stdout.readline())


def test_a_server_that_does_not_serve_by_the_deadline_is_reported_with_its_log(
    server: ServerProcess, tmp_path: Path
) -> None:
    server.start(waiting(tmp_path))
    with pytest.raises(UnavailableError, match=rf"did not serve by the deadline: .* its log {server.log}"):
        server.await_serving(lambda: False, Deadline.after(0))


def test_a_server_that_dies_before_it_serves_shows_its_log(server: ServerProcess, tmp_path: Path) -> None:
    server.start(python(tmp_path, "raise SystemExit('no such option')"))
    with pytest.raises(UnavailableError, match="no such option"):
        server.await_serving(lambda: False, Deadline.after(SECONDS))
