"""What is kept in small files is whole: what a full disk leaves of a write is never taken for it."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from orchestrator.local.secret_files import kept_secret
from orchestrator.local.whole_files import write_whole


def run_without_space(code: str) -> int:
    """The exit code of Python code in a process whose files cannot grow, as on a full disk."""
    before = """
    import resource, signal
    from pathlib import Path
    from orchestrator.local.registry import LocalRegistry
    from orchestrator.local.secret_files import kept_secret
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    """
    command = [sys.executable, "-B", "-c", f"{dedent(before)}\n{code}"]
    return subprocess.run(command, capture_output=True, check=False).returncode


def test_a_secret_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "key"

    assert kept_secret(path, lambda: "first") == "first"
    assert kept_secret(path, lambda: "second") == "first"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_a_full_disk_leaves_no_empty_secret(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert run_without_space(f"kept_secret(Path({str(path)!r}), lambda: 'first')") == 1

    assert kept_secret(path, lambda: "second") == "second"


def test_a_full_disk_leaves_the_registrys_port(tmp_path: Path) -> None:
    ports = tmp_path / "ports.json"
    ports.write_text("[8081]")

    assert run_without_space(f"LocalRegistry(Path({str(tmp_path)!r}))._lease_ports()") == 1

    assert ports.read_text() == "[8081]"


def test_a_file_is_replaced_whatever_an_interrupted_write_left(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("old")
    (tmp_path / "state.json.partial").write_text("half of")

    write_whole(path, "new")

    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("state.json", "new")]
